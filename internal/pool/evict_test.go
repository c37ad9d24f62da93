package pool_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// releaseAfter answers C-FIND, and the A-RELEASE-RQ that follows it only after d.
func releaseAfter(d time.Duration) func(*association, string) {
	return func(a *association, _ string) {
		a.Finish(dicomnet.StatusSuccess)
		if next, ok := a.PeekType(); ok && next == pdu.TypeReleaseRQ {
			a.ReadPDU()
			dicomtest.Wait(d)
			a.SendPDU(&pdu.ReleaseRP{})
			a.ReadPDU()
		}
	}
}

func TestIdleAssociationIsEvictedForAnOperationOfAnotherKind(t *testing.T) {
	for name, queueTimeout := range map[string]time.Duration{"that queues": time.Minute, "that does not queue": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var open openCounter
				p := &dicomtest.ScriptedPACS{Find: releaseAfter(3 * time.Second)}
				o := reusing(time.Hour)
				o.MaxAssociationsPerPeer, o.QueueTimeout = 2, queueTimeout
				o.DialContext = open.count(p.DialContext)
				g := qrtest.For(p, o)
				for _, title := range []string{"A", "B"} {
					require.NoError(t, queryCalled(t.Context(), g, title))
					dicomtest.Wait(time.Second)
				}
				start := time.Now()
				require.NoError(t, queryCalled(t.Context(), g, "C"))
				assert.Equal(t, 3*time.Second, time.Since(start), "the operation waits until the association that was idle for longest is closed")
				assert.Equal(t, 2, open.most)

				start = time.Now()
				require.NoError(t, queryCalled(t.Context(), g, "B"))
				assert.Zero(t, time.Since(start), "the other idle association is still there")
				report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
				assert.Equal(t, "echo ok", qrtest.Outcomes(report)[4], "Echo gets a slot too")
				g.Drain()
				require.NoError(t, g.Wait(t.Context()))
				_ = p.Err() // releaseAfter reads on after the release
				assert.Zero(t, g.InUse())
			})
		})
	}
}

// Operations of one kind keep coming while one of another kind waits.
func TestReuseDoesNotStarveOperationsOfAnotherKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: findAfter(time.Second)}
		o := reusing(time.Hour)
		o.MaxAssociationsPerPeer, o.QueueTimeout = 2, time.Minute
		g := qrtest.For(p, o)
		ctx, stop := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		for range 6 {
			wait.Go(func() {
				for ctx.Err() == nil {
					assert.NoError(t, queryCalled(t.Context(), g, "A"))
				}
			})
		}
		dicomtest.Wait(10500 * time.Millisecond)
		start := time.Now()
		require.NoError(t, queryCalled(t.Context(), g, "B"))
		// Two operations run, and four are ahead in the queue.
		assert.LessOrEqual(t, time.Since(start), 4*time.Second)
		stop()
		wait.Wait()
		qrtest.Drain(t, p, g)
	})
}

func TestQueuedOperationsShareAnAssociationInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: findAfter(time.Second)}
		o := reusing(time.Hour)
		o.MaxAssociationsPerPeer, o.QueueTimeout = 1, time.Minute
		g := qrtest.For(p, o)
		var mu sync.Mutex
		var order []int
		var wait sync.WaitGroup
		start := time.Now()
		for i := range 10 {
			wait.Go(func() {
				assert.NoError(t, qrtest.Query(t.Context(), g))
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
			synctest.Wait()
		}
		wait.Wait()
		assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, order)
		assert.Equal(t, 10*time.Second, time.Since(start))
		assert.Equal(t, slices.Concat([]string{"associate FIND"}, repeat(10, "find STUDY"), []string{"release"}), qrtest.Drain(t, p, g))
	})
}

// An association is handed to a waiting operation at the moment in which that gives up.
func TestAssociationHandedToAnOperationThatGivesUpIsKept(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: findAfter(time.Second)}
			o := reusing(time.Hour)
			o.MaxAssociationsPerPeer, o.QueueTimeout = 1, time.Second
			g := qrtest.For(p, o)
			var wait sync.WaitGroup
			for range 4 {
				wait.Go(func() { _ = qrtest.Query(t.Context(), g) })
			}
			wait.Wait()
			dicomtest.Wait(time.Minute)
			synctest.Wait()
			assert.Equal(t, 1, g.Idle())
			require.NoError(t, qrtest.Query(t.Context(), g))
			qrtest.Drain(t, p, g)
			assert.Len(t, p.Requests(), 1)
		})
	}
}

// PACS accept one association and refuse a second in several ways.
func TestIdleAssociationsAreReleasedIfThePACSRefusesAnother(t *testing.T) {
	for name, refuse := range map[string]func(*dicomtest.ScriptedPeer){
		"rejected-transient": func(a *dicomtest.ScriptedPeer) { a.SendPDU(&pdu.AssociateRJ{Result: 2, Source: 3, Reason: 2}) },
		"rejected-permanent": func(a *dicomtest.ScriptedPeer) { a.SendPDU(&pdu.AssociateRJ{Result: 1, Source: 3, Reason: 2}) },
		"abort":              func(a *dicomtest.ScriptedPeer) { a.SendPDU(&pdu.Abort{}) },
		"close":              func(*dicomtest.ScriptedPeer) {},
		"silence":            func(a *dicomtest.ScriptedPeer) { a.ExpectAbort(pdu.SourceUser, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var open atomic.Int32
				p := &dicomtest.ScriptedPACS{}
				script := dicomtest.Script{Play: func(peer *dicomtest.ScriptedPeer) {
					dicomtest.Wait(time.Millisecond) // an association that is over has been counted as over
					defer open.Add(-1)
					if open.Add(1) > 1 {
						peer.ReadAssociateRQ()
						refuse(peer)
						return
					}
					p.Play(peer)
				}}
				o := reusing(time.Hour)
				o.DialContext = script.DialContext
				g := qrtest.For(p, o)
				for _, title := range []string{"A", "B", "A", "A", "B"} {
					require.NoError(t, queryCalled(t.Context(), g, title))
				}
				qrtest.Drain(t, p, g)
				require.NoError(t, script.Err())
				assert.Len(t, p.Requests(), 4)
			})
		})
	}
}

func TestPermanentRejectionDoesNotReleaseIdleAssociations(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Negotiate: func(a *association) bool {
		return a.Number != 2 || a.Reject(dicomtest.CalledAETitleNotRecognized)
	}}
	g := qrtest.For(p, reusing(time.Minute))
	require.NoError(t, qrtest.Query(t.Context(), g))
	var reject *dicomnet.RejectError
	require.ErrorAs(t, queryCalled(t.Context(), g, "WRONG"), &reject)
	assert.Equal(t, 1, g.Idle())
	qrtest.Drain(t, p, g)
}

func TestDrainReleasesIdleAssociationsAndKeepsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: releaseAfter(3 * time.Second)}
		g := qrtest.For(p, reusing(time.Hour))
		for _, title := range []string{"A", "B", "C"} {
			require.NoError(t, queryCalled(t.Context(), g, title))
		}
		dicomtest.Wait(time.Second) // the associations are watched now
		require.Equal(t, 3, g.Idle())
		start := time.Now()
		g.Drain()
		assert.Zero(t, time.Since(start), "Drain does not wait for the releases")
		assert.Zero(t, g.Idle())
		require.NoError(t, g.Wait(t.Context()))
		assert.Equal(t, 3*time.Second, time.Since(start), "Wait waits for the releases, which run at the same time")
		require.NoError(t, qrtest.Query(t.Context(), g), "operations after Drain are served")
		assert.Zero(t, g.Idle())
		require.NoError(t, g.Wait(t.Context()))
		assert.Zero(t, g.InUse())
		_ = p.Err()
	})
}

func TestReleaseOfAnIdleAssociationTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
			a.Finish(dicomnet.StatusSuccess)
			a.Expect(pdu.TypeReleaseRQ)
			a.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
			a.ReadPDU()
		}}
		g := qrtest.For(p, reusing(time.Hour))
		require.NoError(t, qrtest.Query(t.Context(), g))
		start := time.Now()
		g.Drain()
		require.NoError(t, g.Wait(t.Context()))
		assert.Equal(t, qrtest.Timeout, time.Since(start))
		_ = p.Err()
		assert.Zero(t, g.InUse())
	})
}
