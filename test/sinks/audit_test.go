//go:build linux

package sinks

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// auditTimeout is how long the gateway waits for its audit log.
const auditTimeout = 5 * time.Second

// assertBlocked checks that no result leaves the gateway while its audit log blocks, and that everything else goes on.
func assertBlocked(t *testing.T, g *gateway, pacs string) {
	t.Helper()
	first := make(chan answer)
	go func() { first <- g.query(t, pacs) }()
	time.Sleep(100 * time.Millisecond)
	for _, path := range []string{"/health", "/ready", "/metrics"} {
		a := g.get(t, path)
		assert.Equal(t, http.StatusOK, a.status, path)
		assert.Less(t, a.took, soon, path)
	}
	a := <-first
	assert.Equal(t, http.StatusInternalServerError, a.status)
	assert.Equal(t, "audit_failed", a.code)
	assert.Less(t, a.took, auditTimeout+soon)
	assertNoPatient(t, a)
	for range 3 {
		a = g.query(t, pacs)
		assert.Equal(t, http.StatusServiceUnavailable, a.status)
		assert.Equal(t, "audit_unavailable", a.code)
		assert.Less(t, a.took, soon, "known to block")
	}
}

func TestBlockedAuditLogFailsClosed(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T) (*pipe, *os.File, string){
		"pipe": func(t *testing.T) (*pipe, *os.File, string) {
			p := newFIFO(t)
			return p, nil, p.name
		},
		"standard output with the log": func(t *testing.T) (*pipe, *os.File, string) {
			p := newPipe(t)
			return p, p.write, "stdout"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive := archive(1)
			pacs := listen(t, archive)
			sink, stdout, auditLog := prepare(t)
			g := start(t, stdout, "AUDIT_LOG="+auditLog)
			sink.fill(t)
			assertBlocked(t, g, pacs)
			assert.Len(t, archive.Requests(), 1, "nothing is done while the audit log blocks")

			lines := sink.drain(t)
			require.Eventually(t, func() bool { return g.query(t, pacs).status == http.StatusOK }, soon, 10*time.Millisecond)
			assert.Zero(t, g.terminate(t))
			var events []string
			for _, line := range fields(t, lines()) {
				if event, ok := line["EventIdentification"].(map[string]any); ok {
					events = append(events, event["EventID"].(map[string]any)["originalText"].(string))
				}
			}
			assert.Equal(t, []string{"Application Activity", "Query", "Query", "Application Activity"}, events, "no record is lost")
		})
	}
}

func TestBlockedAuditLogDoesNotHoldAShutdown(t *testing.T) {
	t.Parallel()
	pacs := listen(t, archive(1))
	sink := newFIFO(t)
	g := start(t, nil, "AUDIT_LOG="+sink.name)
	sink.fill(t)
	go func() { _, _ = http.Post(g.url+"/q", "application/json", strings.NewReader(queryBody(t, pacs))) }() //nolint:bodyclose // it is cut
	time.Sleep(100 * time.Millisecond)
	assert.NotZero(t, g.terminate(t), "records are lost")
	assert.Contains(t, g.String(), "records lost")
}

func TestStartFailsIfTheAuditLogBlocks(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(name, 0o600))
	g := launch(t, nil, "AUDIT_LOG="+name) // nobody reads
	assert.Equal(t, 1, g.requireEnd(t, auditTimeout+soon))
	assert.Contains(t, g.String(), "AUDIT_LOG: "+name+": the sink blocks")
}

func TestRecordsFollowATornRecordOnALineOfTheirOwn(t *testing.T) {
	t.Parallel()
	archive := archive(9000)
	pacs := listen(t, archive)
	torn := 0
	for attempt := 0; torn < 3; attempt++ {
		require.Less(t, attempt, 30, "too few records were torn")
		name := filepath.Join(t.TempDir(), "audit.log")
		g := start(t, nil, "AUDIT_LOG="+name, "AUDIT_SYNC="+[]string{"false", "true"}[attempt%2])
		go func() { _, _ = http.Post(g.url+"/q", "application/json", strings.NewReader(queryBody(t, pacs))) }() //nolint:bodyclose // it is cut
		for small := size(t, name); size(t, name) == small; {
			runtime.Gosched() // a pause would be too long
		}
		g.Kill()
		left, err := os.ReadFile(name)
		require.NoError(t, err)
		if strings.HasSuffix(string(left), "\n") {
			continue // too late
		}
		torn++
		g = start(t, nil, "AUDIT_LOG="+name)
		g.Stop()
		assert.Contains(t, g.String(), "the audit log ends in the middle of a record")
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		after, ok := strings.CutPrefix(string(content), string(left)+"\n")
		require.True(t, ok, "the torn line is ended")
		assert.Len(t, fields(t, strings.SplitAfter(strings.TrimSuffix(after, "\n"), "\n")), 2, "start and stop")
	}
}

func size(t *testing.T, name string) int64 {
	t.Helper()
	status, err := os.Stat(name)
	require.NoError(t, err)
	return status.Size()
}
