//go:build interop

package interop

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/test/rig"
)

// replicas are gateways behind an nginx that distributes requests, as a Kubernetes Service does.
type replicas struct {
	url      string
	nginx    *rig.Process
	dir      string // of nginx
	gateways []*gateway
	settings []string
	serving  []bool // the gateways to which nginx sends requests
	reloads  int
}

func startReplicas(t *testing.T, n int, settings ...string) *replicas {
	t.Helper()
	ports, err := freePorts(n + 1)
	require.NoError(t, err)
	r := &replicas{
		url: "http://" + address(ports[n]), dir: t.TempDir(), settings: settings,
		gateways: make([]*gateway, n), serving: make([]bool, n),
	}
	for i := range n {
		r.start(t, i, ports[i])
		r.serving[i] = true
	}
	r.writeUpstream(t)
	r.nginx, err = startNginx(r.dir, fmt.Sprintf("include upstream.conf;\nserver { listen %s; location / { proxy_pass http://gateways; } }",
		address(ports[n])))
	started(t, r.nginx, err)
	require.NoError(t, r.nginx.Ready(listening(ports[n])))
	return r
}

// start starts a replica, for the first time or again.
func (r *replicas) start(t *testing.T, i, port int) {
	t.Helper()
	r.gateways[i] = runGateway(t, t.TempDir(), port, r.settings...)
}

func (r *replicas) writeUpstream(t *testing.T) {
	t.Helper()
	var servers strings.Builder
	for i, g := range r.gateways {
		if r.serving[i] {
			fmt.Fprintf(&servers, "server %s;\n", strings.TrimPrefix(g.URL, "http://"))
		}
	}
	writeFile(t, filepath.Join(r.dir, "upstream.conf"), "upstream gateways {\n"+servers.String()+"}\n")
}

// serve adds a replica to those to which nginx sends requests, or removes it. It returns when nginx has the new configuration and
// requests under the former one have ended.
func (r *replicas) serve(t *testing.T, i int, serving bool) {
	t.Helper()
	r.serving[i] = serving
	r.writeUpstream(t)
	require.NoError(t, r.nginx.Signal(syscall.SIGHUP))
	r.reloads++
	require.NoError(t, r.nginx.Ready(func() error {
		if ended := strings.Count(r.nginx.String(), "exited with code 0"); ended < r.reloads {
			return fmt.Errorf("%d of %d former workers have ended", ended, r.reloads)
		}
		return nil
	}))
}

// queries sends queries of several callers and returns the time for all. Each must return all studies.
func (r *replicas) queries(t *testing.T, s source, callers, count int) (took time.Duration) {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: callers}
	defer transport.CloseIdleConnections()
	api, err := goclient.NewClientWithResponses(r.url, goclient.WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, err)
	var sent atomic.Int64
	var wait sync.WaitGroup
	begin := time.Now()
	for range callers {
		wait.Go(func() {
			for sent.Add(1) <= int64(count) {
				reply, err := api.QueryWithResponse(t.Context(), nil, s.query(demo.PatientID, filter{}))
				if !assert.NoError(t, err) || !assert.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body)) {
					return
				}
				assert.Len(t, reply.JSON200.StudyDetails, 7)
			}
		})
	}
	wait.Wait()
	return time.Since(begin)
}

// If a PACS needs time for a response, the throughput depends on the number of its associations, not on which gateway has them.
func TestReplicasOfASlowPACS(t *testing.T) {
	const think, callers, count = 50 * time.Millisecond, 48, 144
	inMemory := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: "MEMORY"})
	require.NoError(t, inMemory.AddStudies(demo.Studies()...))
	require.NoError(t, inMemory.Listen("127.0.0.1:0"))
	t.Cleanup(func() { assert.NoError(t, inMemory.Close()) })
	sources := append([]source{{"in memory", "MEMORY", portOf(t, inMemory.Addr())}}, theSite.sources...)
	for _, src := range sources {
		for _, test := range []struct{ replicas, each int }{{1, 3}, {3, 3}, {1, 9}} {
			t.Run(fmt.Sprintf("%s/%d times %d", src.name, test.replicas, test.each), func(t *testing.T) {
				pacs := newCountingProxy(t, src, think)
				r := startReplicas(t, test.replicas, "QUEUE_TIMEOUT=60", "MAX_ASSOCIATIONS_PER_PACS="+strconv.Itoa(test.each))
				took := r.queries(t, pacs.source, callers, count)
				most, rejected := pacs.seen()
				assert.Equal(t, test.replicas*test.each, most, "the limit of each replica")
				// dcmqrscp accepts 16 and counts some that have ended; the gateway retries.
				t.Logf("%.0f queries/s, %d associations at once, %d rejected; %s", count/took.Seconds(), most, rejected, r.cost(t, count))
			})
		}
	}
}

// If a PACS responds at once, the CPUs of the machine limit the throughput.
func TestReplicasOfAFastPACS(t *testing.T) {
	const callers, count = 48, 1000
	pacs := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: "MEMORY"})
	require.NoError(t, pacs.AddStudies(demo.Studies()...))
	require.NoError(t, pacs.Listen("127.0.0.1:0"))
	t.Cleanup(func() { assert.NoError(t, pacs.Close()) })
	for _, n := range []int{1, 3} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			counted := newCountingProxy(t, source{"in memory", "MEMORY", portOf(t, pacs.Addr())}, 0)
			r := startReplicas(t, n, "QUEUE_TIMEOUT=60", "MAX_ASSOCIATIONS_PER_PACS=3")
			took := r.queries(t, counted.source, callers, count)
			most, _ := counted.seen()
			assert.LessOrEqual(t, most, 3*n)
			t.Logf("%.0f queries/s, %d associations at once; %s", count/took.Seconds(), most, r.cost(t, count))
		})
	}
}

// cost describes the CPU time and the memory that the gateways needed.
func (r *replicas) cost(t *testing.T, queries int) string {
	t.Helper()
	var cpu time.Duration
	var peaks []string
	for _, g := range r.gateways {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.PID()))
		require.NoError(t, err)
		fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))
		for _, ticks := range fields[11:13] { // utime and stime of proc(5)
			n, err := strconv.Atoi(ticks)
			require.NoError(t, err)
			cpu += time.Duration(n) * 10 * time.Millisecond
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.PID()))
		require.NoError(t, err)
		for line := range strings.Lines(string(status)) {
			if peak, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				peaks = append(peaks, strings.TrimSpace(peak))
			}
		}
	}
	return fmt.Sprintf("CPU %v a query, memory at most %s", cpu/time.Duration(queries), strings.Join(peaks, ", "))
}
