//go:build soak

package soak

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Timeouts of the gateway towards peers, long enough for a good peer on a busy machine.
const (
	timeout = 2 * time.Second
	// Every caller gets his turn at a peer, however many wait for a slow one.
	queueTimeout = 2 * time.Minute
	maxMatches   = 200
	perPACS      = 8

	// Of loopback too, should it be dialled all the same.
	allowed, notAllowed = "127.0.0.1/32", "::1"

	apiKey = "the-key-of-all-callers"
)

// gateway is the built gateway, running.
type gateway struct {
	cmd    *exec.Cmd
	ended  chan error
	url    string
	client *http.Client
	dir    string
}

func (g *gateway) audit() string { return filepath.Join(g.dir, "audit") }
func (g *gateway) log() string   { return filepath.Join(g.dir, "log") }

func startGateway(t *testing.T) *gateway {
	t.Helper()
	dir := t.TempDir()
	path := os.Getenv("GATEWAY_BIN")
	if path == "" {
		path = filepath.Join(dir, "dicom-qr-gateway")
		out, err := exec.Command("go", "build", "-o", path, "../..").CombinedOutput()
		require.NoError(t, err, string(out))
	}
	keys := filepath.Join(dir, "keys")
	require.NoError(t, os.WriteFile(keys, fmt.Appendf(nil, "soak:%x\n", sha256.Sum256([]byte(apiKey))), 0o600))
	address := freeAddress(t)
	g := &gateway{
		cmd: exec.Command(path), ended: make(chan error, 1), url: "http://" + address, dir: dir,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}},
	}
	log, err := os.Create(g.log())
	require.NoError(t, err)
	defer log.Close()
	g.cmd.Stdout, g.cmd.Stderr = log, log
	seconds := func(name string, d time.Duration) string { return fmt.Sprintf("%s=%g", name, d.Seconds()) }
	g.cmd.Env = append(os.Environ(),
		"LISTEN_ADDR="+address, "API_KEYS_FILE="+keys, "AUDIT_LOG="+g.audit(), "PACS_ALLOWLIST="+allowed,
		seconds("ACSE_TIMEOUT", timeout), seconds("DIMSE_TIMEOUT", timeout), seconds("NETWORK_TIMEOUT", timeout),
		seconds("CONNECTION_TIMEOUT", timeout), seconds("MOVE_TIMEOUT", 2*timeout), seconds("QUEUE_TIMEOUT", queueTimeout),
		fmt.Sprintf("MAX_MATCHES=%d", maxMatches), fmt.Sprintf("MAX_ASSOCIATIONS_PER_PACS=%d", perPACS),
	)
	require.NoError(t, g.cmd.Start())
	go func() { g.ended <- g.cmd.Wait() }()
	t.Cleanup(func() {
		_ = g.cmd.Process.Kill() // where the test did not come to its end
		if t.Failed() {
			t.Logf("the end of the log:\n%s", tail(g.log()))
		}
	})
	require.True(t, g.eventually(func() bool {
		response, err := g.client.Get(g.url + "/ready")
		return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
	}), "the gateway is not ready: %s", tail(g.log()))
	return g
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// stop ends the gateway as a container runtime would and wants it to end well.
func (g *gateway) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, g.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-g.ended:
		assert.NoError(t, err)
	case <-time.After(time.Minute):
		assert.Fail(t, "the gateway does not stop")
	}
}

// eventually polls for up to a minute.
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

// size is what a process holds.
type size struct{ rss, descriptors, threads, goroutines int } // rss in KiB; goroutines 0: not told

func (s size) String() string {
	return fmt.Sprintf("RSS %d KiB, %d descriptors, %d threads, %d goroutines", s.rss, s.descriptors, s.threads, s.goroutines)
}

func (g *gateway) size(t *testing.T) size {
	t.Helper()
	s := size{goroutines: g.goroutines(t)}
	g.client.CloseIdleConnections()
	proc := fmt.Sprintf("/proc/%d/", g.cmd.Process.Pid)
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

// goroutines is what /metrics tells, 0 where it does not.
func (g *gateway) goroutines(t *testing.T) int {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, g.url+"/metrics", http.NoBody)
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
