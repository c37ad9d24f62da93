//go:build crash

package crash

import (
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// begun files a job and waits until some of it is moved.
func (w *world) begun(t *testing.T, n int) (job, []dicomtest.Study) {
	t.Helper()
	studies := w.newStudies(t, n)
	j := w.file(t, "", order{PACS: pacsName, Destination: destination, Items: itemsOf(studies)})
	w.progress(t, j, n/5)
	return j, studies
}

// progress waits until a number of items are moved.
func (w *world) progress(t *testing.T, j job, moved int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for w.job(t, j.ID).Counts.Moved < moved {
		require.Less(t, time.Now(), deadline, "%+v", w.job(t, j.ID))
		time.Sleep(50 * time.Millisecond)
	}
}

func TestMetricsOfThreeGatewaysAddUp(t *testing.T) {
	w := newWorld(t, true, 3)
	studies := w.newStudies(t, 90)
	items := append(itemsOf(studies), itemFilter{AccessionNumber: "NONE"})
	j := w.file(t, "", order{PACS: pacsName, Destination: destination, Items: items})
	j = w.end(t, j.ID)
	assert.Equal(t, counts{Items: 91, Moved: 90, NoStudyMatched: 1}, j.Counts)
	w.checkQueues(t)
	assert.Equal(t, 90.0, w.sum(t, `dicomqr_job_items_total{outcome="moved"`))
	assert.Equal(t, 1.0, w.sum(t, `dicomqr_job_items_total{outcome="no_study_matched"`))
	assert.Equal(t, 1.0, w.sum(t, `dicomqr_jobs_filed_total`))
	assert.Equal(t, 91.0, w.sum(t, `dicomqr_job_attempts_total`))
	assert.Zero(t, w.sum(t, `dicomqr_job_redeliveries_total`))
	assert.Equal(t, 3.0, w.sum(t, `dicomqr_jobs_up`))
	assert.Equal(t, 3*associations, w.sum(t, `dicomqr_leases{kind="limit"`))
	assert.LessOrEqual(t, w.sum(t, `dicomqr_leases{kind="reserved"`)+w.sum(t, `dicomqr_leases{kind="leased"`), associations)
	w.checkAudit(t, j, w.items(t, j.ID))
}

func TestGatewaysThatAreReplacedInOrderFailNoItem(t *testing.T) {
	w := newWorld(t, true, 3)
	w.pause.Store(int64(20 * time.Millisecond))
	j, studies := w.begun(t, 200)
	for _, g := range w.gateways {
		g.stop(t)
		require.NoError(t, g.start())
	}
	j = w.end(t, j.ID)
	w.checkMoved(t, j, studies)
	w.checkQueues(t)
}

func TestJobsGoOnWhenNATSIsKilledAndStarted(t *testing.T) {
	w := newWorld(t, true, 2)
	w.pause.Store(int64(20 * time.Millisecond))
	j, studies := w.begun(t, 200)
	for range 3 {
		w.nats.Kill()
		assert.Equal(t, http.StatusServiceUnavailable, w.eventually(t, "/jobs", http.StatusServiceUnavailable))
		time.Sleep(w.random.upTo(2 * time.Second))
		w.nats.start(t)
		time.Sleep(w.random.upTo(2 * time.Second))
	}
	j = w.end(t, j.ID)
	w.checkMoved(t, j, studies)
	w.checkQueues(t)
}

// eventually polls a path until it has the status.
func (w *world) eventually(t *testing.T, path string, status int) int {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		got := problem(call(t.Context(), http.MethodGet, w.gateways[0].url()+path, nil, nil, nil))
		if got == status || time.Now().After(deadline) {
			return got
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestAGatewayStartsBeforeNATS(t *testing.T) {
	w := newWorld(t, true, 1)
	w.gateways[0].kill()
	w.nats.Kill()
	require.NoError(t, w.gateways[0].start())
	assert.Equal(t, http.StatusServiceUnavailable, w.eventually(t, "/jobs", http.StatusServiceUnavailable))
	w.nats.start(t)
	studies := w.newStudies(t, 9)
	j := w.file(t, "", order{PACS: pacsName, Destination: destination, Items: itemsOf(studies)})
	w.checkMoved(t, w.end(t, j.ID), studies)
}

func TestItemsWaitForAPACSAndADestinationThatDie(t *testing.T) {
	for name, dies := range map[string]func(w *world) *archive{
		"PACS":        func(w *world) *archive { return w.pacs },
		"destination": func(w *world) *archive { return w.destination },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, false, 1)
			w.pause.Store(int64(20 * time.Millisecond))
			j, studies := w.begun(t, 60)
			require.NoError(t, dies(w).Close())
			require.Eventually(t, func() bool { return w.job(t, j.ID).Counts.Waiting > 0 }, patience, 50*time.Millisecond)
			w.gateways[0].kill() // what waits is in JetStream only
			require.NoError(t, w.gateways[0].start())
			dies(w).start(t)
			j = w.end(t, j.ID)
			w.checkMoved(t, j, studies)
			w.checkQueues(t)
		})
	}
}

func TestItemsWaitForAPACSThatIsTakenOutOfTheFile(t *testing.T) {
	w := newWorld(t, false, 1)
	w.pause.Store(int64(200 * time.Millisecond)) // the gateway looks at the file once a second
	j, studies := w.begun(t, 60)
	w.writePACS(t, "  other: {host: 127.0.0.1, port: 1, ae_title: OTHER, calling_ae_title: GATEWAY}\n")
	// The gateway reads the file at the next request, and ends what it has begun.
	last := job{}
	require.Eventually(t, func() bool {
		_ = call(t.Context(), http.MethodGet, w.gateways[0].url()+"/pacs", nil, nil, nil)
		now := w.job(t, j.ID)
		same := now == last && now.Counts.Running == 0
		last = now
		return same
	}, patience, time.Second)
	require.Less(t, last.Counts.Moved, len(studies), "%+v", last)
	assert.Zero(t, last.Counts.Failed)
	w.gateways[0].kill()
	require.NoError(t, w.gateways[0].start())
	require.Equal(t, "other", w.pacsNames(t))
	assert.Equal(t, http.StatusBadRequest, problem(w.filed(t)))
	w.writePACS(t, w.entry())
	_ = w.pacsNames(t)
	j = w.end(t, j.ID)
	w.checkMoved(t, j, studies)
}

func (w *world) filed(t *testing.T) error {
	t.Helper()
	_, err := w.gateways[0].file(t.Context(), "", order{PACS: pacsName, Destination: destination, Items: []itemFilter{{AccessionNumber: "A"}}})
	return err
}

// pacsNames returns the name of the only PACS that the gateway has.
func (w *world) pacsNames(t *testing.T) string {
	t.Helper()
	var list struct {
		PACS []struct{ Name string }
	}
	w.get(t, "/pacs", &list)
	require.Len(t, list.PACS, 1)
	return list.PACS[0].Name
}

// A gateway that is frozen for longer than another one waits for it wakes up with work that was done elsewhere.
func TestAFrozenGatewayThatWakesUpRecordsNothingTwice(t *testing.T) {
	w := newWorld(t, true, 2)
	w.pause.Store(int64(50 * time.Millisecond))
	j, studies := w.begun(t, 120)
	f := w.follow(t.Context(), j.ID)
	frozen, other := w.gateways[0], w.gateways[1:]
	w.gateways = other // requests go to the other one
	require.NoError(t, frozen.current().Signal(syscall.SIGSTOP))
	time.Sleep(20 * time.Second)
	require.NoError(t, frozen.current().Signal(syscall.SIGCONT))
	w.gateways = append(w.gateways, frozen)
	j = w.end(t, j.ID)
	f.wait(t)
	w.checkMoved(t, j, studies)
	for number, states := range f.outcomes {
		assert.Len(t, states, 1, "item %d", number)
	}
	w.checkQueues(t)
}

func TestJobsGoOnFromABackupOfTheirDirectory(t *testing.T) {
	w := newWorld(t, false, 1)
	w.pause.Store(int64(20 * time.Millisecond))
	j, studies := w.begun(t, 60)
	g := w.gateways[0]
	g.stop(t)
	run(t, "cp", "-a", w.path("jobs"), w.path("backup"))
	require.NoError(t, g.start())
	require.Equal(t, "finished", w.end(t, j.ID).State)
	g.stop(t)
	require.NoError(t, os.RemoveAll(w.path("jobs")))
	run(t, "cp", "-a", w.path("backup"), w.path("jobs"))
	require.NoError(t, g.start())
	w.checkMoved(t, w.end(t, j.ID), studies)
	w.checkQueues(t)
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// A client that deletes streams deletes jobs. The gateways go on and take new jobs; of those before, what is left can be cancelled, and
// done again if their items are still there.
func TestNewJobsWorkAfterSomebodyDeletedTheStreams(t *testing.T) {
	w := newWorld(t, true, 2)
	w.pause.Store(int64(20 * time.Millisecond))
	js, err := jetstream.New(w.nats.connect(t))
	require.NoError(t, err)
	var names []string
	for name := range js.StreamNames(t.Context()).Name() {
		names = append(names, name)
	}
	require.NotEmpty(t, names)
	for _, name := range names {
		old, before := w.begun(t, 60)
		require.NoError(t, js.DeleteStream(t.Context(), name))
		studies := w.newStudies(t, 9)
		j := w.file(t, "", order{PACS: pacsName, Destination: destination, Items: itemsOf(studies), Priority: "high"})
		w.checkMoved(t, w.end(t, j.ID), studies)
		t.Logf("without %s", name)
		switch name {
		case "JOBS_ITEMS", "KV_jobs-records":
			w.insistOn(t, "/jobs/"+old.ID+"/cancel", "job_finished", http.StatusNotFound)
		case "JOBS_WORK", "JOBS_EVENTS":
			w.insistOn(t, "/jobs/"+old.ID+"/cancel", "job_finished")
			w.end(t, old.ID)
			w.insistOn(t, "/jobs/"+old.ID+"/retry", "nothing_to_retry")
			fallthrough
		default:
			again := w.end(t, old.ID)
			assert.Equal(t, len(before), again.Counts.Moved, "%+v", again)
		}
	}
}

// A server of NATS that stops to answer is no server, but its connections stay.
func TestJobsGoOnWhenNATSIsFrozen(t *testing.T) {
	w := newWorld(t, true, 2)
	w.pause.Store(int64(20 * time.Millisecond))
	j, studies := w.begun(t, 120)
	require.NoError(t, w.nats.Signal(syscall.SIGSTOP))
	time.Sleep(20 * time.Second)
	require.NoError(t, w.nats.Signal(syscall.SIGCONT))
	w.checkMoved(t, w.end(t, j.ID), studies)
	w.checkQueues(t)
}

// The copy of a directory that is in use may have some files from before a write and others from after it.
func TestJobsGoOnFromACopyOfTheirDirectoryInUse(t *testing.T) {
	w := newWorld(t, false, 1)
	w.pause.Store(int64(20 * time.Millisecond))
	j, studies := w.begun(t, 60)
	g := w.gateways[0]
	run(t, "cp", "-a", w.path("jobs"), w.path("backup"))
	g.kill()
	require.NoError(t, os.RemoveAll(w.path("jobs")))
	run(t, "cp", "-a", w.path("backup"), w.path("jobs"))
	require.NoError(t, g.start())
	w.checkMoved(t, w.end(t, j.ID), studies)
	w.checkQueues(t)
}
