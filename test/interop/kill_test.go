//go:build interop

package interop

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/demo"
)

const (
	begun       = "Begin Transferring DICOM Instances"
	transferred = "DICOM Instances Transferred"
)

// assertQuery requires that /q works through the proxy.
func (s *proxySite) assertQuery(t *testing.T, pacs source) {
	t.Helper()
	got := s.do(t, s.request(t.Context(), t, "/q", pacs.body(t, "")))
	assert.Equal(t, http.StatusOK, got.status, got.body)
}

func TestRecoveryFromAKilledProxy(t *testing.T) {
	eachProxy(t, func(t *testing.T, name string) {
		pacs, g := newHeldPACS(t), newProxied(t)
		s := startProxy(t, name, g.host())
		r := s.request(t.Context(), t, "/qr", pacs.body(t, heldDestination))
		r.Header.Set("X-Correlation-ID", "killed-proxy")
		names, err := events(t, s.client, r, pacs.midway(func() { s.Kill() }))
		require.Error(t, err)
		assert.Equal(t, []string{"matched", "progress"}, names)

		soon(t, pacs.left, "the PACS goes on moving after the caller was cut off")
		require.NoError(t, g.Ready(func() error {
			if seen, _ := g.audit(t, "killed-proxy"); len(seen) < 2 {
				return assert.AnError
			}
			return nil
		}))
		seen, caller := g.audit(t, "killed-proxy")
		assert.Equal(t, []string{begun, transferred}, seen)
		assert.Equal(t, proxyUser, caller)

		s.start(t)
		s.assertQuery(t, pacs.source)
	})
}

func TestRecoveryFromAKilledGateway(t *testing.T) {
	eachProxy(t, func(t *testing.T, name string) {
		pacs, g := newHeldPACS(t), newProxied(t)
		s := startProxy(t, name, g.host())
		r := s.request(t.Context(), t, "/qr", pacs.body(t, heldDestination))
		r.Header.Set("X-Correlation-ID", "killed-gateway")
		// Caddy ends the stream without an error; only the missing last event shows that it is incomplete.
		names, _ := events(t, s.client, r, pacs.midway(func() { g.Kill() }))
		assert.Equal(t, []string{"matched", "progress"}, names)
		soon(t, pacs.left, "the PACS goes on moving after the gateway was killed")

		s.await(t, map[string]int{"nginx": http.StatusBadGateway, "caddy": http.StatusServiceUnavailable}[name])
		g.start(t)
		s.await(t, http.StatusOK)
		s.assertQuery(t, pacs.source)
		seen, caller := g.audit(t, "killed-gateway")
		assert.Equal(t, []string{begun}, seen, "the beginning, and no end, which did not take place")
		assert.Equal(t, proxyUser, caller)
	})
}

// The PACS is dcmqrscp, killed while it waits for the response of the destination to a C-STORE.
func TestRecoveryFromAKilledPACS(t *testing.T) {
	storing, release := make(chan struct{}, 100), make(chan struct{})
	destination := dicomtest.NewPACS(dicomtest.PACSConfig{
		AETitle: heldDestination,
		Before: func(ctx context.Context, op dicomnet.Step) {
			if op != dicomnet.StepStore {
				return
			}
			storing <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
			}
		},
	})
	require.NoError(t, destination.Listen("127.0.0.1:0"))
	t.Cleanup(func() { assert.NoError(t, destination.Close()) })
	ports, err := freePorts(1)
	require.NoError(t, err)
	pacs, g := source{"dcmqrscp", "KILLED", ports[0]}, newProxied(t)
	known := map[string]int{heldDestination: portOf(t, destination.Addr())}
	p, err := startQRSCP(t.TempDir(), pacs, known)
	started(t, p, err)
	pacs.loadDemo(t)

	withKey := func(id string) goclient.RequestEditorFn {
		return func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+programKey)
			r.Header.Set("X-Correlation-ID", id)
			return nil
		}
	}
	go func() {
		<-storing
		p.Kill()
	}()
	reply, err := g.client.RetrieveWithResponse(t.Context(), nil,
		pacs.retrieve(demo.PatientID, filter{maxResults: 1}, heldDestination), withKey("killed-pacs"))
	require.NoError(t, err)
	assertFailed(t, reply.HTTPResponse, reply.Body, goclient.ProblemCodeConnectionLost, "move")
	seen, caller := g.audit(t, "killed-pacs")
	assert.Equal(t, []string{begun, transferred}, seen)
	assert.Equal(t, "program", caller)

	close(release)
	restarted, err := startQRSCP(t.TempDir(), pacs, known)
	started(t, restarted, err)
	pacs.loadDemo(t)
	again, err := g.client.RetrieveWithResponse(t.Context(), nil,
		pacs.retrieve(demo.PatientID, filter{maxResults: 1}, heldDestination), withKey("again"))
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, again.StatusCode(), string(again.Body))
	seen, _ = g.audit(t, "again")
	assert.Equal(t, []string{begun, transferred}, seen)
	assert.NotEmpty(t, destination.Received())
}

// loadDemo stores the demonstration studies.
func (s source) loadDemo(t *testing.T) {
	t.Helper()
	for _, study := range demo.Studies() {
		paths, err := dicomtest.WriteDir(t.TempDir(), study.Instances())
		require.NoError(t, err)
		require.NoError(t, s.load(paths))
	}
}
