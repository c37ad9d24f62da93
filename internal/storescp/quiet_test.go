package storescp

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"dicom-qr-gateway/internal/messageid"
)

// leased returns a running lease of a study of PACS a.
func leased(t *testing.T) (*book, *Lease) {
	t.Helper()
	b := newBook(testGrace, &messageid.Allocator{})
	t.Cleanup(b.close)
	l := newTestLease(sourceA, scope{study: "1"})
	if err := b.lease(t.Context(), l, []string{"ONE"}); err != nil {
		t.Fatal(err)
	}
	return b, l
}

var anInstance = &arrival{scope: scope{"1", "1.1", "1.1.1"}, called: "ONE", calling: "PACS", remote: fromA}

func TestQuietEndsWhenNothingHasArrivedForTheGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := leased(t)
		time.Sleep(time.Hour) // the final response came late
		began := time.Now()
		if err := l.Quiet(t.Context()); err != nil || time.Since(began) != testGrace {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestQuietGoesOnWhileInstancesArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := leased(t)
		began := time.Now()
		quiet := make(chan error, 1)
		go func() { quiet <- l.Quiet(t.Context()) }()
		for range 5 {
			time.Sleep(9 * time.Second)
			b.end(b.begin(anInstance))
		}
		time.Sleep(9 * time.Second)
		stored := b.begin(anInstance)
		time.Sleep(time.Minute) // a store in progress
		b.end(stored)
		if err := <-quiet; err != nil || time.Since(began) != 54*time.Second+time.Minute+testGrace {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestAnAssociationThatMayBelongToTheRetrievalIsActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := leased(t)
		began := time.Now()
		quiet := make(chan error, 1)
		go func() { quiet <- l.Quiet(t.Context()) }()
		time.Sleep(8 * time.Second)
		b.seen(&arrival{called: "ONE", calling: "PACS", remote: fromA})
		time.Sleep(8 * time.Second)
		b.seen(&arrival{called: "ONE", calling: "PACS", remote: fromB})
		b.seen(&arrival{called: "TWO", calling: "PACS", remote: fromA})
		if err := <-quiet; err != nil || time.Since(began) != 8*time.Second+testGrace {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestQuietEndsWithItsContextAndWithTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := leased(t)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errLeft)
		defer cancel()
		if err := l.Quiet(ctx); !errors.Is(err, errLeft) {
			t.Error(err)
		}
		time.AfterFunc(time.Second, l.Release)
		began := time.Now()
		if err := l.Quiet(t.Context()); err != nil || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestATitleRestsAfterARetrievalThatIsNotComplete(t *testing.T) {
	for _, test := range []struct {
		complete bool
		waits    time.Duration
	}{{false, testGrace}, {true, 0}} {
		synctest.Test(t, func(t *testing.T) {
			b, l := leased(t)
			if test.complete {
				l.Complete()
			}
			l.Release()
			l.Release()
			began := time.Now()
			next := newTestLease(sourceA2, scope{"1", "1.1", ""})
			if err := b.lease(t.Context(), next, []string{"ONE"}); err != nil || time.Since(began) != test.waits {
				t.Errorf("%v after %v, want %v", err, time.Since(began), test.waits)
			}
		})
	}
}

// A PACS that sends an instance twice, the second time when the retrieval has ended, must not make it reach the next one.
func TestTheMessageIDDecidesBetweenACompleteRetrievalAndTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, first := leased(t)
		first.Complete()
		first.Release()
		second := newTestLease(sourceA, scope{study: "1"})
		if err := b.lease(t.Context(), second, []string{"ONE"}); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[uint16]*Lease{first.MessageID(): nil, second.MessageID(): second, 0: second, 777: second} {
			a := *anInstance
			a.messageID = id
			if got := b.begin(&a); got != want {
				t.Errorf("message ID %d: wrong retrieval", id)
			}
		}
	})
}

func TestOtherRetrievalsDoNotRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := leased(t)
		l.Release()
		began := time.Now()
		for _, other := range []*Lease{
			newTestLease(sourceA, scope{study: "2"}), newTestLease(sourceB, scope{study: "1"}),
		} {
			if err := b.lease(t.Context(), other, []string{"ONE"}); err != nil || time.Since(began) != 0 {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		}
	})
}

func TestRetrievalsThatCouldBeConfusedSpreadOverTheTitlesAndThenWaitInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(testGrace, &messageid.Allocator{})
		defer b.close()
		var leases []*Lease
		used := map[string]bool{}
		var order []int
		for i := range 6 {
			l := newTestLease(sourceA, scope{study: "1"})
			leases = append(leases, l)
			go func() {
				if b.lease(t.Context(), l, []string{"ONE", "TWO", "THREE", "FOUR"}) == nil {
					order = append(order, i)
				}
			}()
			synctest.Wait()
		}
		for _, l := range leases[:4] {
			used[l.AETitle()] = true
		}
		if len(order) != 4 || len(used) != 4 {
			t.Fatalf("%v have titles, %d of them", order, len(used))
		}
		leases[2].Complete()
		leases[2].Release()
		synctest.Wait()
		if len(order) != 5 || order[4] != 4 || leases[4].AETitle() != leases[2].AETitle() {
			t.Errorf("%v have titles", order)
		}
		leases[5].cancel(errLeft)
	})
}

// A large retrieval waits behind small ones of the same study, and those that come later wait behind it.
func TestNoRetrievalIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(testGrace, &messageid.Allocator{})
		defer b.close()
		running := newTestLease(sourceA, scope{"1", "1.1", ""})
		if err := b.lease(t.Context(), running, []string{"ONE"}); err != nil {
			t.Fatal(err)
		}
		var order []string
		start := func(name string, sc scope, p Preference) *Lease {
			l := newTestLease(sourceA, sc)
			l.syntax = p
			go func() {
				if b.lease(t.Context(), l, []string{"ONE"}) == nil {
					order = append(order, name)
				}
			}()
			synctest.Wait()
			return l
		}
		whole := start("whole", scope{study: "1"}, UncompressedFirst)
		series := start("series", scope{"1", "1.2", ""}, UncompressedFirst)
		other := start("other", scope{study: "2"}, UncompressedFirst)
		converted := start("converted", scope{study: "3"}, UncompressedOnly)
		start("later", scope{study: "4"}, UncompressedFirst)
		finish := func(l *Lease) {
			l.Complete()
			l.Release()
			synctest.Wait()
		}
		for _, step := range []struct {
			ends *Lease
			have string
		}{
			{nil, "[other]"},
			{running, "[other whole]"},
			{whole, "[other whole series]"},
			{other, "[other whole series]"},
			{series, "[other whole series converted]"},
			{converted, "[other whole series converted later]"},
		} {
			if step.ends != nil {
				finish(step.ends)
			}
			if got := fmt.Sprint(order); got != step.have {
				t.Fatalf("%s have had their turn, want %s", got, step.have)
			}
		}
	})
}
