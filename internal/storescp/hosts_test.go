package storescp

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// names is a name server.
type names struct {
	mu      sync.Mutex
	answers []string
	err     error
	delay   time.Duration
	asked   int
}

func (n *names) set(err error, answers ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers, n.err = answers, err
}

func (n *names) lookup(ctx context.Context, _ string) ([]string, error) {
	n.mu.Lock()
	n.asked++
	delay := n.delay
	n.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.answers, n.err
}

func newHosts(n *names) *hosts {
	return &hosts{lookup: n.lookup, timeout: 5 * time.Second, byName: map[string]*host{}}
}

func TestAddressesOfANameAreLookedUpAgainWhenTheyAreOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &names{}
		h := newHosts(server)
		want := func(addresses ...string) {
			t.Helper()
			got, err := h.addresses(t.Context(), "pacs.example")
			var texts []string
			for _, address := range got {
				texts = append(texts, address.String())
			}
			if err != nil || !slices.Equal(texts, addresses) {
				t.Errorf("%v, %v, want %v", texts, err, addresses)
			}
		}
		server.set(nil, "192.0.2.1", "::ffff:192.0.2.2", "not an address")
		want("192.0.2.1", "192.0.2.2")
		server.set(nil, "192.0.2.3")
		want("192.0.2.1", "192.0.2.2")
		time.Sleep(hostsFresh + time.Second)
		want("192.0.2.3")
		server.set(errors.New("no answer"))
		time.Sleep(hostsFresh + time.Second)
		want("192.0.2.3")
		server.set(nil, "192.0.2.4")
		want("192.0.2.3")
		time.Sleep(hostsFailed + time.Second)
		want("192.0.2.4")
	})
}

func TestAFailedLookupIsNotRepeatedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &names{}
		h := newHosts(server)
		for range 3 {
			_, err := h.addresses(t.Context(), "pacs.example")
			if _, ok := errors.AsType[*dicomnet.ConnectError](err); !ok {
				t.Error(err)
			}
		}
		if server.asked != 1 {
			t.Errorf("%d lookups", server.asked)
		}
	})
}

func TestConcurrentLookupsOfANameAreOneAndEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &names{delay: time.Hour}
		h := newHosts(server)
		began := time.Now()
		var wait sync.WaitGroup
		for range 5 {
			wait.Go(func() {
				if _, err := h.addresses(t.Context(), "pacs.example"); err == nil {
					t.Error("an answer came")
				}
			})
		}
		wait.Go(func() {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errLeft)
			defer cancel()
			if _, err := h.addresses(ctx, "pacs.example"); !errors.Is(err, errLeft) {
				t.Error(err)
			}
		})
		wait.Wait()
		if server.asked != 1 || time.Since(began) != 5*time.Second {
			t.Errorf("%d lookups, %v", server.asked, time.Since(began))
		}
	})
}

func TestHostsDoNotGrowWithoutLimit(t *testing.T) {
	h := newHosts(&names{answers: []string{"192.0.2.1"}})
	for i := range maxHosts + 10 {
		if _, err := h.addresses(t.Context(), "pacs"+netip.AddrFrom4([4]byte{0, 0, byte(i >> 8), byte(i)}).String()+".example"); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.byName) > maxHosts {
		t.Errorf("%d names", len(h.byName))
	}
}
