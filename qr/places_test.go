package qr

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

func TestPlacesAreGivenInTheOrderOfAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(2)
		first, err := p.take(t.Context(), peerA, kind{}, time.Minute)
		require.NoError(t, err)
		second, err := p.take(t.Context(), peerA, kind{}, time.Minute)
		require.NoError(t, err)
		other, err := p.take(t.Context(), peerB, kind{}, time.Minute)
		require.NoError(t, err, "another peer is another matter")

		var mu sync.Mutex
		var order []int
		for i := range 20 {
			go func() {
				mine, err := p.take(t.Context(), peerA, kind{}, time.Minute)
				assert.NoError(t, err)
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				dicomtest.Wait(time.Second)
				mine.free()
			}()
			synctest.Wait()
		}
		assert.Nil(t, p.tryTake(peerA), "nobody overtakes those who wait")
		start := time.Now()
		first.free()
		second.free()
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
		other.free()
		assert.Empty(t, p.peers, "idle peers are forgotten")
	})
}

func TestAPlaceIsWaitedForOnlySoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(1)
		held, err := p.take(t.Context(), peerA, kind{}, 0)
		require.NoError(t, err)
		start := time.Now()
		var busy *BusyError
		_, err = p.take(t.Context(), peerA, kind{}, 5*time.Second)
		require.ErrorAs(t, err, &busy)
		assert.Equal(t, 5*time.Second, time.Since(start))

		_, err = p.take(t.Context(), peerA, kind{}, -1)
		require.ErrorAs(t, err, &busy)
		assert.Equal(t, 5*time.Second, time.Since(start), "not at all")

		gone := errors.New("gone")
		ctx, leave := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { leave(gone) })
		_, err = p.take(ctx, peerA, kind{}, 5*time.Second)
		require.ErrorIs(t, err, gone)
		assert.Equal(t, 6*time.Second, time.Since(start))
		_, err = p.take(ctx, peerA, kind{}, 5*time.Second)
		require.ErrorIs(t, err, gone, "who is gone does not get in line")

		assert.Zero(t, p.peers[peerA].waiting.Len(), "those who left are not waited for")
		held.free()
		assert.Empty(t, p.peers)
	})
}

// A place that is handed over in the moment in which its caller gives up is not lost.
func TestNoPlaceIsLost(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			p := newPlaces(1)
			held, err := p.take(t.Context(), peerA, kind{}, 0)
			require.NoError(t, err)
			ctx, leave := context.WithCancel(t.Context())
			var got *place
			go func() { got, _ = p.take(ctx, peerA, kind{}, time.Second) }()
			synctest.Wait()
			held.free()
			leave()
			synctest.Wait()
			got.free()
			assert.Empty(t, p.peers)
		})
	}
}

func TestTheTableOfPeersIsBounded(t *testing.T) {
	p := newPlaces(10)
	taken := make([]*place, 0, maxPeers)
	at := func(i int) netip.AddrPort { return netip.AddrPortFrom(peerA.Addr(), uint16(i+1)) }
	for i := range maxPeers {
		mine, err := p.take(t.Context(), at(i), kind{}, time.Minute)
		require.NoError(t, err)
		taken = append(taken, mine)
	}
	var busy *BusyError
	_, err := p.take(t.Context(), at(maxPeers), kind{}, time.Minute)
	assert.ErrorAs(t, err, &busy, "at once")
	again, err := p.take(t.Context(), at(0), kind{}, time.Minute)
	require.NoError(t, err, "peers that are in it are served")
	again.free()
	taken[7].free()
	taken[7], err = p.take(t.Context(), at(maxPeers), kind{}, time.Minute)
	require.NoError(t, err)
	for _, mine := range taken {
		mine.free()
	}
	assert.Empty(t, p.peers)
}

func TestNeverMoreThanMayBeAndAllGoneAtTheEnd(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		each := rapid.IntRange(1, 3).Draw(rt, "each")
		type caller struct {
			comes, patience, stays, leaves time.Duration
			at                             netip.AddrPort
		}
		callers := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) caller {
			some := func(name string, least int) time.Duration {
				return time.Duration(rapid.IntRange(least, 5).Draw(rt, name)) * time.Second
			}
			return caller{some("comes", 0), some("patience", 0), some("stays", 0), some("leaves", 1), rapid.SampledFrom([]netip.AddrPort{peerA, peerB}).Draw(rt, "at")}
		}), 1, 30).Draw(rt, "callers")
		synctest.Test(t, func(t *testing.T) {
			p := newPlaces(each)
			var mu sync.Mutex
			open := map[netip.AddrPort]int{}
			for _, c := range callers {
				go func() {
					dicomtest.Wait(c.comes)
					ctx, cancel := context.WithTimeout(context.Background(), c.leaves)
					defer cancel()
					mine, err := p.take(ctx, c.at, kind{}, c.patience)
					if err != nil {
						return
					}
					mu.Lock()
					open[c.at]++
					assert.LessOrEqual(t, open[c.at], each)
					mu.Unlock()
					dicomtest.Wait(c.stays)
					mu.Lock()
					open[c.at]--
					mu.Unlock()
					mine.free()
				}()
			}
			dicomtest.Wait(time.Hour)
			synctest.Wait()
			assert.Empty(t, p.peers)
		})
	})
}
