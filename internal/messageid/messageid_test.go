package messageid_test

import (
	"sync"
	"testing"

	"dicom-qr-gateway/internal/messageid"
)

func TestNoIDIsGivenTwiceWhileItIsHeld(t *testing.T) {
	var a messageid.Allocator
	open := map[uint16]bool{}
	var order []uint16
	for range 70_000 {
		id := a.Hold()
		if id == 0 {
			t.Fatal("0 is an ID that some peers treat as absent")
		}
		if open[id] {
			t.Fatalf("ID %d is held by two operations", id)
		}
		open[id] = true
		if order = append(order, id); len(order) > 3 {
			a.Release(order[0])
			delete(open, order[0])
			order = order[1:]
		}
	}
}

func TestAnIDThatIsHeldForLongIsSkippedEachTimeRound(t *testing.T) {
	var a messageid.Allocator
	held := a.Hold()
	for range 3 * 65_536 {
		id := a.Hold()
		if id == held {
			t.Fatal("an ID was given twice")
		}
		a.Release(id)
	}
}

func TestAnIDReturnsAsLateAsPossible(t *testing.T) {
	var a messageid.Allocator
	first := a.Hold()
	a.Release(first)
	for n := 1; ; n++ {
		id := a.Hold()
		a.Release(id)
		if id != first {
			continue
		}
		if n != 65_535 {
			t.Fatalf("the ID returned after %d others", n-1)
		}
		return
	}
}

func TestAnOperationGetsAnIDHoweverManyAreHeld(t *testing.T) {
	var a messageid.Allocator
	held := map[uint16]bool{}
	for range 1 << 15 {
		held[a.Hold()] = true
	}
	for range 1 << 16 {
		if id := a.Hold(); held[id] {
			t.Fatalf("ID %d is held by another operation", id)
		}
		if id := a.Next(); held[id] {
			t.Fatalf("ID %d is held by another operation", id)
		}
	}
}

func TestConcurrentOperationsGetDifferentIDs(t *testing.T) {
	var a messageid.Allocator
	var mu sync.Mutex
	open := map[uint16]bool{}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 1000 {
				id := a.Hold()
				mu.Lock()
				if open[id] {
					t.Errorf("ID %d is held by two operations", id)
				}
				open[id] = true
				mu.Unlock()
				mu.Lock()
				delete(open, id)
				mu.Unlock()
				a.Release(id)
			}
		})
	}
	wait.Wait()
}
