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
	"dicom-qr-gateway/internal/principal"
)

var (
	callerA = principal.Principal{Key: "a"}.Identity()
	callerB = principal.Principal{Key: "b"}.Identity()
)

var peerA, peerB = netip.MustParseAddrPort("192.0.2.1:104"), netip.MustParseAddrPort("192.0.2.2:104")

func TestWaitersGetSlotsInTheOrderInWhichTheyAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(0, nil)
		first, err := s.acquire(t.Context(), &operation{limit: 2}, peerA, kind{}, time.Minute)
		require.NoError(t, err)
		second, err := s.acquire(t.Context(), &operation{limit: 2}, peerA, kind{}, time.Minute)
		require.NoError(t, err)
		other, err := s.acquire(t.Context(), &operation{limit: 2}, peerB, kind{}, time.Minute)
		require.NoError(t, err, "slots are counted for each peer")

		var mu sync.Mutex
		var order []int
		for i := range 20 {
			go func() {
				held, err := s.acquire(t.Context(), &operation{limit: 2}, peerA, kind{}, time.Minute)
				assert.NoError(t, err)
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				dicomtest.Wait(time.Second)
				held.release()
			}()
			synctest.Wait()
		}
		assert.Nil(t, s.tryAcquire(&operation{limit: 2}, peerA), "tryAcquire does not overtake waiters")
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
		s := newSlots(0, nil)
		held, err := s.acquire(t.Context(), &operation{limit: 1}, peerA, kind{}, 0)
		require.NoError(t, err)
		start := time.Now()
		var busy *BusyError
		_, err = s.acquire(t.Context(), &operation{limit: 1}, peerA, kind{}, 5*time.Second)
		require.ErrorAs(t, err, &busy)
		assert.Equal(t, 5*time.Second, time.Since(start))

		_, err = s.acquire(t.Context(), &operation{limit: 1}, peerA, kind{}, 0)
		require.ErrorAs(t, err, &busy)
		assert.Equal(t, 5*time.Second, time.Since(start), "a zero timeout does not wait")

		cause := errors.New("caller disconnected")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		_, err = s.acquire(ctx, &operation{limit: 1}, peerA, kind{}, 5*time.Second)
		require.ErrorIs(t, err, cause)
		assert.Equal(t, 6*time.Second, time.Since(start))
		_, err = s.acquire(ctx, &operation{limit: 1}, peerA, kind{}, 5*time.Second)
		require.ErrorIs(t, err, cause, "a context that has ended does not queue")

		assert.Zero(t, s.peers[peerA].waiting, "waiters that gave up are not queued")
		held.release()
		assert.Empty(t, s.peers)
	})
}

// The slot is handed over at the moment in which its waiter gives up.
func TestSlotHandedToAWaiterThatGivesUpIsReleased(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			s := newSlots(0, nil)
			held, err := s.acquire(t.Context(), &operation{limit: 1}, peerA, kind{}, 0)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			var got *slot
			go func() { got, _ = s.acquire(ctx, &operation{limit: 1}, peerA, kind{}, time.Second) }()
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
	s := newSlots(0, nil)
	acquired := make([]*slot, 0, maxPeers)
	at := func(i int) netip.AddrPort { return netip.AddrPortFrom(peerA.Addr(), uint16(i+1)) }
	for i := range maxPeers {
		held, err := s.acquire(t.Context(), &operation{limit: 10}, at(i), kind{}, time.Minute)
		require.NoError(t, err)
		acquired = append(acquired, held)
	}
	var busy *BusyError
	_, err := s.acquire(t.Context(), &operation{limit: 10}, at(maxPeers), kind{}, time.Minute)
	assert.ErrorAs(t, err, &busy, "a new peer beyond the bound is refused at once")
	again, err := s.acquire(t.Context(), &operation{limit: 10}, at(0), kind{}, time.Minute)
	require.NoError(t, err, "a known peer is served")
	again.release()
	acquired[7].release()
	acquired[7], err = s.acquire(t.Context(), &operation{limit: 10}, at(maxPeers), kind{}, time.Minute)
	require.NoError(t, err)
	for _, held := range acquired {
		held.release()
	}
	assert.Empty(t, s.peers)
}

func TestSlotsAndPermitsNeverExceedTheirLimitsAndAllAreReleased(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit, operations := rapid.IntRange(1, 3).Draw(rt, "limit"), rapid.IntRange(0, 5).Draw(rt, "operations")
		type request struct {
			start, timeout, hold, cancel time.Duration
			at                           netip.AddrPort
			caller                       principal.Identity
			limit                        int
		}
		requests := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) request {
			seconds := func(name string, least int) time.Duration {
				return time.Duration(rapid.IntRange(least, 5).Draw(rt, name)) * time.Second
			}
			return request{
				seconds("start", 0), seconds("timeout", 0), seconds("hold", 0), seconds("cancel", 1),
				rapid.SampledFrom([]netip.AddrPort{peerA, peerB}).Draw(rt, "at"),
				rapid.SampledFrom([]principal.Identity{callerA, callerB}).Draw(rt, "caller"), rapid.IntRange(1, limit).Draw(rt, "own limit"),
			}
		}), 1, 30).Draw(rt, "requests")
		synctest.Test(t, func(t *testing.T) {
			s := newSlots(operations, nil)
			var mu sync.Mutex
			open, running := map[netip.AddrPort]int{}, map[principal.Identity]int{}
			for _, r := range requests {
				go func() {
					dicomtest.Wait(r.start)
					ctx, cancel := context.WithTimeout(context.Background(), r.cancel)
					defer cancel()
					o := &operation{caller: r.caller, limit: r.limit}
					defer s.finish(o)
					held, err := s.acquire(ctx, o, r.at, kind{}, r.timeout)
					if err != nil {
						return
					}
					mu.Lock()
					open[r.at]++
					running[r.caller]++
					assert.LessOrEqual(t, open[r.at], limit)
					if operations > 0 {
						assert.LessOrEqual(t, running[callerA]+running[callerB], operations)
						assert.LessOrEqual(t, running[r.caller], operations-operations/4)
					}
					mu.Unlock()
					dicomtest.Wait(r.hold)
					mu.Lock()
					open[r.at]--
					running[r.caller]--
					mu.Unlock()
					held.release()
				}()
			}
			// An operation that waits lacks a slot or a permit.
			for range 20 {
				dicomtest.Wait(time.Second)
				synctest.Wait()
				s.mu.Lock()
				for _, q := range s.peers {
					assert.Nil(t, q.next(&s.permits, q.taken+1, nil), "an operation waits for nothing")
				}
				s.mu.Unlock()
			}
			dicomtest.Wait(time.Hour)
			synctest.Wait()
			assert.Empty(t, s.peers)
			assert.Empty(t, s.permits.callers)
			assert.Zero(t, s.permits.running)
			assert.Zero(t, s.waiting)
		})
	})
}

// Operations of both classes with a share, whose limit changes.
func TestSharesLoseNoSlotAndNoOperation(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type request struct {
			start, hold, cancel int
			batch, retrieval    bool
		}
		type change struct{ limit, batch int }
		requests := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) request {
			return request{
				rapid.IntRange(0, 8).Draw(rt, "start"), rapid.IntRange(0, 4).Draw(rt, "hold"), rapid.IntRange(1, 9).Draw(rt, "cancel"),
				rapid.Bool().Draw(rt, "batch"), rapid.Bool().Draw(rt, "retrieval"),
			}
		}), 1, 25).Draw(rt, "requests")
		changes := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) change {
			return change{rapid.IntRange(0, 5).Draw(rt, "limit"), rapid.IntRange(0, 3).Draw(rt, "of batch work")}
		}), 12, 12).Draw(rt, "changes")
		synctest.Test(t, func(t *testing.T) {
			p := New(Options{})
			s, share := p.slots, p.Share(Peer{})
			for _, r := range requests {
				go func() {
					time.Sleep(time.Duration(r.start)*time.Second + time.Millisecond)
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.cancel)*time.Second)
					defer cancel()
					o := &operation{limit: 4, share: share, batch: r.batch}
					if r.retrieval {
						o.retrievals = 1
					}
					defer s.finish(o)
					held, err := s.acquire(ctx, o, peerA, kind{}, 3*time.Second)
					if err != nil {
						return
					}
					time.Sleep(time.Duration(r.hold) * time.Second)
					held.release()
				}()
			}
			for _, c := range changes {
				used := share.Usage().Used
				assert.LessOrEqual(t, share.SetLimit(c.limit, c.batch), max(c.limit, used))
				for range 2 {
					synctest.Wait()
					s.mu.Lock()
					if q := s.peers[peerA]; q != nil {
						assert.Nil(t, q.find(func(w *waiter) bool { return s.mayBegin(q, w.operation) }), "an operation waits for nothing")
					}
					s.mu.Unlock()
					time.Sleep(500 * time.Millisecond)
				}
			}
			share.SetLimit(10, 10)
			time.Sleep(time.Hour)
			synctest.Wait()
			share.Usage()
			assert.Equal(t, Usage{}, share.Usage())
			assert.Empty(t, share.holdings)
			assert.Empty(t, s.peers)
			assert.Zero(t, s.waiting)
		})
	})
}
