package pool

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

var peerA, peerB = netip.MustParseAddrPort("192.0.2.1:104"), netip.MustParseAddrPort("192.0.2.2:104")

func TestWaitersGetSlotsInTheOrderInWhichTheyAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(nil)
		first, err := s.acquire(t.Context(), peerA, kind{}, 2, time.Minute)
		require.NoError(t, err)
		second, err := s.acquire(t.Context(), peerA, kind{}, 2, time.Minute)
		require.NoError(t, err)
		other, err := s.acquire(t.Context(), peerB, kind{}, 2, time.Minute)
		require.NoError(t, err, "slots are counted for each peer")

		var mu sync.Mutex
		var order []int
		for i := range 20 {
			go func() {
				held, err := s.acquire(t.Context(), peerA, kind{}, 2, time.Minute)
				assert.NoError(t, err)
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				dicomtest.Wait(time.Second)
				held.release()
			}()
			synctest.Wait()
		}
		assert.Nil(t, s.tryAcquire(peerA, 2), "tryAcquire does not overtake waiters")
		start := time.Now()
		first.release()
		second.release()
		dicomtest.Wait(time.Minute)
		synctest.Wait()
		want := make([]int, 20)
		for i := range want {
			want[i] = i / 2 * 2 // two at a time
		}
		for i := range order {
			order[i] = order[i] / 2 * 2
		}
		assert.Equal(t, want, order)
		assert.Equal(t, time.Minute, time.Since(start))
		other.release()
		assert.Empty(t, s.peers, "a peer without slots in use is forgotten")
	})
}

func TestAcquireWaitsUntilItsTimeoutOrTheEndOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(nil)
		held, err := s.acquire(t.Context(), peerA, kind{}, 1, 0)
		require.NoError(t, err)
		start := time.Now()
		var busy *BusyError
		_, err = s.acquire(t.Context(), peerA, kind{}, 1, 5*time.Second)
		require.ErrorAs(t, err, &busy)
		assert.Equal(t, 5*time.Second, time.Since(start))

		_, err = s.acquire(t.Context(), peerA, kind{}, 1, 0)
		require.ErrorAs(t, err, &busy)
		assert.Equal(t, 5*time.Second, time.Since(start), "a zero timeout does not wait")

		cause := errors.New("caller disconnected")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		_, err = s.acquire(ctx, peerA, kind{}, 1, 5*time.Second)
		require.ErrorIs(t, err, cause)
		assert.Equal(t, 6*time.Second, time.Since(start))
		_, err = s.acquire(ctx, peerA, kind{}, 1, 5*time.Second)
		require.ErrorIs(t, err, cause, "a context that has ended does not queue")

		assert.Zero(t, s.peers[peerA].waiting.Len(), "waiters that gave up are not queued")
		held.release()
		assert.Empty(t, s.peers)
	})
}

// The slot is handed over at the moment in which its waiter gives up.
func TestSlotHandedToAWaiterThatGivesUpIsReleased(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			s := newSlots(nil)
			held, err := s.acquire(t.Context(), peerA, kind{}, 1, 0)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			var got *slot
			go func() { got, _ = s.acquire(ctx, peerA, kind{}, 1, time.Second) }()
			synctest.Wait()
			held.release()
			cancel()
			synctest.Wait()
			got.release()
			assert.Empty(t, s.peers)
		})
	}
}

func TestNumberOfPeersIsBounded(t *testing.T) {
	s := newSlots(nil)
	acquired := make([]*slot, 0, maxPeers)
	at := func(i int) netip.AddrPort { return netip.AddrPortFrom(peerA.Addr(), uint16(i+1)) }
	for i := range maxPeers {
		held, err := s.acquire(t.Context(), at(i), kind{}, 10, time.Minute)
		require.NoError(t, err)
		acquired = append(acquired, held)
	}
	var busy *BusyError
	_, err := s.acquire(t.Context(), at(maxPeers), kind{}, 10, time.Minute)
	assert.ErrorAs(t, err, &busy, "a new peer beyond the bound is refused at once")
	again, err := s.acquire(t.Context(), at(0), kind{}, 10, time.Minute)
	require.NoError(t, err, "a known peer is served")
	again.release()
	acquired[7].release()
	acquired[7], err = s.acquire(t.Context(), at(maxPeers), kind{}, 10, time.Minute)
	require.NoError(t, err)
	for _, held := range acquired {
		held.release()
	}
	assert.Empty(t, s.peers)
}

func TestSlotsNeverExceedTheLimitAndAllAreReleased(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 3).Draw(rt, "limit")
		type caller struct {
			start, timeout, hold, cancel time.Duration
			at                           netip.AddrPort
		}
		callers := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) caller {
			seconds := func(name string, least int) time.Duration {
				return time.Duration(rapid.IntRange(least, 5).Draw(rt, name)) * time.Second
			}
			return caller{seconds("start", 0), seconds("timeout", 0), seconds("hold", 0), seconds("cancel", 1), rapid.SampledFrom([]netip.AddrPort{peerA, peerB}).Draw(rt, "at")}
		}), 1, 30).Draw(rt, "callers")
		synctest.Test(t, func(t *testing.T) {
			s := newSlots(nil)
			var mu sync.Mutex
			open := map[netip.AddrPort]int{}
			for _, c := range callers {
				go func() {
					dicomtest.Wait(c.start)
					ctx, cancel := context.WithTimeout(context.Background(), c.cancel)
					defer cancel()
					held, err := s.acquire(ctx, c.at, kind{}, limit, c.timeout)
					if err != nil {
						return
					}
					mu.Lock()
					open[c.at]++
					assert.LessOrEqual(t, open[c.at], limit)
					mu.Unlock()
					dicomtest.Wait(c.hold)
					mu.Lock()
					open[c.at]--
					mu.Unlock()
					held.release()
				}()
			}
			dicomtest.Wait(time.Hour)
			synctest.Wait()
			assert.Empty(t, s.peers)
		})
	})
}
