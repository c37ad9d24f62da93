package pool_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
	"dicom-qr-gateway/server/problem"
)

var congestion = pdu.AssociateRJ{Result: 2, Source: 3, Reason: 1}

// rejecting returns a PACS that rejects the first n associations, and all if n is negative.
func rejecting(rj pdu.AssociateRJ, n int) *dicomtest.ScriptedPACS {
	return &dicomtest.ScriptedPACS{Negotiate: func(a *association) bool {
		return n >= 0 && a.Number > n || a.Reject(rj)
	}}
}

// gaps returns the times between the associations.
func gaps(p *dicomtest.ScriptedPACS) []time.Duration {
	var list []time.Duration
	var last time.Time
	for _, e := range p.Events() {
		if e.Name != "associate" {
			continue
		}
		if !last.IsZero() {
			list = append(list, e.At.Sub(last))
		}
		last = e.At
	}
	return list
}

func TestTransientRejectionsAreRetriedWithBackoff(t *testing.T) {
	for _, test := range []struct {
		name         string
		reject       pdu.AssociateRJ
		times        int
		associations int
		err          string
	}{
		{"local limit exceeded, always", pdu.AssociateRJ{Result: 2, Source: 3, Reason: 2}, -1, 1 + pool.MaxRetries, "rejected-transient, service-provider (presentation), local-limit-exceeded"},
		{"temporary congestion, twice", congestion, 2, 3, ""},
		{"no reason given, until the last retry", pdu.AssociateRJ{Result: 2, Source: 1, Reason: 1}, pool.MaxRetries, 1 + pool.MaxRetries, ""},
		{"called AE title", pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7}, -1, 1, "rejected-permanent, service-user, called-AE-title-not-recognized"},
		{"local limit exceeded, permanently", pdu.AssociateRJ{Result: 1, Source: 3, Reason: 2}, -1, 1, "rejected-permanent, service-provider (presentation), local-limit-exceeded"},
		{"undefined numbers", pdu.AssociateRJ{Result: 9, Source: 9, Reason: 9}, -1, 1, "result 9, source 9, reason 9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := rejecting(test.reject, test.times)
				g := qrtest.For(p, qrtest.Options{})
				err := qrtest.Query(t.Context(), g)
				if test.err == "" {
					assert.NoError(t, err)
				} else {
					assert.EqualError(t, err, "associate: association rejected: "+test.err)
				}
				qrtest.Events(t, p, g)
				require.Len(t, p.Requests(), test.associations)
				for i, gap := range gaps(p) {
					longest := pool.FirstBackoff << i
					assert.LessOrEqual(t, gap, longest)
					assert.Greater(t, gap, longest/2)
				}
				assert.Zero(t, g.InUse())
			})
		})
	}
}

func TestBackoffIsRandom(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 20 {
		seen[pool.Backoff(2)] = true
	}
	assert.Greater(t, len(seen), 10, "operations that are rejected together come back at different times")
}

func TestRetriesEndWithTheCallersTime(t *testing.T) {
	t.Run("a retry that would be too late is left out", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := rejecting(congestion, -1)
			g := qrtest.For(p, qrtest.Options{OperationTimeout: pool.FirstBackoff / 2})
			var reject *dicomnet.RejectError
			require.ErrorAs(t, qrtest.Query(t.Context(), g), &reject, "the rejection says more than a timeout")
			assert.Len(t, p.Requests(), 1)
			require.NoError(t, p.Err())
		})
	})
	t.Run("a caller that disconnects ends the backoff", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := rejecting(congestion, -1)
			g := qrtest.For(p, qrtest.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			start := time.Now()
			require.ErrorIs(t, qrtest.Query(ctx, g), context.Canceled)
			assert.Equal(t, time.Millisecond, time.Since(start))
			assert.Len(t, p.Requests(), 1)
			assert.Zero(t, g.InUse())
			require.NoError(t, p.Err())
		})
	})
}

func TestSlotIsHeldDuringTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := rejecting(congestion, 1)
		p.Find = func(a *dicomtest.ScriptedAssociation, _ string) {
			dicomtest.Wait(time.Second) // so that the operations end at different times
			a.Finish(dicomnet.StatusSuccess)
		}
		g := qrtest.For(p, qrtest.Options{MaxAssociationsPerPeer: 1, QueueTimeout: time.Minute})
		order := make(chan int, 2)
		var wait sync.WaitGroup
		for i := range 2 {
			wait.Go(func() {
				assert.NoError(t, qrtest.Query(t.Context(), g))
				order <- i
			})
			synctest.Wait()
		}
		assert.Len(t, p.Requests(), 1, "the second operation waits for the slot")
		wait.Wait()
		assert.Equal(t, []int{0, 1}, []int{<-order, <-order})
		qrtest.Events(t, p, g)
	})
}

func TestEchoReportsARejectionWithoutRetrying(t *testing.T) {
	p := rejecting(congestion, -1)
	g := qrtest.For(p, qrtest.Options{})
	report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
	qrtest.FailedStep(t, report)
	assert.Contains(t, problem.EchoHint(report, len(report.Steps)-1, false), "temporary congestion")
	require.NoError(t, p.Err())
	assert.Len(t, p.Requests(), 1)
}
