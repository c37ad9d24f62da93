//go:build linux

package sinks

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUnreadStandardOutputStopsNoRequest(t *testing.T) {
	pacs := listen(t, archive(1))
	stdout := newPipe(t)
	g := start(t, stdout.write)
	for dropped(t, g) < 100 {
		flood(t, g, 1000)
		require.Less(t, g.get(t, "/health").took, soon)
	}
	a := g.query(t, pacs)
	assert.Equal(t, http.StatusOK, a.status, a.body)
	require.Less(t, a.took, soon)

	lines := stdout.drain(t)
	lost := dropped(t, g)
	for before := -1; lost != before; lost = dropped(t, g) { // until the output takes lines again
		before = lost
		time.Sleep(100 * time.Millisecond)
	}
	assert.Equal(t, http.StatusOK, g.get(t, "/ready").status)
	assert.Zero(t, g.terminate(t))
	log := fields(t, lines())
	var messages []string
	noticed := 0
	for _, line := range log {
		messages = append(messages, line["message"].(string))
		if line["message"] == "log lines were dropped" {
			noticed += int(line["lines"].(float64))
		}
	}
	assert.Equal(t, lost, noticed, "the log says how many lines are missing")
	assert.Equal(t, "starting", messages[0])
	assert.Equal(t, []string{"draining", "stopped"}, messages[len(messages)-2:])
	assert.Contains(t, messages[:10], "listening")
}

// flood sends requests with lines as long as possible.
func flood(t *testing.T, g *gateway, requests int) {
	t.Helper()
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for range requests / 4 {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/health", http.NoBody)
				if !assert.NoError(t, err) {
					return
				}
				r.Header.Set("X-Correlation-ID", strings.Repeat("x", 128))
				response, err := http.DefaultClient.Do(r)
				if !assert.NoError(t, err) {
					return
				}
				_ = response.Body.Close()
			}
		})
	}
	workers.Wait()
}

// dropped returns the metric of the log lines that were dropped.
func dropped(t *testing.T, g *gateway) int {
	t.Helper()
	for line := range strings.Lines(g.get(t, "/metrics").body) {
		if value, ok := strings.CutPrefix(line, "dicomqr_log_lines_dropped_total "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			require.NoError(t, err)
			return int(n)
		}
	}
	require.FailNow(t, "no metric of dropped lines")
	return 0
}

func TestUnreadStandardOutputDoesNotHoldAShutdown(t *testing.T) {
	t.Parallel()
	stdout := newPipe(t)
	g := start(t, stdout.write)
	stdout.fill(t)
	assert.Equal(t, http.StatusOK, g.get(t, "/health").status)
	assert.Zero(t, g.terminate(t))
}

func TestGatewayOutlivesTheReaderOfItsStandardOutput(t *testing.T) {
	t.Parallel()
	stdout := newPipe(t)
	g := start(t, stdout.write)
	require.NoError(t, stdout.read.Close())
	require.NoError(t, stdout.write.Close())
	for range 3 {
		assert.Equal(t, http.StatusOK, g.get(t, "/health").status)
		time.Sleep(10 * time.Millisecond)
	}
	assert.Positive(t, dropped(t, g))
	assert.Zero(t, g.terminate(t))
}

func TestStartThatBlocksEndsBySignals(t *testing.T) {
	t.Parallel()
	stdout := newPipe(t)
	stdout.fill(t)
	g := launch(t, stdout.write)
	time.Sleep(time.Second)
	assert.Zero(t, g.terminate(t))
}
