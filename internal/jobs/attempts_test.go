package jobs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/qr"
)

func TestWhatMayPassIsTriedAgain(t *testing.T) {
	status := func(s dicomnet.Status) error { return &dicomnet.StatusError{Op: dicomnet.StepMove, Status: s} }
	for _, c := range []struct {
		err     error
		passing bool
	}{
		{&dicomnet.ConnectError{Err: syscall.ECONNREFUSED}, true},
		{&net.DNSError{}, true},
		{&dicomnet.RejectError{Result: 2}, true},
		{&dicomnet.RejectError{Result: 1}, false},
		{&dicomnet.AbortError{}, true},
		{dicomnet.ErrConnectionLost, true},
		{dicomnet.ErrReleased, true},
		{&dicomnet.TimeoutError{Timer: dicomnet.TimerMove}, true},
		{&qr.OperationTimeoutError{}, true},
		{context.DeadlineExceeded, true},
		{&pool.BusyError{}, true},
		{status(0xA701), true},
		{status(0xA702), true},
		{status(0xA801), false},
		{status(0xA900), false},
		{status(0xC001), false},
		{&dicomnet.StatusError{Op: dicomnet.StepFind, Status: 0xC001}, false},
		{&dicomnet.StatusError{Op: dicomnet.StepFind, Status: 0xA700}, true},
		{&dicomnet.TLSError{Err: errors.New("certificate")}, false},
		{&dicomnet.NoContextError{}, false},
		{&pool.NotAllowedError{}, false},
		{&dicomnet.ProtocolError{}, false},
		{syscall.EMFILE, true},
		{errUnknown, false},
	} {
		assert.Equal(t, c.passing, passing(&dicomnet.OpError{Step: dicomnet.StepMove, Err: c.err}), "%T %v", c.err, c.err)
	}
	result := func(r qr.Retrieval, err error) *qr.RetrieveResult {
		return &qr.RetrieveResult{Retrievals: []qr.Retrieval{{Status: qr.RetrievalOK}, r}, Err: err}
	}
	for _, c := range []struct {
		result *qr.RetrieveResult
		again  bool
	}{
		{result(qr.Retrieval{Status: qr.RetrievalPartial, DICOMStatus: "B000"}, nil), true},
		{result(qr.Retrieval{Status: qr.RetrievalFailed, DICOMStatus: "A702"}, nil), true},
		{result(qr.Retrieval{Status: qr.RetrievalFailed, DICOMStatus: "A801"}, status(0xA801)), false},
		{result(qr.Retrieval{Status: qr.RetrievalCancelled, DICOMStatus: "FE00"}, status(0xFE00)), false},
		{result(qr.Retrieval{Status: qr.RetrievalFailed}, dicomnet.ErrConnectionLost), true},
		{result(qr.Retrieval{Status: qr.RetrievalNotAttempted}, &dicomnet.TLSError{Err: errUnknown}), false},
		{result(qr.Retrieval{Status: qr.RetrievalNotAttempted}, nil), true},
	} {
		assert.Equal(t, c.again, mayComplete(c.result), "%+v", c.result.Retrievals[1])
	}
}

// watch records what a Service reports.
type watch struct {
	unwatched
	mu       sync.Mutex
	requests []RequestKind
	states   map[ItemState]int
	recorded map[ItemState]int
	refuse   func(w *Work) error
}

func (w *watch) Requested(kind RequestKind, _ *Job, _ principal.Principal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, kind)
}

func (w *watch) Recorded(_ *Work, s ItemState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.recorded == nil {
		w.recorded = map[ItemState]int{}
	}
	w.recorded[s]++
}

func (w *watch) Begin(ctx context.Context, work *Work) (context.Context, Task) {
	return ctx, &watchedTask{watch: w, work: work}
}

type watchedTask struct {
	unwatchedTask
	watch *watch
	work  *Work
}

func (t *watchedTask) Record(context.Context, *qr.RetrieveResult, *qr.QueryResult, error) error {
	if t.watch.refuse == nil {
		return nil
	}
	return t.watch.refuse(t.work)
}

func (t *watchedTask) End(s ItemState) {
	t.watch.mu.Lock()
	defer t.watch.mu.Unlock()
	if t.watch.states == nil {
		t.watch.states = map[ItemState]int{}
	}
	t.watch.states[s]++
}

// TestEachKindOfEndHasItsOutcome files items that end in each way, all in one job.
func TestEachKindOfEndHasItsOutcome(t *testing.T) {
	t.Parallel()
	unreachable := &dicomnet.ConnectError{Err: errors.New("refused")}
	r := &retriever{answer: func(_ context.Context, f qr.Filter, call int) (*qr.RetrieveResult, error) {
		switch f.PatientID {
		case "1000": // fails twice, then is moved
			if call < 3 {
				return nil, unreachable
			}
		case "1001": // never reached
			return nil, unreachable
		case "1002": // fails for good
			return nil, &dicomnet.TLSError{Err: errors.New("certificate")}
		case "1003":
			return outcome(), nil
		case "1004": // two studies, of which one fails once
			if call == 1 {
				return outcome(study("1.1", qr.RetrievalOK), study("1.2", qr.RetrievalPartial)), nil
			}
			if len(f.Except) != 1 || f.Except[0] != "1.1" {
				return nil, errors.New("a study is moved again")
			}
			return outcome(study("1.2", qr.RetrievalOK)), nil
		case "1005": // partial, and never better; what arrived stays
			partial := study("1.5", qr.RetrievalPartial)
			partial.DICOMStatus, partial.Completed, partial.Failed = "B000", new(2), new(1)
			if call > 1 {
				return nil, unreachable
			}
			return outcome(partial), nil
		}
		return outcome(study("1."+f.PatientID, qr.RetrievalOK)), nil
	}}
	w := &watch{}
	o := options(t, r)
	o.Attempts, o.Watch = 3, w
	o.Describe = func(_ context.Context, err error, _ bool) *Failure { return &Failure{Code: fmt.Sprintf("%T", err)} }
	s := New(o)
	run(t, s)
	j := file(t, s, order(6))
	end := finished(t, s, j.ID)
	assert.Equal(t, Counts{Items: 6, Moved: 2, Failed: 2, NoStudyMatched: 1, Partial: 1}, end.Counts)
	all := items(t, s, j.ID)
	for i, wanted := range []struct {
		state    ItemState
		attempts int
		failed   bool
	}{{Moved, 3, false}, {Failed, 3, true}, {Failed, 1, true}, {NoStudyMatched, 1, false}, {Moved, 2, false}, {Partial, 3, true}} {
		assert.Equal(t, wanted.state, all[i].State, "item %d", i)
		assert.Equal(t, wanted.attempts, all[i].Attempts, "item %d", i)
		assert.Equal(t, wanted.failed, all[i].Failure != nil, "item %d: %+v", i, all[i].Failure)
		assert.NotZero(t, all[i].EndedAt)
	}
	require.Len(t, all[4].Retrievals, 2)
	assert.Equal(t, []qr.RetrievalStatus{qr.RetrievalOK, qr.RetrievalOK}, []qr.RetrievalStatus{all[4].Retrievals[0].Status, all[4].Retrievals[1].Status})
	require.Len(t, all[5].Retrievals, 1)
	assert.Equal(t, 2, *all[5].Retrievals[0].Completed)
	assert.Equal(t, map[ItemState]int{Moved: 2, Failed: 2, NoStudyMatched: 1, Partial: 1}, w.recorded)
	assert.Equal(t, map[ItemState]int{Moved: 2, Failed: 2, NoStudyMatched: 1, Partial: 1, Waiting: 2 + 2 + 1 + 2}, w.states)
	assert.Equal(t, []RequestKind{RequestFile}, w.requests)
	assert.Zero(t, r.others, "items are batch work")
}

func TestADryRunFindsAndMovesNothing(t *testing.T) {
	r := &retriever{}
	s := New(options(t, r))
	run(t, s)
	wanted := order(2)
	wanted.DryRun, wanted.Destination = true, ""
	j := file(t, s, wanted)
	assert.Equal(t, Counts{Items: 2, Found: 2}, finished(t, s, j.ID).Counts)
	assert.Equal(t, []qr.Study{{
		StudyInstanceUID: "1.1001", StudyDescription: "Head", ModalitiesInStudy: []string{"CT"}, StudyDate: "20240131", AccessionNumber: "A7",
	}}, items(t, s, j.ID)[1].Studies, "no data of the patient is kept")
	calls, _ := r.total()
	assert.Zero(t, calls)
}

func TestAnAttemptThatCannotBeRecordedIsMadeAgainWithWhatWasMoved(t *testing.T) {
	t.Parallel()
	var refused sync.Once
	w := &watch{refuse: func(*Work) (err error) {
		refused.Do(func() { err = errors.New("the audit log is full") })
		return err
	}}
	r := &retriever{answer: func(_ context.Context, f qr.Filter, call int) (*qr.RetrieveResult, error) {
		if call == 1 {
			return outcome(study("1.1", qr.RetrievalOK)), nil
		}
		assert.Equal(t, []string{"1.1"}, f.Except)
		return outcome(), nil
	}}
	o := options(t, r)
	o.Watch = w
	s := New(o)
	run(t, s)
	j := file(t, s, order(1))
	assert.Equal(t, Counts{Items: 1, Moved: 1}, finished(t, s, j.ID).Counts)
	assert.Equal(t, 2, items(t, s, j.ID)[0].Attempts)
}

func TestBackOffGrowsAndVaries(t *testing.T) {
	o := Options{Now: func() time.Time { return noon }, Location: time.UTC}
	o.setDefaults()
	a := &attempt{service: &Service{options: o}, view: &view{record: &record{}}}
	for n, wanted := range []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute} {
		a.number = n + 1
		for range 20 {
			assert.InDelta(t, wanted.Seconds(), a.next().Sub(noon).Seconds(), 0.2*wanted.Seconds()+0.001)
		}
	}
	a.view.record.Window = &Window{From: 20 * 60, To: 21 * 60}
	assert.Equal(t, noon.Add(8*time.Hour), a.next())
}
