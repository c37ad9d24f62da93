package pool_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

func TestOperationsThatRunAreLimitedAndTheOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: findAfter(time.Second)}
		g := qrtest.For(p, qrtest.Options{MaxOperations: 8, QueueTimeout: 10 * time.Second})
		start := time.Now()
		var wait sync.WaitGroup
		for range 12 {
			wait.Go(func() { assert.NoError(t, qrtest.Query(t.Context(), g)) })
		}
		synctest.Wait()
		assert.Equal(t, 6, g.Running(), "the share of one caller")
		assert.Equal(t, 6, g.Waiting())
		wait.Wait()
		assert.Equal(t, 2*time.Second, time.Since(start))
		qrtest.Events(t, p, g)
		assert.Zero(t, g.Running())
		assert.Zero(t, g.InUse())
	})
}

// The association at the first PACS is kept for another kind, and gives way only when the operation that waits for it may run.
func TestKeptAssociationGivesWayToAnOperationThatMayRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: findAfter(time.Second)}
		lookup := func(_ context.Context, host string) ([]string, error) {
			if host == "other.example" {
				return []string{"192.0.2.2"}, nil
			}
			return []string{"192.0.2.1"}, nil
		}
		g := qrtest.For(p, qrtest.Options{
			MaxOperations: 1, MaxAssociationsPerPeer: 1, QueueTimeout: 10 * time.Second, AssociationIdle: time.Minute, LookupHost: lookup,
		})
		require.NoError(t, qrtest.Query(t.Context(), g))
		assert.Equal(t, 1, g.Idle())
		start := time.Now()
		var wait sync.WaitGroup
		wait.Go(func() {
			other := qrtest.PACS
			other.Host = "other.example"
			_, err := g.Query(t.Context(), qr.Call{}, other, qr.Filter{PatientID: "P1"})
			assert.NoError(t, err)
		})
		synctest.Wait()
		wait.Go(func() { assert.NoError(t, queryCalled(t.Context(), g, "OTHER")) })
		synctest.Wait()
		assert.Equal(t, 1, g.Waiting())
		assert.Equal(t, 1, g.Idle(), "it is not evicted for an operation that may not run")
		wait.Wait()
		assert.Equal(t, 2*time.Second, time.Since(start), "one after the other")
		qrtest.Drain(t, p, g)
	})
}

func TestReasonsOfARefusal(t *testing.T) {
	texts := map[string]bool{}
	for _, reason := range []pool.BusyReason{pool.NoAssociation, pool.QueueFull, pool.TooManyOperations, pool.CallerShare} {
		texts[(&pool.BusyError{Reason: reason}).Error()] = true
	}
	assert.Len(t, texts, 4)
}
