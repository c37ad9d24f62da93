package jobs

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

func conflict(t *testing.T, err error, kind ConflictKind) {
	t.Helper()
	c, ok := errors.AsType[*ConflictError](err)
	require.True(t, ok, err)
	assert.Equal(t, kind, c.Kind)
}

// moving is an answer that begins to move a study, and goes on until it is cancelled; the Patient ID 1000 has moved a part by then.
func moving(begun chan<- string) func(context.Context, qr.Filter, int) (*qr.RetrieveResult, error) {
	return func(ctx context.Context, f qr.Filter, _ int) (*qr.RetrieveResult, error) {
		begun <- f.PatientID
		<-ctx.Done()
		r := study("1."+f.PatientID, qr.RetrievalCancelled)
		if f.PatientID == "1000" {
			r.Completed = new(2)
		}
		return outcome(r), nil
	}
}

func TestCancelStopsWhatRunsAndBeginsNothing(t *testing.T) {
	t.Parallel()
	begun := make(chan string, 10)
	r := &retriever{answer: moving(begun)}
	o := options(t, r)
	w := &watch{}
	o.MaxPerPACS, o.Watch = 2, w
	s := New(o)
	run(t, s)
	j := file(t, s, order(5))
	conflict(t, s.Delete(t.Context(), someone, j.ID), NotFinished)
	_, err := s.Retry(t.Context(), someone, j.ID)
	conflict(t, err, NotFinished)
	<-begun
	<-begun
	cancelled, err := s.Cancel(t.Context(), someone, j.ID)
	require.NoError(t, err)
	assert.Equal(t, JobCancelled, cancelled.State)
	end := finished(t, s, j.ID)
	assert.Equal(t, Counts{Items: 5, Cancelled: 4, Partial: 1}, end.Counts)
	assert.Equal(t, Partial, items(t, s, j.ID)[0].State)
	_, err = s.Cancel(t.Context(), someone, j.ID)
	conflict(t, err, AlreadyEnded)
	calls, _ := r.total()
	assert.Equal(t, 2, calls)

	r.mu.Lock()
	r.answer = nil
	r.mu.Unlock()
	again, err := s.Retry(t.Context(), someone, j.ID)
	require.NoError(t, err)
	assert.Equal(t, 2, again.Run)
	assert.NotEqual(t, JobCancelled, again.State)
	assert.Equal(t, Counts{Items: 5, Moved: 5}, finished(t, s, j.ID).Counts)
	_, err = s.Retry(t.Context(), someone, j.ID)
	conflict(t, err, NothingToRetry)
	require.NoError(t, s.Delete(t.Context(), someone, j.ID))
	_, err = s.Job(t.Context(), someone, j.ID)
	assert.ErrorAs(t, err, new(*NotFoundError))
	assert.Equal(t, []RequestKind{RequestFile, RequestCancel, RequestRetry, RequestDelete}, w.requests)
	opened, err := s.store.open(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		left := uint64(0)
		for _, stream := range []interface {
			Info(context.Context, ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error)
		}{opened.work, opened.events, opened.items} {
			info, err := stream.Info(t.Context())
			require.NoError(t, err)
			left += info.State.Msgs
		}
		return left == 0
	}, time.Minute, 20*time.Millisecond, "something of the job is left")
}

func TestARequestThatIsDeliveredAgainLeavesTheQueueOfTheNextRun(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	r := &retriever{answer: func(_ context.Context, f qr.Filter, call int) (*qr.RetrieveResult, error) {
		if call == 1 {
			return nil, &dicomnet.TLSError{Err: errors.New("certificate")}
		}
		if f.PatientID == "1000" {
			close(begun)
			<-release
		}
		return outcome(study("1."+f.PatientID, qr.RetrievalOK)), nil
	}}
	o := options(t, r)
	o.MaxPerPACS = 1
	s := New(o)
	run(t, s)
	j := file(t, s, order(3))
	assert.Equal(t, Counts{Items: 3, Failed: 3}, finished(t, s, j.ID).Counts)
	_, err := s.Retry(t.Context(), someone, j.ID)
	require.NoError(t, err)
	<-begun
	v, err := s.authorized(t.Context(), someone, j.ID)
	require.NoError(t, err)
	defer s.views.leave(v)
	require.NoError(t, s.stopItems(t.Context(), v, 1))
	require.NoError(t, s.queueItems(t.Context(), v, 1))
	close(release)
	assert.Equal(t, Counts{Items: 3, Moved: 3}, finished(t, s, j.ID).Counts)
}

func TestAJobThatAnotherGatewayDeletesIsNotFound(t *testing.T) {
	t.Parallel()
	o := options(t, &retriever{})
	s, other := New(o), New(o)
	run(t, s)
	j := file(t, s, order(1))
	finished(t, s, j.ID)
	assert.Equal(t, JobFinished, job(t, other, j.ID).State)
	require.NoError(t, s.Delete(t.Context(), someone, j.ID))
	require.Eventually(t, func() bool {
		_, err := other.Job(t.Context(), someone, j.ID)
		return errors.As(err, new(*NotFoundError))
	}, time.Minute, 20*time.Millisecond)
	_, err := other.Retry(t.Context(), someone, j.ID)
	assert.ErrorAs(t, err, new(*NotFoundError))
}

func TestAnItemThatNobodyEndsIsGivenUpAfterACancellation(t *testing.T) {
	t.Parallel()
	hanging := make(chan struct{})
	r := &retriever{answer: func(context.Context, qr.Filter, int) (*qr.RetrieveResult, error) {
		hanging <- struct{}{}
		<-hanging
		return outcome(study("1.1", qr.RetrievalOK)), nil
	}}
	s := New(options(t, r))
	run(t, s)
	j := file(t, s, order(1))
	<-hanging
	cancelled, err := s.Cancel(t.Context(), someone, j.ID)
	require.NoError(t, err)
	assert.Equal(t, Counts{Items: 1, Running: 1}, cancelled.Counts)
	assert.Equal(t, Counts{Items: 1, Cancelled: 1}, finished(t, s, j.ID).Counts)
	hanging <- struct{}{}
}

func TestAWaitingItemIsCancelledAtOnce(t *testing.T) {
	t.Parallel()
	r := &retriever{answer: func(context.Context, qr.Filter, int) (*qr.RetrieveResult, error) {
		return nil, &dicomnet.ConnectError{Err: errors.New("refused")}
	}}
	o := options(t, r)
	o.Backoff = []time.Duration{time.Hour}
	s := New(o)
	run(t, s)
	wanted := order(2)
	j := file(t, s, wanted)
	for e, err := range s.Events(t.Context(), someone, j.ID, 0) {
		require.NoError(t, err)
		if e.Job.Counts.Waiting == 2 {
			break
		}
	}
	assert.Equal(t, JobWaiting, job(t, s, j.ID).State)
	for _, item := range items(t, s, j.ID) {
		assert.Equal(t, Waiting, item.State)
		assert.InDelta(t, time.Hour.Seconds(), time.Until(item.NextAttemptAt).Seconds(), 800)
		assert.NotNil(t, item.Failure)
	}
	_, err := s.Cancel(t.Context(), someone, j.ID)
	require.NoError(t, err)
	assert.Equal(t, Counts{Items: 2, Cancelled: 2}, finished(t, s, j.ID).Counts)
}

func job(t *testing.T, s *Service, id string) *Job {
	t.Helper()
	j, err := s.Job(t.Context(), someone, id)
	require.NoError(t, err)
	return j
}

func TestAJobOutsideItsWindowWaitsAndIsCancelled(t *testing.T) {
	t.Parallel()
	s := New(options(t, &retriever{}))
	run(t, s)
	wanted := order(3)
	wanted.NotBefore = time.Now().Add(time.Hour)
	j := file(t, s, wanted)
	assert.Equal(t, JobWaiting, j.State)
	assert.Equal(t, Counts{Items: 3, Waiting: 3}, j.Counts)
	assert.WithinDuration(t, wanted.NotBefore, items(t, s, j.ID)[2].NextAttemptAt, time.Millisecond)
	_, err := s.Cancel(t.Context(), someone, j.ID)
	require.NoError(t, err)
	assert.Equal(t, Counts{Items: 3, Cancelled: 3}, finished(t, s, j.ID).Counts)
}

func TestAJobBeginsAtItsTime(t *testing.T) {
	t.Parallel()
	s := New(options(t, &retriever{}))
	run(t, s)
	wanted := order(3)
	wanted.NotBefore = time.Now().Add(1500 * time.Millisecond)
	j := file(t, s, wanted)
	end := finished(t, s, j.ID)
	assert.Equal(t, Counts{Items: 3, Moved: 3}, end.Counts)
	assert.False(t, end.FinishedAt.Before(wanted.NotBefore))
}

// gate is a Room that is closed until it is opened.
type gate struct {
	open        chan struct{}
	left, taken atomic.Int64
}

func (g *gate) Room(ctx context.Context, _ pool.Peer) (leave func(), err error) {
	select {
	case <-g.open:
		g.taken.Add(1)
		return func() { g.left.Add(1) }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func TestJobsAreDoneByPriorityWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	var done []string
	r := &retriever{answer: func(_ context.Context, f qr.Filter, _ int) (*qr.RetrieveResult, error) {
		done = append(done, f.PatientID)
		return outcome(study("1."+f.PatientID, qr.RetrievalOK)), nil
	}}
	o := options(t, r)
	g := &gate{open: make(chan struct{})}
	o.MaxPerPACS, o.Room = 1, g
	s := New(o)
	stop := run(t, s)
	var ids []string
	for _, p := range []Priority{Low, Normal, High} {
		wanted := order(1)
		wanted.Priority, wanted.Items[0].PatientID = p, string(p)
		ids = append(ids, file(t, s, wanted).ID)
	}
	opened, err := s.store.open(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := opened.work.Info(t.Context(), jetstream.WithSubjectFilter(workPrefix+">"))
		return err == nil && len(info.State.Subjects) == 3
	}, time.Minute, 10*time.Millisecond)
	close(g.open)
	for _, id := range ids {
		finished(t, s, id)
	}
	stop()
	assert.Equal(t, []string{"high", "normal", "low"}, done)
	assert.Equal(t, g.taken.Load(), g.left.Load())
}

func TestARequestIsRecordedAlsoIfItsCallerLeaves(t *testing.T) {
	t.Parallel()
	w := &watch{}
	o := options(t, &retriever{})
	o.Watch = w
	leave := func() {}
	o.failpoint = func(step string) error {
		if step == "filed" {
			leave()
		}
		return nil
	}
	s := New(o)
	run(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	leave = cancel
	j, _, err := s.File(ctx, someone, order(1))
	require.NoError(t, err, "it is filed")
	assert.Equal(t, []RequestKind{RequestFile}, w.requests)
	finished(t, s, j.ID)

	o.failpoint = func(step string) error {
		if step == "filed" {
			return errors.New("JetStream is gone")
		}
		return nil
	}
	_, _, err = New(o).File(t.Context(), someone, order(1))
	require.ErrorAs(t, err, new(*UnavailableError))
	assert.Equal(t, []RequestKind{RequestFile, RequestFile}, w.requests)
}
