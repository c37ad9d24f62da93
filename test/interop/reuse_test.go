//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/test/rig"
)

// reusing runs a gateway that keeps idle associations for half a minute.
func reusing(t *testing.T, settings ...string) *gateway {
	t.Helper()
	ports, err := freePorts(1)
	require.NoError(t, err)
	return runGateway(t, t.TempDir(), ports[0], append([]string{"ASSOCIATION_IDLE=30"}, settings...)...)
}

// answer sends a request and returns the status and the body.
func (g *gateway) answer(t *testing.T, path string, request any) string {
	t.Helper()
	body, err := json.Marshal(request)
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+path, bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Correlation-ID", "the-same")
	reply, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	return fmt.Sprintf("%d %s", reply.StatusCode, text)
}

// figure returns the value of a series of /metrics, 0 if it is missing.
func (g *gateway) figure(t *testing.T, series string) int {
	t.Helper()
	reply, err := http.Get(g.URL + "/metrics")
	require.NoError(t, err)
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\d+)$`).FindSubmatch(text)
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	return n
}

const (
	idleSeries   = `dicomqr_associations_idle`
	reusedSeries = `dicomqr_step_duration_seconds_count{outcome="ok",step="reuse"}`
)

func TestReuseDoesNotChangeResponses(t *testing.T) {
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			g := reusing(t)
			type request struct {
				path string
				body any
			}
			requests := map[string]request{
				"no filter":        {"/q", src.query(demo.PatientID, filter{})},
				"modalities":       {"/q", src.query(demo.PatientID, filter{modalities: []string{"CT", "SR"}})},
				"an age":           {"/q", src.query(demo.PatientID, filter{maxYearsOld: 10, maxResults: 3})},
				"unknown patient":  {"/q", src.query("UNKNOWN", filter{})},
				"retrieve":         {"/qr", src.retrieve(demo.PatientID, filter{maxResults: 1}, theSite.destinations[0].title())},
				"retrieve of none": {"/qr", src.retrieve("UNKNOWN", filter{}, theSite.destinations[0].title())},
				"unknown destination": {"/qr", src.retrieve(
					demo.PatientID, filter{maxResults: 1}, "NOWHERE")},
			}
			for _, study := range demo.Studies() {
				requests[study.AccessionNumber] = request{"/q", src.query(study.PatientID, filter{})}
			}
			for name, r := range requests {
				want := theSite.gateway.answer(t, r.path, r.body)
				for range 2 {
					assert.Equal(t, want, g.answer(t, r.path, r.body), name)
				}
			}
			assert.Positive(t, g.figure(t, reusedSeries))
			assert.Zero(t, theSite.gateway.figure(t, reusedSeries))
		})
	}
}

func TestPACSRestartsBetweenTwoRequests(t *testing.T) {
	ports, err := freePorts(3)
	require.NoError(t, err)
	dir := t.TempDir()
	qrscp := source{"dcmqrscp", "RESTARTED", ports[0]}
	peer := orthanc{source{"Orthanc", "RESTARTED", ports[1]}, ports[2]}
	n := 0
	for name, pacs := range map[string]struct {
		source
		start func() (*rig.Process, error)
	}{
		"dcmqrscp": {qrscp, func() (*rig.Process, error) {
			n++ // startQRSCP needs a folder without a storage area
			return startQRSCP(subdir(dir, strconv.Itoa(n)), qrscp, nil)
		}},
		"Orthanc": {peer.source, func() (*rig.Process, error) { return startOrthanc(subdir(dir, "orthanc"), peer, nil, nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			g := reusing(t)
			var want string
			for round := range 3 {
				p, err := pacs.start()
				started(t, p, err)
				pacs.loadDemo(t)
				for range 2 {
					got := g.answer(t, "/q", pacs.query(demo.PatientID, filter{}))
					if want == "" {
						want = got
						require.Contains(t, want, "200 ")
					}
					assert.Equal(t, want, got)
				}
				assert.Equal(t, round+1, g.figure(t, reusedSeries), "only the second request of a round")
				assert.Equal(t, 1, g.figure(t, idleSeries))
				if p.Kill(); round == 1 {
					require.NoError(t, g.Ready(func() error { return g.idle(t, 0) }), "the gateway must notice the end")
				}
			}
		})
	}
}

// idle returns an error unless the gateway has this number of idle associations.
func (g *gateway) idle(t *testing.T, want int) error {
	if got := g.figure(t, idleSeries); got != want {
		return fmt.Errorf("%d idle associations, want %d", got, want)
	}
	return nil
}

// Orthanc ends associations that are idle for DicomScpTimeout.
func TestPACSEndsIdleAssociations(t *testing.T) {
	ports, err := freePorts(2)
	require.NoError(t, err)
	peer := orthanc{source{"Orthanc", "IMPATIENT", ports[0]}, ports[1]}
	p, err := startOrthanc(t.TempDir(), peer, nil, map[string]any{"DicomScpTimeout": 1})
	started(t, p, err)
	peer.loadDemo(t)
	g := reusing(t)
	want := g.answer(t, "/q", peer.query(demo.PatientID, filter{}))
	require.Contains(t, want, "200 ")
	for range 2 {
		require.NoError(t, g.idle(t, 1))
		require.NoError(t, g.Ready(func() error { return g.idle(t, 0) }))
		assert.Equal(t, want, g.answer(t, "/q", peer.query(demo.PatientID, filter{})))
	}
	assert.Zero(t, g.figure(t, reusedSeries))
}

func TestCallersWithTwoAETitlesShareTheAssociationsOfAPACS(t *testing.T) {
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			g := reusing(t, "MAX_ASSOCIATIONS_PER_PACS=4", "QUEUE_TIMEOUT=60")
			want := g.answer(t, "/q", src.query(demo.PatientID, filter{}))
			require.Contains(t, want, "200 ")
			var wait sync.WaitGroup
			for i := range 64 {
				r := src.query(demo.PatientID, filter{})
				r.CFindAETitle = "CALLER" + strconv.Itoa(i/16%2)
				wait.Go(func() { assert.Equal(t, want, g.answer(t, "/q", r)) })
			}
			wait.Wait()
			assert.Positive(t, g.figure(t, reusedSeries))
		})
	}
}

// Idle associations do not delay the end of the gateway.
func TestShutdownReleasesIdleAssociations(t *testing.T) {
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			g := reusing(t)
			require.Contains(t, g.answer(t, "/q", src.query(demo.PatientID, filter{})), "200 ")
			require.NoError(t, g.idle(t, 1))
			require.NoError(t, g.Signal(syscall.SIGTERM))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			select {
			case <-g.Ended():
			case <-ctx.Done():
				t.Error("the gateway does not stop")
			}
			assert.Contains(t, g.String(), `"outcome":"released"`)
			assert.Contains(t, g.String(), `"clean":true`)
			assert.Equal(t, 0, g.ExitStatus())
		})
	}
}
