//go:build linux

package sinks

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// hanging returns a PACS that answers no C-FIND, not even once it is cancelled. asked gets a value for each.
func hanging() (pacs *dicomtest.ScriptedPACS, asked chan struct{}) {
	asked = make(chan struct{}, 10)
	return &dicomtest.ScriptedPACS{Find: func(*dicomtest.ScriptedAssociation, string) { asked <- struct{}{} }}, asked
}

func (g *gateway) queryInBackground(t *testing.T, pacs string) {
	t.Helper()
	body := queryBody(t, pacs)
	go func() { _, _ = http.Post(g.url+"/q", "application/json", strings.NewReader(body)) }() //nolint:bodyclose // it is cut
}

func TestShutdownEndsWhateverBlocks(t *testing.T) {
	t.Parallel()
	silent, asked := hanging()
	silentPACS, pacs := listen(t, silent), listen(t, archive(9000))
	stdout, audit := newPipe(t), newFIFO(t)
	g := start(t, stdout.write, "AUDIT_LOG="+audit.name)
	g.queryInBackground(t, silentPACS)
	<-asked

	// Callers that do not read their answers.
	caller, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	require.NoError(t, err)
	defer caller.Close()
	for range 200 {
		_, err = fmt.Fprint(caller, "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
	}
	stdout.fill(t)
	audit.fill(t)
	g.queryInBackground(t, pacs)
	time.Sleep(500 * time.Millisecond)
	assert.Positive(t, g.terminate(t), "an operation or its record was cut off")
}

func TestSecondSignalEndsTheGatewayAtOnce(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			silent, asked := hanging()
			pacs := listen(t, silent)
			g := start(t, nil, "DRAIN_TIMEOUT=60")
			g.queryInBackground(t, pacs)
			<-asked
			require.NoError(t, g.Signal(signal))
			require.Eventually(t, func() bool { return strings.Contains(g.String(), `"draining"`) }, soon, time.Millisecond)
			require.NoError(t, g.Signal(signal))
			assert.Positive(t, g.requireEnd(t, soon))
		})
	}
}

// ignores reports whether the process ignores SIGHUP.
func (g *gateway) ignoresHangup(t *testing.T) bool {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.PID()))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if mask, ok := strings.CutPrefix(line, "SigIgn:"); ok {
			ignored, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
			require.NoError(t, err)
			return ignored&(1<<(syscall.SIGHUP-1)) != 0
		}
	}
	return false
}

// The Go runtime itself needs a moment to start, in which no program of Go can ignore a signal. From then on SIGHUP is ignored,
// while the packages of the gateway are initialised and the settings are read.
func TestHangupNeverEndsTheProcess(t *testing.T) {
	t.Parallel()
	for range 10 {
		g := launch(t, nil)
		began := time.Now()
		for !g.ignoresHangup(t) && g.String() == "" {
			time.Sleep(100 * time.Microsecond)
		}
		if g.String() != "" {
			g.Stop()
			continue // the test was too slow
		}
		t.Logf("ignored after %v", time.Since(began))
		for !strings.Contains(g.String(), `"listening"`) {
			require.NoError(t, g.Signal(syscall.SIGHUP))
			time.Sleep(time.Millisecond)
		}
		assert.Equal(t, http.StatusOK, g.get(t, "/health").status)
		require.NoError(t, g.Signal(syscall.SIGTERM))
		for running := true; running; {
			_ = g.Signal(syscall.SIGHUP)
			select {
			case <-g.Ended():
				running = false
			default:
			}
		}
		assert.Zero(t, g.ExitStatus())
		return
	}
	t.Error("SIGHUP is not ignored before the gateway starts")
}
