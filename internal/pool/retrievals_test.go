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
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

var ctStorage = []dicomnet.Context{
	{AbstractSyntax: "1.2.840.10008.5.1.4.1.1.2", TransferSyntaxes: []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian}},
	{AbstractSyntax: "1.2.840.10008.5.1.4.1.1.2", TransferSyntaxes: []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian}},
}

// retrieving opens an association for a retrieval that takes d, and returns the error of Open.
func retrieving(t *testing.T, p *pool.Pool, peer qr.Peer, who principal.Identity, d time.Duration, began func()) error {
	s := p.Retrieval(peer, who, nil)
	defer s.End(t.Context())
	if err := s.OpenToReceive(t.Context(), ctStorage, dicomnet.StudyRoot.Get); err != nil {
		return err
	}
	if began != nil {
		began()
	}
	time.Sleep(d)
	return nil
}

func retrievalPeer(associations, retrievals int) qr.Peer {
	peer := qrtest.PACS
	peer.Settings = &pool.Settings{MaxAssociations: associations, MaxRetrievals: retrievals}
	return peer
}

func TestRetrievalsFromAPACSAreLimitedApartFromItsAssociations(t *testing.T) {
	for name, test := range map[string]struct {
		associations, retrievals int
		want                     int // at once
	}{
		"fewer than associations":                 {10, 2, 2},
		"as many as associations":                 {3, 3, 2},
		"more than associations":                  {2, 5, 1},
		"one association":                         {1, 2, 1},
		"no limit of associations":                {0, 4, 4},
		"no limit of retrievals, which means two": {10, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var open openCounter
				p := &dicomtest.ScriptedPACS{}
				g := qrtest.For(p, qrtest.Options{QueueTimeout: time.Hour, DialContext: open.count(p.DialContext)})
				peer := retrievalPeer(test.associations, test.retrievals)
				var all sync.WaitGroup
				for range 7 {
					all.Go(func() { assert.NoError(t, retrieving(t, g.Pool, peer, principal.Identity{}, time.Second, nil)) })
				}
				all.Wait()
				require.NoError(t, g.Wait(t.Context()))
				assert.Equal(t, test.want, open.most)
				assert.Zero(t, g.InUse())
				assert.NoError(t, p.Err())
			})
		})
	}
}

func TestAQueryDoesNotWaitForRetrievals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Studies: threeStudies()}
		g := qrtest.For(p, qrtest.Options{QueueTimeout: time.Hour, AssociationIdle: time.Hour})
		peer := retrievalPeer(2, 2)
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { assert.NoError(t, retrieving(t, g.Pool, peer, principal.Identity{}, time.Minute, nil)) })
		}
		synctest.Wait()
		for range 3 {
			start := time.Now()
			_, err := g.Query(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: "P1"})
			require.NoError(t, err)
			assert.Less(t, time.Since(start), time.Second)
		}
		all.Wait()
		g.Drain()
		require.NoError(t, g.Wait(t.Context()))
		assert.Zero(t, g.InUse())
		assert.NoError(t, p.Err())
	})
}

func TestARetrievalWaitsForOthersAsLongAsTheQueueAllows(t *testing.T) {
	for _, timeout := range []time.Duration{0, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{}
			g := qrtest.For(p, qrtest.Options{QueueTimeout: timeout})
			peer := retrievalPeer(10, 1)
			var all sync.WaitGroup
			all.Go(func() { assert.NoError(t, retrieving(t, g.Pool, peer, principal.Identity{}, time.Minute, nil)) })
			synctest.Wait()
			start := time.Now()
			err := retrieving(t, g.Pool, peer, principal.Identity{}, 0, nil)
			var busy *pool.BusyError
			require.ErrorAs(t, err, &busy)
			assert.Equal(t, pool.TooManyRetrievals, busy.Reason)
			assert.Equal(t, timeout, time.Since(start))
			all.Wait()
			require.NoError(t, g.Wait(t.Context()))
			assert.NoError(t, retrieving(t, g.Pool, peer, principal.Identity{}, 0, nil), "the slot is free again")
			require.NoError(t, g.Wait(t.Context()))
			assert.NoError(t, p.Err())
		})
	}
}

func TestCallersTakeTurnsWithRetrievals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{}
		g := qrtest.For(p, qrtest.Options{QueueTimeout: time.Hour})
		peer := retrievalPeer(10, 1)
		var order []string // one retrieval runs at a time
		var all sync.WaitGroup
		begin := func(who string) {
			all.Go(func() {
				assert.NoError(t, retrieving(t, g.Pool, peer, principal.Principal{Key: who}.Identity(), time.Second, func() { order = append(order, who) }))
			})
			synctest.Wait()
		}
		for range 4 {
			begin("many")
		}
		begin("one")
		all.Wait()
		assert.Equal(t, []string{"many", "many", "one", "many", "many"}, order)
		require.NoError(t, g.Wait(t.Context()))
		assert.NoError(t, p.Err())
	})
}

func TestARetrievalTriesAgainAfterATransientRejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := 0
		p := &dicomtest.ScriptedPACS{Negotiate: func(a *association) bool {
			if times++; times < 3 {
				return a.Reject(pdu.AssociateRJ{Result: 2, Source: 3, Reason: 2})
			}
			return true
		}}
		g := qrtest.For(p, qrtest.Options{})
		assert.NoError(t, retrieving(t, g.Pool, retrievalPeer(10, 2), principal.Identity{}, 0, nil))
		assert.Equal(t, 3, times)
		require.NoError(t, g.Wait(context.Background()))
		rq := p.Requests()[2]
		assert.Len(t, rq.Contexts, 3)
		assert.Len(t, rq.User.Roles, 1)
		assert.EqualValues(t, 131072, rq.User.MaxLength)
	})
}
