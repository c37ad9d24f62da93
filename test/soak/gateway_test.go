//go:build soak

package soak

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

// Settings of the gateway.
const (
	timeout = 2 * time.Second // long enough for a good peer on a busy machine
	// No request times out in the queue of a slow peer.
	queueTimeout = 2 * time.Minute
	maxMatches   = 200
	perPACS      = 8

	// Both are loopback, in case the gateway dials the second too.
	allowed, notAllowed = "127.0.0.1/32", "::1"

	apiKey = "the-key-of-all-callers"
)

// gateway is the built gateway as a process.
type gateway struct {
	*rig.Gateway
	client *http.Client
	audit  string // the path of its audit log
}

func startGateway(t *testing.T) *gateway {
	t.Helper()
	dir := t.TempDir()
	keys, audit := filepath.Join(dir, "keys"), filepath.Join(dir, "audit")
	require.NoError(t, os.WriteFile(keys, fmt.Appendf(nil, "soak:%x\n", sha256.Sum256([]byte(apiKey))), 0o600))
	seconds := func(name string, d time.Duration) string { return fmt.Sprintf("%s=%g", name, d.Seconds()) }
	return &gateway{
		Gateway: rig.RunGateway(t, rig.Command{Env: []string{
			"LISTEN_ADDR=127.0.0.1:0", "API_KEYS_FILE=" + keys, "AUDIT_LOG=" + audit, "PACS_ALLOWLIST=" + allowed,
			seconds("ACSE_TIMEOUT", timeout), seconds("DIMSE_TIMEOUT", timeout), seconds("NETWORK_TIMEOUT", timeout),
			seconds("CONNECTION_TIMEOUT", timeout), seconds("MOVE_TIMEOUT", 2*timeout), seconds("QUEUE_TIMEOUT", queueTimeout),
			fmt.Sprintf("MAX_MATCHES=%d", maxMatches), fmt.Sprintf("MAX_ASSOCIATIONS_PER_PACS=%d", perPACS),
		}}),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}},
		audit:  audit,
	}
}

// eventually polls the condition for up to a minute and reports whether it became true.
func (g *gateway) eventually(condition func() bool) bool {
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			return false
		}
		<-time.After(100 * time.Millisecond)
	}
	return true
}

// size is what a process holds: memory in KiB, and the goroutines that /metrics reports.
type size struct{ rss, descriptors, threads, goroutines int }

func (s size) String() string {
	return fmt.Sprintf("RSS %d KiB, %d descriptors, %d threads, %d goroutines", s.rss, s.descriptors, s.threads, s.goroutines)
}

func (g *gateway) size(t *testing.T) size {
	t.Helper()
	s := size{goroutines: g.goroutines(t)}
	g.client.CloseIdleConnections()
	proc := fmt.Sprintf("/proc/%d/", g.PID())
	descriptors, err := os.ReadDir(proc + "fd")
	require.NoError(t, err)
	s.descriptors = len(descriptors)
	status, err := os.ReadFile(proc + "status")
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		field := map[string]*int{"VmRSS": &s.rss, "Threads": &s.threads}[name]
		if field != nil {
			*field, err = strconv.Atoi(strings.Fields(value)[0])
			require.NoError(t, err)
		}
	}
	return s
}

// goroutines returns go_goroutines of /metrics, 0 if it is missing.
func (g *gateway) goroutines(t *testing.T) int {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, g.URL+"/metrics", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+apiKey)
	response, err := g.client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	goroutines := 0
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			goroutines, err = strconv.Atoi(value)
			require.NoError(t, err)
		}
	}
	return goroutines
}
