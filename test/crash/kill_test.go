//go:build crash

package crash

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

// instants is how often each of the tests below kills a gateway.
func instants(t *testing.T) int { return number(t, "CRASH_INSTANTS", 20) }

// studiesPerJob is how many studies each job has.
func studiesPerJob(t *testing.T) int { return number(t, "CRASH_STUDIES", 200) }

func TestKilledEmbeddedGatewayEndsEveryStudyInOneOutcome(t *testing.T) {
	t.Parallel() // it mostly waits
	killed(t, newWorld(t, false, 1))
}

func TestKilledGatewayOfThreeEndsEveryStudyInOneOutcome(t *testing.T) {
	t.Parallel()
	killed(t, newWorld(t, true, 3))
}

// killed files one job after the other, and kills a gateway at random instants, from the beginning of the filing on, until it was
// killed often enough and all jobs have ended.
func killed(t *testing.T, w *world) {
	var (
		jobs  int
		twice int // studies that arrived twice
	)
	left := instants(t)
	for left > 0 {
		jobs++
		studies := w.newStudies(t, studiesPerJob(t))
		o := order{PACS: pacsName, Destination: destination, Items: itemsOf(studies)}
		stop := make(chan struct{})
		var killer sync.WaitGroup
		killer.Go(func() { left -= w.killUntil(t, stop, left) })
		key := fmt.Sprintf("job-%d", jobs)
		j := w.file(t, key, o)
		f := w.follow(t.Context(), j.ID)
		j = w.end(t, j.ID)
		close(stop)
		killer.Wait()
		f.wait(t)
		require.Equal(t, j.ID, w.file(t, key, o).ID, "the same key files the same job")
		w.checkMoved(t, j, studies)
		for number, states := range f.outcomes {
			assert.Len(t, states, 1, "item %d", number)
		}
		assert.Len(t, f.outcomes, len(studies))
		w.mu.Lock()
		for _, s := range studies {
			for _, in := range s.Instances() {
				if w.arrived[sopInstanceUID(in)] > 1 {
					twice++
				}
			}
		}
		w.mu.Unlock()
		require.False(t, t.Failed())
		t.Logf("job %d has ended; %d kills are left", jobs, left)
	}
	w.checkQueues(t)
	w.checkJobs(t, jobs)
	t.Logf("%d jobs of %d studies; %d instances of %d arrived more than once", jobs, studiesPerJob(t), twice, jobs*studiesPerJob(t)*instances)
}

// killUntil kills and starts gateways, at most n times, until stop is closed. It returns how often.
func (w *world) killUntil(t *testing.T, stop <-chan struct{}, n int) int {
	spans := []time.Duration{30 * time.Millisecond, 150 * time.Millisecond, 600 * time.Millisecond, 2 * time.Second}
	for i := range n {
		select {
		case <-time.After(w.random.upTo(spans[w.random.below(len(spans))])):
		case <-stop:
			return i
		}
		g := w.any()
		g.kill()
		if len(w.gateways) > 1 { // the others work meanwhile
			time.Sleep(w.random.upTo(300 * time.Millisecond))
		}
		if !assert.NoError(t, g.start()) {
			return n
		}
	}
	<-stop
	return n
}

// checkJobs checks how many jobs there are: none was filed twice or by half.
func (w *world) checkJobs(t *testing.T, n int) {
	t.Helper()
	var list struct {
		Jobs []job `json:"jobs"`
		More bool  `json:"more"`
	}
	w.get(t, "/jobs?limit=100", &list)
	if !list.More {
		assert.Len(t, list.Jobs, n)
	}
	for _, j := range list.Jobs {
		assert.Equal(t, "finished", j.State, j.ID)
	}
}

// The start makes what JetStream needs, and takes over what the process before it had in work.
func TestAGatewayThatIsKilledWhileItStartsGoesOn(t *testing.T) {
	for name, shared := range map[string]bool{"embedded": false, "shared": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, shared, 1)
			w.pause.Store(int64(20 * time.Millisecond))
			g := w.gateways[0]
			g.kill()
			w.killStarts(t, g, instants(t))
			require.NoError(t, g.start())
			studies := w.newStudies(t, 30)
			j := w.file(t, "", order{PACS: pacsName, Destination: destination, Items: itemsOf(studies)})
			w.progress(t, j, 5)
			g.kill()
			w.killStarts(t, g, instants(t))
			require.NoError(t, g.start())
			w.checkMoved(t, w.end(t, j.ID), studies)
			w.checkQueues(t)
		})
	}
}

// killStarts starts the gateway n times and kills it before it has done much.
func (w *world) killStarts(t *testing.T, g *gateway, n int) {
	t.Helper()
	path, err := rig.Binary()
	require.NoError(t, err)
	for range n {
		p, err := rig.Start(rig.Command{Path: path, Env: g.env})
		require.NoError(t, err)
		time.Sleep(w.random.upTo(400 * time.Millisecond))
		p.Kill()
	}
}
