package pool

import (
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/principal"
)

func TestSettingsOfANamedPACSOverrideThoseOfThePool(t *testing.T) {
	common := Options{
		Timeouts: dicomnet.Timeouts{DIMSE: time.Second}, TLS: &tls.Config{MinVersion: tls.VersionTLS12},
		MaxAssociationsPerPeer: 10, AssociationIdle: time.Minute,
	}
	p := New(common)
	peer := Peer{Host: "192.0.2.1", Port: 104, TLS: true}
	assert.Equal(t, common.Timeouts, p.timeouts(&peer))
	assert.Same(t, common.TLS, p.tls(&peer))
	assert.Equal(t, 10, p.limit(&peer))
	assert.Equal(t, time.Minute, p.idleTime(&peer))
	assert.Equal(t, dicomnet.StudyRoot, peer.Model())
	assert.False(t, peer.Profile().Known)
	assert.Equal(t, "192.0.2.1:104", peer.Label())

	peer.Name, peer.Settings = "main", &Settings{}
	assert.Equal(t, common.Timeouts, p.timeouts(&peer))
	assert.Same(t, common.TLS, p.tls(&peer))
	assert.Equal(t, 10, p.limit(&peer))
	assert.Zero(t, p.idleTime(&peer))
	assert.Equal(t, "main", peer.Label())

	own := &tls.Config{MinVersion: tls.VersionTLS13}
	peer.Settings = &Settings{
		Timeouts: dicomnet.Timeouts{DIMSE: time.Hour}, TLS: own, MaxAssociations: 2, AssociationIdle: time.Second,
		PatientRoot: true, Profile: Profile{Known: true},
	}
	assert.Equal(t, time.Hour, p.timeouts(&peer).DIMSE)
	assert.Same(t, own, p.tls(&peer))
	assert.Equal(t, 2, p.limit(&peer))
	assert.Equal(t, time.Second, p.idleTime(&peer))
	assert.Equal(t, dicomnet.PatientRoot, peer.Model())
	assert.True(t, peer.Profile().Known)
	peer.TLS = false
	assert.Nil(t, p.tls(&peer))
}

func TestANamedPACSNeedsNoEntryInTheAllowlist(t *testing.T) {
	allow, err := ParseAllowlist("192.0.2.99")
	require.NoError(t, err)
	p := New(Options{Allow: allow})
	peer := Peer{Host: "192.0.2.1", Port: 104}
	_, err = p.Session(peer, principal.Identity{}, nil).permitted(t.Context())
	var refused *NotAllowedError
	require.ErrorAs(t, err, &refused)
	peer.Settings = &Settings{}
	addresses, err := p.Session(peer, principal.Identity{}, nil).permitted(t.Context())
	require.NoError(t, err)
	assert.Len(t, addresses, 1)
}

func TestPACSAtOneAddressAreCountedTogetherEachWithItsOwnLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(0, nil)
		var held []*slot
		for range 3 {
			one, err := s.acquire(t.Context(), &operation{limit: 3}, peerA, kind{}, 0)
			require.NoError(t, err)
			held = append(held, one)
		}
		small, large := make(chan *slot, 1), make(chan *slot, 1)
		for limit, got := range map[int]chan *slot{1: small, 3: large} {
			go func() {
				one, err := s.acquire(t.Context(), &operation{limit: limit}, peerA, kind{}, time.Minute)
				assert.NoError(t, err)
				got <- one
			}()
			synctest.Wait()
		}
		held[0].release()
		next := <-large // whichever asked first: three are in use again, which are too many for the other
		synctest.Wait()
		assert.Empty(t, small)
		held[1].release()
		held[2].release()
		synctest.Wait()
		assert.Empty(t, small, "one is in use")
		other, err := s.acquire(t.Context(), &operation{limit: 3}, peerA, kind{}, 0)
		require.NoError(t, err, "a waiter with a lower limit does not block the others")
		next.release()
		dicomtest.Wait(time.Second)
		assert.Empty(t, small)
		other.release()
		(<-small).release()
		assert.Empty(t, s.peers)
	})
}
