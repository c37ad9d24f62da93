package jobs

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/internal/broker/brokertest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/qr"
)

// someone is the caller of most tests.
var someone = principal.Principal{Key: "ward-3", CorrelationID: "order-1"}

// pacs are named PACS.
type pacs []string

func (p pacs) Lookup(name string) (pool.Peer, bool) {
	return pool.Peer{Name: name}, slices.Contains(p, name)
}

func (p pacs) List() []pool.Peer {
	var list []pool.Peer
	for _, name := range p {
		list = append(list, pool.Peer{Name: name})
	}
	return list
}

// retriever is a Retriever that moves one study for each item, unless answer says otherwise, and counts.
type retriever struct {
	mu     sync.Mutex
	calls  map[string]int // of each Patient ID
	others int            // calls that are no batch work
	answer func(ctx context.Context, f qr.Filter, call int) (*qr.RetrieveResult, error)
}

func (r *retriever) Retrieve(ctx context.Context, c qr.Call, _ qr.Peer, f qr.Filter, _ string) (*qr.RetrieveResult, error) {
	r.mu.Lock()
	if !c.Batch {
		r.others++
	}
	if r.calls == nil {
		r.calls = map[string]int{}
	}
	r.calls[f.PatientID]++
	call, answer := r.calls[f.PatientID], r.answer
	r.mu.Unlock()
	if answer != nil {
		return answer(ctx, f, call)
	}
	return outcome(study("1."+f.PatientID, qr.RetrievalOK)), nil
}

func (r *retriever) Query(_ context.Context, _ qr.Call, _ qr.Peer, f qr.Filter) (*qr.QueryResult, error) {
	return &qr.QueryResult{Studies: []qr.Study{{
		PatientID: f.PatientID, PatientName: "DOE^JANE", DateOfBirth: "19700101", StudyInstanceUID: "1." + f.PatientID, StudyDescription: "Head",
		ModalitiesInStudy: []string{"CT"}, StudyDate: "20240131", AccessionNumber: "A7",
	}}}, nil
}

func (r *retriever) total() (calls, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.calls {
		calls += n
		most = max(most, n)
	}
	return calls, most
}

func study(uid string, status qr.RetrievalStatus) qr.Retrieval {
	r := qr.Retrieval{StudyInstanceUID: uid, Status: status}
	if status == qr.RetrievalOK {
		r.DICOMStatus, r.Completed = "0000", new(3)
	}
	return r
}

func outcome(list ...qr.Retrieval) *qr.RetrieveResult {
	result := &qr.RetrieveResult{Retrievals: list}
	for _, r := range list {
		result.Studies = append(result.Studies, qr.Study{StudyInstanceUID: r.StudyInstanceUID})
		if r.Status != qr.RetrievalOK && result.Err == nil {
			result.Err = errors.New("refused")
		}
	}
	return result
}

// options are those of most tests: fast.
func options(t *testing.T, r Retriever) Options {
	t.Helper()
	return Options{
		Broker: brokertest.Embedded(t, t.TempDir()), Retriever: r, PACS: pacs{"main"}, Log: zerolog.Nop(),
		Backoff: []time.Duration{time.Millisecond}, AckWait: 10 * time.Second, Idle: 10 * time.Millisecond, Grace: time.Second,
		DrainTimeout: time.Second, Patience: 10 * time.Second, Timeout: 20 * time.Second,
	}
}

// run runs the service until stop is called, or the test ends.
func run(t *testing.T, s *Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// order is an order with so many items.
func order(items int) Order {
	o := Order{PACS: "main", Destination: "DEST"}
	for i := range items {
		o.Items = append(o.Items, Item{PatientID: strconv.Itoa(1000 + i)})
	}
	return o
}

func file(t *testing.T, s *Service, o Order) *Job {
	t.Helper()
	j, _, err := s.File(t.Context(), someone, o)
	if err != nil {
		t.Fatal(err, errors.Unwrap(err))
	}
	return j
}

// finished waits until the job has finished, and returns it.
func finished(t *testing.T, s *Service, id string) *Job {
	t.Helper()
	return last(t, s, id, 0)[0].Job
}

// last returns the last event of a job, after those with a sequence up to after, and all before it.
func last(t *testing.T, s *Service, id string, after uint64) (finished []Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all []Event
	for e, err := range s.Events(ctx, someone, id, after) {
		if err != nil {
			t.Fatal(err, errors.Unwrap(err))
		}
		all = append(all, e)
	}
	slices.Reverse(all)
	if len(all) == 0 || all[0].Kind != EventFinished {
		t.Fatalf("the events do not end with %s: %v", EventFinished, all)
	}
	return all
}

func items(t *testing.T, s *Service, id string) []ItemReport {
	t.Helper()
	page, total, err := s.Items(t.Context(), someone, id, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	if total != len(page) {
		t.Fatalf("%d of %d items", len(page), total)
	}
	return page
}
