//go:build crash

package crash

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// checkMoved checks a job that had one item for each study, of which none was cancelled: one outcome each, nothing that is reported and
// not moved, counters and events that agree.
func (w *world) checkMoved(t *testing.T, j job, studies []dicomtest.Study) {
	t.Helper()
	items := w.items(t, j.ID)
	require.Len(t, items, len(studies))
	for i, it := range items {
		assert.Equal(t, i+1, it.Number)
		assert.Equal(t, "moved", it.State, "item %d: %+v", it.Number, it)
		w.checkReported(t, it, studies[i])
	}
	assert.Equal(t, counts{Items: len(studies), Moved: len(studies)}, j.Counts)
	w.checkEvents(t, j, items)
	w.checkAudit(t, j, items)
}

// checkReported checks that what an item reports as moved is at the destination.
func (w *world) checkReported(t *testing.T, it item, s dicomtest.Study) {
	t.Helper()
	at := w.at(s)
	completed := 0
	for _, r := range it.Retrievals {
		assert.Equal(t, s.UID(), r.StudyInstanceUID, "item %d", it.Number)
		if r.Completed != nil {
			completed = *r.Completed
		}
		if r.Status == "ok" {
			assert.Equal(t, instances, at, "item %d is reported as moved", it.Number)
		}
	}
	assert.LessOrEqual(t, completed, at, "item %d", it.Number)
	if it.State == "moved" {
		assert.Len(t, it.Retrievals, 1, "item %d", it.Number)
		assert.Equal(t, instances, at, "item %d", it.Number)
	}
}

// checkEvents checks that the events, read from the beginning, have the outcomes of the items in the last run, each once. Items that did
// not run when their job was cancelled have no event of their own.
func (w *world) checkEvents(t *testing.T, j job, items []item) {
	t.Helper()
	f := w.follow(t.Context(), j.ID)
	f.wait(t)
	for _, it := range items {
		states := f.outcomes[it.Number]
		if it.State == "cancelled" && len(states) == 0 {
			continue
		}
		if assert.NotEmpty(t, states, "no event has the outcome of item %d", it.Number) {
			assert.Equal(t, it.State, states[len(states)-1], "item %d", it.Number)
		}
		assert.LessOrEqual(t, len(states), j.Run, "item %d has more outcomes than runs: %v", it.Number, states)
	}
	require.Len(t, f.finished, 1)
	assert.Equal(t, j.Counts, f.finished[0].Counts)
}

// checkAudit checks that the audit logs have a record of the end of each item that was moved, and of who filed the job.
func (w *world) checkAudit(t *testing.T, j job, items []item) {
	t.Helper()
	ended := map[int]bool{}
	filed := 0
	for _, g := range w.gateways {
		file, err := os.Open(g.audit)
		require.NoError(t, err)
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var r struct {
				Event struct {
					ID struct {
						Code string `json:"csd-code"`
					} `json:"EventID"`
					Description string `json:"EventOutcomeDescription"`
				} `json:"EventIdentification"`
				Objects []struct {
					ID      string `json:"ParticipantObjectID"`
					Details []struct {
						Type  string `json:"type"`
						Value []byte `json:"value"`
					} `json:"ParticipantObjectDetail"`
				} `json:"ParticipantObjectIdentification"`
			}
			if json.Unmarshal(lines.Bytes(), &r) != nil {
				continue // torn by a kill
			}
			for _, o := range r.Objects {
				if o.ID != "/jobs/"+j.ID {
					continue
				}
				switch r.Event.ID.Code {
				case "110109":
					filed++
				case "110104":
					number, err := strconv.Atoi(string(o.Details[0].Value))
					require.NoError(t, err)
					if r.Event.Description == "ok" {
						ended[number] = true
					}
				}
			}
		}
		require.NoError(t, lines.Err())
		require.NoError(t, file.Close())
	}
	for _, it := range items {
		if it.State == "moved" {
			assert.True(t, ended[it.Number], "no audit record has the end of item %d", it.Number)
		}
	}
}

// checkQueues waits until the metrics of all gateways and the streams of a shared NATS show that nothing is left to do.
func (w *world) checkQueues(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		var left []string
		for _, g := range w.gateways {
			for series, value := range g.metrics(t) {
				if value != 0 && (strings.HasPrefix(series, "dicomqr_job_items{") || strings.HasPrefix(series, "dicomqr_job_items_running")) {
					left = append(left, fmt.Sprintf("%s: %s %g", g.name, series, value))
				}
			}
		}
		if w.nats != nil {
			left = append(left, w.messages(t, "JOBS_WORK")...)
		}
		if len(left) == 0 {
			return
		}
		require.Less(t, time.Now(), deadline, "left in the queues: %v", left)
		time.Sleep(200 * time.Millisecond)
	}
}

// messages describes what a stream holds, if it holds anything.
func (w *world) messages(t *testing.T, stream string) []string {
	t.Helper()
	js, err := jetstream.New(w.nats.connect(t))
	require.NoError(t, err)
	s, err := js.Stream(t.Context(), stream)
	require.NoError(t, err)
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	require.NoError(t, err)
	if info.State.Msgs == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: %v", stream, info.State.Subjects)}
}

// metrics returns the values of /metrics by series.
func (g *gateway) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	response, err := client.Get(g.url() + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	b, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	values := map[string]float64{}
	for line := range strings.Lines(string(b)) {
		at := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || at < 0 {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
		require.NoError(t, err, line)
		values[line[:at]] = value
	}
	return values
}

// sum returns the sum of the series of all gateways that begin with a prefix.
func (w *world) sum(t *testing.T, prefix string) (sum float64) {
	t.Helper()
	for _, g := range w.gateways {
		for series, value := range g.metrics(t) {
			if strings.HasPrefix(series, prefix) {
				sum += value
			}
		}
	}
	return sum
}
