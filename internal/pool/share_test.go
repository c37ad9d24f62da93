package pool_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// batchQuery queries as batch work.
func batchQuery(ctx context.Context, g *qrtest.Gateway) error {
	_, err := g.Query(ctx, qr.Call{Batch: true}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	return err
}

func TestShareLimitsAssociationsBesideTheLimitOfThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open openCounter
		p := &dicomtest.ScriptedPACS{Find: findAfter(time.Second)}
		g := qrtest.For(p, qrtest.Options{MaxAssociationsPerPeer: 6, QueueTimeout: time.Minute, DialContext: open.count(p.DialContext)})
		share := g.Share(qrtest.PACS)
		assert.Same(t, share, g.Share(qrtest.PACS))
		var woken atomic.Int32
		share.Notify(func() { woken.Add(1) })
		assert.Zero(t, share.SetLimit(1, 0))

		start := time.Now()
		var wait sync.WaitGroup
		for range 9 {
			wait.Go(func() { assert.NoError(t, qrtest.Query(t.Context(), g)) })
		}
		synctest.Wait()
		assert.Equal(t, pool.Usage{Used: 1, Peak: 1, Waiting: 8}, share.Usage())
		assert.EqualValues(t, 8, woken.Load(), "each operation that waits is reported")
		dicomtest.Wait(1500 * time.Millisecond)
		assert.Equal(t, 4, share.SetLimit(4, 1), "a higher limit serves those that wait at once")
		assert.Equal(t, 4, share.SetLimit(2, 1), "a lower limit interrupts nothing")
		wait.Wait()
		assert.Equal(t, 5*time.Second-500*time.Millisecond, time.Since(start))
		qrtest.Events(t, p, g)
		assert.Equal(t, 4, open.most)
		assert.Equal(t, pool.Usage{Peak: 4}, share.Usage())
		assert.Zero(t, share.Usage().Peak)
	})
}

func TestLowerShareReleasesIdleAssociations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: findAfter(time.Second)}
		o := reusing(time.Hour)
		o.MaxAssociationsPerPeer, o.QueueTimeout = 6, time.Minute
		g := qrtest.For(p, o)
		share := g.Share(qrtest.PACS)
		var wait sync.WaitGroup
		for range 3 {
			wait.Go(func() { assert.NoError(t, qrtest.Query(t.Context(), g)) })
		}
		wait.Wait()
		synctest.Wait()
		assert.Equal(t, pool.Usage{Used: 3, Idle: 3, Peak: 3}, share.Usage())
		assert.Equal(t, 3, share.SetLimit(1, 1))
		synctest.Wait()
		assert.Equal(t, pool.Usage{Used: 1, Idle: 1}, share.Usage())
		require.NoError(t, qrtest.Query(t.Context(), g), "what is left serves the next operation")
		assert.Len(t, p.Requests(), 3)
		share.SetLimit(0, 0)
		synctest.Wait()
		assert.Zero(t, share.Usage().Used)
		g.Drain()
		require.NoError(t, g.Wait(t.Context()))
	})
}

func TestBatchWorkWaitsBehindInteractiveOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: findAfter(time.Second)}
		g := qrtest.For(p, qrtest.Options{MaxAssociationsPerPeer: 3, QueueTimeout: 4 * time.Second})
		var wait sync.WaitGroup
		start := time.Now()
		for range 6 {
			wait.Go(func() { assert.NoError(t, qrtest.Query(t.Context(), g)) })
		}
		synctest.Wait()
		for range 3 {
			wait.Go(func() { assert.NoError(t, batchQuery(t.Context(), g)) })
		}
		synctest.Wait()
		for range 6 {
			wait.Go(func() { assert.NoError(t, qrtest.Query(t.Context(), g)) })
		}
		dicomtest.Wait(4500 * time.Millisecond)
		synctest.Wait()
		usage := g.Share(qrtest.PACS).Usage()
		assert.Equal(t, 1, usage.Batch, "batch work uses a third of the associations")
		assert.Equal(t, 2, usage.BatchWaiting)
		wait.Wait()
		assert.Equal(t, 7*time.Second, time.Since(start), "four seconds for those before it, and QUEUE_TIMEOUT does not end its wait")
		qrtest.Events(t, p, g)
	})
}

func TestRoomForBatchWorkOpensOnlyWhileNoInteractiveOperationWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: findAfter(time.Second)}
		g := qrtest.For(p, qrtest.Options{MaxAssociationsPerPeer: 6, QueueTimeout: time.Minute})
		var wait sync.WaitGroup
		var inside, most atomic.Int32
		enter := func() {
			leave, err := g.Room(t.Context(), qrtest.PACS)
			if !assert.NoError(t, err) {
				return
			}
			most.Store(max(most.Load(), inside.Add(1)))
			assert.NoError(t, batchQuery(t.Context(), g))
			inside.Add(-1)
			leave()
		}
		g.Share(qrtest.PACS)
		for range 12 {
			wait.Go(func() { assert.NoError(t, qrtest.Query(t.Context(), g)) })
		}
		synctest.Wait()
		start := time.Now()
		for range 4 {
			wait.Go(enter)
		}
		synctest.Wait()
		assert.Equal(t, 4, g.Share(qrtest.PACS).Usage().BatchWaiting)
		dicomtest.Wait(1500 * time.Millisecond)
		assert.Zero(t, inside.Load(), "all associations are in use")
		wait.Wait()
		assert.EqualValues(t, 2, most.Load(), "a third of the associations")
		assert.Equal(t, 4*time.Second, time.Since(start))

		g.Share(qrtest.PACS).Press(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := g.Room(ctx, qrtest.PACS)
		require.ErrorIs(t, err, context.DeadlineExceeded, "interactive operations of other gateways come first too")
		wait.Go(enter)
		dicomtest.Wait(time.Second)
		assert.Zero(t, inside.Load())
		g.Share(qrtest.PACS).Press(false)
		wait.Wait()
		qrtest.Events(t, p, g)
	})
}

func TestRevokedShareClosesTheAssociationsThatAreTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open openCounter
		p := &dicomtest.ScriptedPACS{Find: findAfter(5 * time.Second)}
		o := reusing(time.Hour)
		o.MaxAssociationsPerPeer, o.QueueTimeout, o.DialContext = 6, time.Minute, open.count(p.DialContext)
		g := qrtest.For(p, o)
		share := g.Share(qrtest.PACS)
		var mu sync.Mutex
		var failed []error
		var wait sync.WaitGroup
		query := func(query func(context.Context, *qrtest.Gateway) error) {
			wait.Go(func() {
				if err := query(t.Context(), g); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed = append(failed, err)
				}
			})
		}
		query(batchQuery)
		synctest.Wait()
		query(qrtest.Query)
		query(qrtest.Query)
		dicomtest.Wait(time.Second)
		share.Revoke(1)
		synctest.Wait()
		assert.Equal(t, 1, open.now)
		mu.Lock()
		require.Len(t, failed, 2)
		for _, err := range failed {
			assert.Equal(t, &dicomnet.OpError{Step: dicomnet.StepFind, Err: &pool.BusyError{Reason: pool.ShareLost}}, err)
		}
		mu.Unlock()
		assert.Equal(t, pool.Usage{Used: 1, Peak: 3}, share.Usage())
		wait.Wait()
		assert.Len(t, failed, 2, "the first interactive operation keeps its association")

		share.SetLimit(2, 1)
		query(qrtest.Query)
		query(qrtest.Query)
		wait.Wait()
		synctest.Wait()
		assert.Equal(t, 2, share.Usage().Idle)
		share.Revoke(0)
		dicomtest.Wait(time.Second)
		synctest.Wait()
		assert.Zero(t, open.now, "idle associations are closed too")
		g.Drain()
		require.NoError(t, g.Wait(t.Context()))
		assert.Zero(t, share.Usage().Used)
	})
}
