//go:build linux

package sinks

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/test/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

const (
	patientID   = "PID-1"
	patientName = "SECRET^NAME"
	// grace is the longest shutdown beyond DRAIN_TIMEOUT.
	grace = 5 * time.Second
	// soon is far below every timeout, even on a busy machine.
	soon = 2 * time.Second
)

// pipe is a pipe of one page that can be full.
type pipe struct {
	read, write *os.File
	name        string // opens it again
}

// newPipe returns an unnamed pipe, for standard output.
func newPipe(t *testing.T) *pipe {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	return ready(t, &pipe{r, w, fmt.Sprintf("/proc/self/fd/%d", w.Fd())})
}

// newFIFO returns a named pipe.
func newFIFO(t *testing.T) *pipe {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(name, 0o600))
	both, err := os.OpenFile(name, os.O_RDWR, 0)
	require.NoError(t, err)
	return ready(t, &pipe{both, both, name})
}

func ready(t *testing.T, p *pipe) *pipe {
	t.Helper()
	t.Cleanup(func() {
		_ = p.read.Close()
		_ = p.write.Close()
	})
	_, _, errno := syscall.Syscall(syscall.SYS_FCNTL, p.write.Fd(), syscall.F_SETPIPE_SZ, 4096)
	require.Zero(t, errno)
	return p
}

// fill fills the pipe with line breaks.
func (p *pipe) fill(t *testing.T) {
	t.Helper()
	fd, err := syscall.Open(p.name, syscall.O_WRONLY|syscall.O_NONBLOCK, 0) // non-blocking for this descriptor alone
	require.NoError(t, err)
	defer func() { _ = syscall.Close(fd) }()
	for _, size := range []int{4096, 1} {
		for err = nil; err == nil; {
			_, err = syscall.Write(fd, bytes.Repeat([]byte{'\n'}, size))
		}
		require.ErrorIs(t, err, syscall.EAGAIN)
	}
}

// drain reads the pipe from now on. The returned function ends that and returns the lines; all that was written must be lines.
func (p *pipe) drain(t *testing.T) func() []string {
	t.Helper()
	var content []byte
	done := make(chan struct{})
	// A descriptor of its own has deadlines, which the pipe's own may have lost to Fd.
	reader, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", p.read.Fd()), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	go func() {
		defer close(done)
		content, _ = io.ReadAll(reader)
	}()
	return func() []string {
		time.Sleep(200 * time.Millisecond) // what is on its way
		require.NoError(t, reader.SetReadDeadline(time.Now()))
		<-done
		_ = reader.Close()
		var lines []string
		for line := range strings.Lines(string(content)) {
			if line != "\n" {
				lines = append(lines, line)
			}
		}
		return lines
	}
}

// fields returns the JSON object of each line. Every line must be one.
func fields(t *testing.T, lines []string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for _, line := range lines {
		var object map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &object), "%q", line)
		all = append(all, object)
	}
	return all
}

// gateway is the built gateway on an address that is known before it writes it.
type gateway struct {
	*rig.Process
	url string
}

// start starts the gateway with the settings, and waits until it answers. stdout may be nil.
func start(t *testing.T, stdout *os.File, settings ...string) *gateway {
	t.Helper()
	g := launch(t, stdout, settings...)
	require.NoError(t, g.Ready(func() error {
		response, err := http.Get(g.url + "/health")
		if err != nil {
			return err
		}
		return response.Body.Close()
	}))
	return g
}

// launch starts the gateway and does not wait.
func launch(t *testing.T, stdout *os.File, settings ...string) *gateway {
	t.Helper()
	path, err := rig.Binary()
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	p, err := rig.Start(rig.Command{
		Path: path, Stdout: stdout, Env: append([]string{"LISTEN_ADDR=" + address, "DRAIN_TIMEOUT=1"}, settings...),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the end of the log:\n%s", p.Tail())
		}
	})
	return &gateway{p, "http://" + address}
}

// answer is what a request got, and when.
type answer struct {
	status int
	code   string // of a problem
	body   string
	took   time.Duration
}

func (g *gateway) get(t *testing.T, path string) answer {
	t.Helper()
	return g.send(t, http.MethodGet, path, "")
}

// query asks the PACS on loopback for the studies of the patient.
func (g *gateway) query(t *testing.T, pacs string) answer {
	t.Helper()
	return g.send(t, http.MethodPost, "/q", queryBody(t, pacs))
}

func queryBody(t *testing.T, pacs string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(pacs)
	require.NoError(t, err)
	return fmt.Sprintf(`{"pacs_ip":"127.0.0.1","pacs_port":%s,"pacs_ae_title":"PACS","c_find_ae_title":"GATEWAY","patient_id":%q}`,
		port, patientID)
}

func (g *gateway) send(t *testing.T, method, path, body string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, g.url+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	began := time.Now()
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	a := answer{status: response.StatusCode, body: string(content), took: time.Since(began)}
	var problem struct{ Code string }
	if json.Unmarshal(content, &problem) == nil {
		a.code = problem.Code
	}
	return a
}

// requireEnd requires that the gateway ends within the time, and returns its exit status.
func (g *gateway) requireEnd(t *testing.T, within time.Duration) int {
	t.Helper()
	began := time.Now()
	select {
	case <-g.Ended():
	case <-time.After(rig.Patience):
		t.Fatal("the gateway does not end")
	}
	require.LessOrEqual(t, time.Since(began), within)
	return g.ExitStatus()
}

// terminate sends SIGTERM and requires that the gateway ends in time.
func (g *gateway) terminate(t *testing.T) int {
	t.Helper()
	require.NoError(t, g.Signal(syscall.SIGTERM))
	return g.requireEnd(t, time.Second+grace)
}

// listen runs the PACS until the end of the test.
func listen(t *testing.T, pacs *dicomtest.ScriptedPACS) string {
	t.Helper()
	address, stop, err := pacs.Listen()
	require.NoError(t, err)
	t.Cleanup(stop)
	return address
}

// archive returns a PACS with n studies of the patient.
func archive(n int) *dicomtest.ScriptedPACS {
	pacs := &dicomtest.ScriptedPACS{}
	for i := range n {
		pacs.Studies = append(pacs.Studies, study(i))
	}
	return pacs
}

func assertNoPatient(t *testing.T, a answer) {
	t.Helper()
	assert.NotContains(t, a.body, patientName)
	assert.NotContains(t, a.body, studyUID(0))
}
