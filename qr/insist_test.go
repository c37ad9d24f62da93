package qr

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// rejector rejects so many associations (less than 0: all) and then answers C-FIND with nothing. It keeps when each came.
type rejector struct {
	reject pdu.AssociateRJ
	times  int

	script dicomtest.Script
	mu     sync.Mutex
	came   []time.Time
}

func (r *rejector) gateway(o Options) *Gateway {
	r.script.Play = r.play
	o.DialContext, o.LookupHost = r.script.DialContext, someAddress
	return New(o)
}

func (r *rejector) play(p *dicomtest.Peer) {
	p.ReadAssociateRQ()
	r.mu.Lock()
	r.came = append(r.came, time.Now())
	n := len(r.came)
	r.mu.Unlock()
	if r.times < 0 || n <= r.times {
		p.SendPDU(&r.reject)
		return
	}
	p.SendPDU(p.AC(dataset.ImplicitVRLittleEndian))
	p.SendMessage(dicomtest.Response(p.ReadRequest(dicomnet.CFindRQ), dicomnet.StatusSuccess, nil))
	p.Release()
}

// gaps are the times between the associations.
func (r *rejector) gaps() []time.Duration {
	var gaps []time.Duration
	for i := 1; i < len(r.came); i++ {
		gaps = append(gaps, r.came[i].Sub(r.came[i-1]))
	}
	return gaps
}

func query(ctx context.Context, g *Gateway) error {
	_, err := g.Query(ctx, thePACS, Filter{PatientID: "P1"})
	return err
}

func TestOnlyARejectionThatMayPassIsTriedAgain(t *testing.T) {
	for _, test := range []struct {
		name         string
		reject       pdu.AssociateRJ
		times        int
		associations int
		err          string
	}{
		{"local limit exceeded, for ever", pdu.AssociateRJ{Result: 2, Source: 3, Reason: 2}, -1, 1 + maxRetries, "rejected-transient, service-provider (presentation), local-limit-exceeded"},
		{"temporary congestion, twice", pdu.AssociateRJ{Result: 2, Source: 3, Reason: 1}, 2, 3, ""},
		{"no reason given, as often as it may be", pdu.AssociateRJ{Result: 2, Source: 1, Reason: 1}, maxRetries, 1 + maxRetries, ""},
		{"called AE title", pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7}, -1, 1, "rejected-permanent, service-user, called-AE-title-not-recognized"},
		{"local limit exceeded, permanently", pdu.AssociateRJ{Result: 1, Source: 3, Reason: 2}, -1, 1, "rejected-permanent, service-provider (presentation), local-limit-exceeded"},
		{"numbers that mean nothing", pdu.AssociateRJ{Result: 9, Source: 9, Reason: 9}, -1, 1, "result 9, source 9, reason 9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &rejector{reject: test.reject, times: test.times}
				g := r.gateway(Options{})
				err := query(t.Context(), g)
				if test.err == "" {
					assert.NoError(t, err)
				} else {
					assert.EqualError(t, err, "associate: association rejected: "+test.err)
				}
				require.NoError(t, g.Wait(t.Context()))
				require.NoError(t, r.script.Err())
				require.Len(t, r.came, test.associations)
				for i, gap := range r.gaps() {
					longest := firstBackoff << i
					assert.LessOrEqual(t, gap, longest)
					assert.Greater(t, gap, longest/2)
				}
				assert.Empty(t, g.places.peers)
			})
		})
	}
}

func TestCallersThatAreRejectedTogetherDoNotComeBackTogether(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 20 {
		seen[backoff(2)] = true
	}
	assert.Greater(t, len(seen), 10)
}

func TestTheTimeOfTheCallerBoundsTheRetries(t *testing.T) {
	congested := pdu.AssociateRJ{Result: 2, Source: 3, Reason: 1}
	t.Run("a retry that would come too late is left out", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := &rejector{reject: congested, times: -1}
			g := r.gateway(Options{OperationTimeout: firstBackoff / 2})
			err := query(t.Context(), g)
			var reject *dicomnet.RejectError
			require.ErrorAs(t, err, &reject, "what the PACS said is worth more than that time is over")
			assert.Len(t, r.came, 1)
			require.NoError(t, r.script.Err())
		})
	})
	t.Run("a caller that leaves is not waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := &rejector{reject: congested, times: -1}
			g := r.gateway(Options{})
			ctx, leave := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, leave)
			start := time.Now()
			require.ErrorIs(t, query(ctx, g), context.Canceled)
			assert.Equal(t, time.Millisecond, time.Since(start))
			assert.Len(t, r.came, 1)
			assert.Empty(t, g.places.peers)
			require.NoError(t, r.script.Err())
		})
	})
}

func TestThePlaceIsKeptDuringTheBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rejector{reject: pdu.AssociateRJ{Result: 2, Source: 3, Reason: 1}, times: 1}
		g := r.gateway(Options{MaxAssociationsPerPeer: 1, QueueTimeout: time.Minute})
		order := make(chan int, 2)
		var wait sync.WaitGroup
		for i := range 2 {
			wait.Go(func() {
				assert.NoError(t, query(t.Context(), g))
				order <- i
			})
			synctest.Wait()
		}
		r.mu.Lock()
		assert.Len(t, r.came, 1, "the second does not run into the same rejection")
		r.mu.Unlock()
		wait.Wait()
		assert.Equal(t, []int{0, 1}, []int{<-order, <-order})
		require.NoError(t, g.Wait(t.Context()))
		require.NoError(t, r.script.Err())
	})
}

func TestEchoTellsARejectionAtOnce(t *testing.T) {
	r := &rejector{reject: pdu.AssociateRJ{Result: 2, Source: 3, Reason: 1}, times: -1}
	g := r.gateway(Options{})
	assert.Contains(t, failing(t, g.Echo(t.Context(), thePACS)).Hint, "temporary congestion")
	require.NoError(t, r.script.Err())
	assert.Len(t, r.came, 1)
}
