//go:build crash

package crash

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/test/rig"
)

const (
	pacsName    = "main"
	destination = "DEST"
	// associations that the PACS takes from all gateways together.
	associations = 12.0
	// instances of each study; with more than one, a study can be moved in part.
	instances = 2
)

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// archive is a PACS in memory that can end and begin again at the same port, with what it holds.
type archive struct {
	*dicomtest.PACS
	config dicomtest.PACSConfig
	port   int
	hold   [][]dicomtest.Study
}

func (a *archive) start(t *testing.T) {
	t.Helper()
	a.PACS = dicomtest.NewPACS(a.config)
	for _, studies := range a.hold {
		require.NoError(t, a.AddStudies(studies...))
	}
	require.NoError(t, a.Listen(net.JoinHostPort("127.0.0.1", strconv.Itoa(a.port))))
}

// world is everything besides the gateways.
type world struct {
	random *random
	nats   *natsServer // nil: embedded
	dir    string
	pacs   *archive
	// arrived counts the stores of each SOP Instance UID at the destination. It outlives the destination.
	mu          sync.Mutex
	arrived     map[string]int
	destination *archive
	pause       atomic.Int64 // before each sub-operation, a time.Duration

	gateways []*gateway
	studies  int // made so far
}

// gateway is one gateway, which is killed and started again.
type gateway struct {
	world *world
	name  string
	env   []string
	audit string

	mu      sync.Mutex
	process *rig.Gateway
	logs    []*rig.Gateway // all processes
}

// settings are further settings of all gateways.
func newWorld(t *testing.T, shared bool, gateways int, settings ...string) *world {
	t.Helper()
	w := &world{random: newRandom(t), dir: t.TempDir(), arrived: map[string]int{}}
	w.pause.Store(int64(5 * time.Millisecond))
	if shared {
		w.nats = startNATS(t)
	}
	w.destination = &archive{port: freePort(t), config: dicomtest.PACSConfig{
		AETitle: destination,
		FailStore: func(uid string) dicomnet.Status {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.arrived[uid]++
			return dicomnet.StatusSuccess
		},
	}}
	w.destination.start(t)
	w.pacs = &archive{port: freePort(t), config: dicomtest.PACSConfig{
		AETitle: "PACS", Destinations: map[string]string{destination: w.destination.Addr()},
		Before: func(ctx context.Context, op dicomnet.Step) {
			if op != dicomnet.StepMove {
				return
			}
			select {
			case <-time.After(w.random.upTo(2 * time.Duration(w.pause.Load()))):
			case <-ctx.Done():
			}
		},
	}}
	w.pacs.start(t)
	t.Cleanup(func() { assert.NoError(t, errors.Join(w.pacs.Close(), w.destination.Close())) })
	w.writePACS(t, w.entry())
	require.NoError(t, os.Mkdir(w.path("jobs"), 0o700))
	write(t, w.path("key"), "correct horse battery staple, long enough to be a key\n")
	for i := range gateways {
		g := &gateway{world: w, name: fmt.Sprintf("gateway-%d", i)}
		g.audit = w.path(g.name + ".audit")
		g.env = append([]string{
			"LISTEN_ADDR=127.0.0.1:0", "PACS_FILE=" + w.path("pacs.yaml"), "AUDIT_LOG=" + g.audit, "CONSOLE=false",
			"GATEWAY_NAME=" + g.name, "DRAIN_TIMEOUT=2",
		}, settings...)
		if shared {
			g.env = append(g.env, "NATS_URL="+w.nats.url())
		} else {
			g.env = append(g.env, "JOBS_DIR="+w.path("jobs"), "JOBS_KEY_FILE="+w.path("key"))
		}
		w.gateways = append(w.gateways, g)
		t.Cleanup(func() { g.end(t) })
		require.NoError(t, g.start())
	}
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// entry is the entry of the PACS in PACS_FILE.
func (w *world) entry() string {
	return fmt.Sprintf("  %s: {host: 127.0.0.1, port: %d, ae_title: PACS, calling_ae_title: GATEWAY, max_associations: %g, association_idle: 5}\n",
		pacsName, w.pacs.port, associations)
}

func (w *world) writePACS(t *testing.T, entries string) {
	t.Helper()
	next := w.path("pacs.next")
	write(t, next, "pacs:\n"+entries)
	require.NoError(t, os.Rename(next, w.path("pacs.yaml")))
}

// newStudies adds n studies to the PACS, each of another patient.
func (w *world) newStudies(t *testing.T, n int) []dicomtest.Study {
	t.Helper()
	studies := make([]dicomtest.Study, n)
	for i := range studies {
		w.studies++
		studies[i] = dicomtest.Study{
			PatientID: fmt.Sprintf("P%06d", w.studies), PatientName: "CRASH^TEST", StudyDate: "20240101", StudyTime: "120000",
			AccessionNumber: fmt.Sprintf("A%06d", w.studies), StudyDescription: "CRASH",
			Series: []dicomtest.Series{{Modality: "CT", Instances: instances}},
		}
	}
	w.pacs.hold = append(w.pacs.hold, studies)
	require.NoError(t, w.pacs.AddStudies(studies...))
	return studies
}

// at returns how many instances of a study are at the destination.
func (w *world) at(s dicomtest.Study) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, in := range s.Instances() {
		if w.arrived[sopInstanceUID(in)] > 0 {
			n++
		}
	}
	return n
}

func (g *gateway) start() error {
	p, err := rig.StartGateway(rig.Command{Env: g.env})
	if p != nil {
		g.mu.Lock()
		g.process = p
		g.logs = append(g.logs, p)
		g.mu.Unlock()
	}
	return err
}

// kill ends the process by SIGKILL.
func (g *gateway) kill() { g.current().Kill() }

// stop ends the process by SIGTERM, in order.
func (g *gateway) stop(t *testing.T) {
	t.Helper()
	g.current().StopInOrder(t)
}

func (g *gateway) current() *rig.Gateway {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.process
}

func (g *gateway) url() string { return g.current().URL }

func (g *gateway) end(t *testing.T) {
	p := g.current()
	if p == nil {
		return
	}
	p.Kill()
	if t.Failed() {
		t.Logf("the end of the log of %s:\n%s", g.name, p.Tail())
	}
	for _, p := range g.logs {
		for _, word := range []string{`"panic"`, "internal error", "goroutine ", "DATA RACE"} {
			assert.NotContains(t, p.String(), word, g.name)
		}
	}
}

// any returns one of the gateways.
func (w *world) any() *gateway { return w.gateways[w.random.below(len(w.gateways))] }
