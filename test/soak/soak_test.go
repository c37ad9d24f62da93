//go:build soak

package soak

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

// What may remain without being a leak: the heap has the size of its last garbage collection, and a connection may be about
// to close.
const (
	moreMemory      = 16 << 10 // KiB
	moreDescriptors = 2
	moreGoroutines  = 8
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

func TestSoak(t *testing.T) {
	duration := time.Minute
	if text := os.Getenv("SOAK_TIME"); text != "" {
		var err error
		duration, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	all := peers(t)
	g := startGateway(t)
	l := newLoad(g, all)
	atStart := g.size(t)
	t.Logf("at the start: %v", atStart)

	// Memory is compared from here on, when the heap has the size that this load needs.
	l.run(t.Context(), "warm-up", max(duration/6, 5*time.Second))
	warm := l.rest(t, atStart)
	t.Logf("after the warm-up and %d requests: %v", l.sent.Load(), warm)

	l.run(t.Context(), "soak", duration)
	atEnd := l.rest(t, atStart)
	t.Logf("after %v and %d requests: %v", duration, l.sent.Load(), atEnd)
	assert.LessOrEqual(t, atEnd.rss, warm.rss+warm.rss/4+moreMemory, "KiB of memory")

	g.StopInOrder(t)
	l.account(t)
	l.auditTrail(t)
	log := g.String()
	for _, bad := range []string{"panic", "DATA RACE", `"level":"fatal"`, "internal_error"} {
		assert.False(t, strings.Contains(log, bad), "the log has %q", bad)
	}
}

// rest waits until the gateway holds no more than at its start, except for memory, and returns what it holds.
func (l *load) rest(t *testing.T, start size) size {
	t.Helper()
	var now size
	assert.True(t, l.gateway.eventually(func() bool {
		now = l.gateway.size(t)
		return now.descriptors <= start.descriptors+moreDescriptors && now.goroutines <= start.goroutines+moreGoroutines
	}), "more than at the start, which was %v: %v", start, now)
	return now
}

// account requires for each request the one response that its kind must have.
func (l *load) account(t *testing.T) {
	t.Helper()
	total := 0
	for _, kind := range slices.Sorted(maps.Keys(l.answers)) {
		for answer, n := range l.answers[kind] {
			total += n
			assert.Equal(t, l.wants[kind], answer, "%d answers to %s", n, kind)
			t.Logf("%6d %-32s %s", n, kind, answer)
		}
	}
	assert.EqualValues(t, l.sent.Load(), total, "requests with a response")
	for _, p := range l.peers {
		for _, operation := range operations {
			assert.Contains(t, l.answers, p.name+" "+operation, "the load must have every kind of request")
		}
	}
}

// auditTrail requires the records of each request in the audit log, and no others.
func (l *load) auditTrail(t *testing.T) {
	t.Helper()
	file, err := os.Open(l.gateway.audit)
	require.NoError(t, err)
	defer file.Close()
	found := map[string][]string{}
	records := 0
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for ; lines.Scan(); records++ {
		var record struct {
			EventIdentification struct {
				EventID struct {
					Code string `json:"csd-code"`
				}
			}
			CorrelationID string `json:"correlation_id"`
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &record), lines.Text())
		found[record.CorrelationID] = append(found[record.CorrelationID], record.EventIdentification.EventID.Code)
	}
	require.NoError(t, lines.Err())
	wrong := 0
	for id, want := range l.audits {
		if got := strings.Join(found[id], " "); got != want {
			if wrong++; wrong <= 10 {
				assert.Equal(t, want, got, "audit records of %s", id)
			}
		}
		delete(found, id)
	}
	assert.Zero(t, wrong, "requests with too many or too few audit records")
	delete(found, "")
	assert.Empty(t, found, "audit records of requests that were not sent")
	t.Logf("%d audit records of %d requests", records, len(l.audits))
}
