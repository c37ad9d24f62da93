package pool

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/principal"
)

// crowd are operations of several callers that wait for peerA.
type crowd struct {
	t     *testing.T
	slots *slots
	mu    sync.Mutex
	order strings.Builder // the keys of the callers in the order in which their operations began
}

// wait begins one operation for each key. Each holds its slot for a second.
func (c *crowd) wait(callers string) {
	for _, key := range callers {
		go func() {
			o := &operation{caller: principal.Principal{Key: string(key)}.Identity(), limit: 1}
			defer c.slots.finish(o)
			held, err := c.slots.acquire(c.t.Context(), o, peerA, kind{}, time.Hour)
			if !assert.NoError(c.t, err) {
				return
			}
			c.mu.Lock()
			c.order.WriteRune(key)
			c.mu.Unlock()
			dicomtest.Wait(time.Second)
			held.release()
		}()
		synctest.Wait()
	}
}

func TestCallersTakeTurnsAtAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{t: t, slots: newSlots(0, nil)}
		held, err := c.slots.acquire(t.Context(), &operation{limit: 1}, peerA, kind{}, 0)
		require.NoError(t, err)
		c.wait("aaaaaaaaabbc")
		held.release()
		time.Sleep(2500 * time.Millisecond)
		c.wait("d")
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, "abcabdaaaaaaa", c.order.String(), "a flood delays another caller by one turn")
	})
}

func TestQueueOfAPeerIsBoundedAndLeavesRoomForOtherCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(8, nil)
		held, err := s.acquire(t.Context(), &operation{limit: 1}, peerA, kind{}, 0)
		require.NoError(t, err)
		refused := func(caller string) (reason BusyReason, refused bool) {
			_, w, err := s.join(&operation{caller: principal.Principal{Key: caller}.Identity(), limit: 1}, peerA, kind{}, true)
			if err == nil {
				require.NotNil(t, w)
				return 0, false
			}
			busy, ok := err.(*BusyError) //nolint:errorlint // not wrapped
			require.True(t, ok)
			return busy.Reason, true
		}
		waiting := func(caller string) int {
			n := 0
			for ; ; n++ {
				reason, full := refused(caller)
				if !full {
					continue
				}
				assert.Equal(t, CallerShare, reason)
				return n
			}
		}
		assert.Equal(t, 8, waiting("a"), "half of twice the operations")
		assert.Equal(t, 4, waiting("b"), "half of the rest")
		assert.Equal(t, 2, waiting("c"))
		for _, caller := range []string{"d", "e"} {
			_, full := refused(caller)
			assert.False(t, full)
		}
		reason, full := refused("f")
		assert.True(t, full)
		assert.Equal(t, QueueFull, reason)
		_, err = s.acquire(t.Context(), &operation{caller: callerA, limit: 1}, peerB, kind{}, 0)
		require.NoError(t, err, "another peer has a queue of its own")
		held.release()
	})
}

// begin acquires a slot at another peer for each of the operations.
func begin(t *testing.T, s *slots, caller principal.Identity, operations int) (begun []*operation, held []*slot) {
	t.Helper()
	for range operations {
		o := &operation{caller: caller, limit: 1}
		acquired, err := s.acquire(t.Context(), o, netip.AddrPortFrom(peerB.Addr(), uint16(1000+len(s.peers))), kind{}, 0)
		require.NoError(t, err)
		begun, held = append(begun, o), append(held, acquired)
	}
	return begun, held
}

func reasonOf(t *testing.T, err error) BusyReason {
	t.Helper()
	var busy *BusyError
	require.ErrorAs(t, err, &busy)
	return busy.Reason
}

func TestOneCallerCannotRunAllOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(8, nil)
		begun, held := begin(t, s, callerA, 6)
		_, err := s.acquire(t.Context(), &operation{caller: callerA, limit: 10}, peerA, kind{}, 5*time.Second)
		assert.Equal(t, CallerShare, reasonOf(t, err))
		_, err = s.acquire(t.Context(), &operation{caller: callerA, limit: 10}, peerA, kind{}, 0)
		assert.Equal(t, CallerShare, reasonOf(t, err), "without a wait")
		begin(t, s, callerB, 2)
		_, err = s.acquire(t.Context(), &operation{caller: callerB, limit: 10}, peerA, kind{}, 5*time.Second)
		assert.Equal(t, TooManyOperations, reasonOf(t, err))

		var order []string
		for _, name := range []string{"a", "b"} {
			go func() {
				o := &operation{caller: principal.Principal{Key: name}.Identity(), limit: 10}
				acquired, err := s.acquire(t.Context(), o, peerA, kind{}, time.Hour)
				assert.NoError(t, err)
				order = append(order, name)
				acquired.release()
			}()
			synctest.Wait()
		}
		s.finish(begun[0])
		held[0].release()
		synctest.Wait()
		assert.Equal(t, []string{"b"}, order, "the caller with fewer operations goes first")
		s.finish(begun[1])
		held[1].release()
		synctest.Wait()
		assert.Equal(t, []string{"b", "a"}, order)
	})
}

func TestOperationThatWaitsForASlotHoldsNothingThatOthersNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(4, nil)
		slow := &operation{caller: callerA, limit: 1}
		held, err := s.acquire(t.Context(), slow, peerA, kind{}, 0)
		require.NoError(t, err)
		for range 4 {
			go func() {
				_, err := s.acquire(t.Context(), &operation{caller: callerA, limit: 1}, peerA, kind{}, 5*time.Second)
				assert.Equal(t, NoAssociation, reasonOf(t, err))
			}()
		}
		synctest.Wait()
		assert.Equal(t, 4, s.waiting)
		assert.Equal(t, 1, s.permits.running)
		_, err = s.acquire(t.Context(), &operation{caller: callerA, limit: 1}, peerB, kind{}, 0)
		require.NoError(t, err, "the same caller at another peer")
		_, err = s.acquire(t.Context(), &operation{caller: callerB, limit: 1}, peerB, kind{}, 0)
		assert.Equal(t, NoAssociation, reasonOf(t, err))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Zero(t, s.waiting)
		held.release()
		s.finish(slow)
		s.finish(slow) // once is enough
		assert.Equal(t, 1, s.permits.running)
	})
}

func TestPermitGoesToTheNextWhileAnAssociationIsClosedForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closing := make(chan func(), 1)
		s := newSlots(1, func(f func()) { closing <- f })
		running := &operation{caller: callerA, limit: 1}
		held, err := s.acquire(t.Context(), running, peerA, kind{}, 0)
		require.NoError(t, err)
		idle, err := s.acquire(t.Context(), running, peerB, kind{}, 0)
		require.NoError(t, err)
		idle.assoc, idle.kind, idle.idleTime, idle.opened = &dicomnet.Association{}, kind{called: "OTHER"}, time.Hour, time.Now()
		idle.release()

		ctx, leave := context.WithCancel(t.Context())
		var order []string
		wait := func(name string, address netip.AddrPort) {
			if _, err := s.acquire(ctx, &operation{caller: callerB, limit: 1}, address, kind{}, time.Minute); err == nil {
				order = append(order, name)
			}
		}
		go wait("needs the slot of an idle association", peerB)
		synctest.Wait()
		go wait("needs a permit", netip.MustParseAddrPort("192.0.2.3:104"))
		synctest.Wait()
		held.release()
		s.finish(running)
		synctest.Wait()
		assert.Equal(t, []string{"needs a permit"}, order)
		leave()
		synctest.Wait()
	})
}

func TestPermitBelongsToTheOperationUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1, nil)
		o := &operation{caller: callerA, limit: 1}
		first, err := s.acquire(t.Context(), o, peerA, kind{}, 0)
		require.NoError(t, err)
		first.release()
		_, err = s.acquire(t.Context(), &operation{caller: callerB, limit: 1}, peerB, kind{}, time.Second)
		assert.Equal(t, TooManyOperations, reasonOf(t, err))
		second, err := s.acquire(t.Context(), o, peerB, kind{}, 0)
		require.NoError(t, err, "it runs already")
		second.release()
		s.finish(o)
		assert.Empty(t, s.peers)
		assert.Empty(t, s.permits.callers)
	})
}
