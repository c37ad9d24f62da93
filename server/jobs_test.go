package server

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/batch"
)

// fakeJobs answers with its values, or with err if it is not nil.
type fakeJobs struct {
	err    error
	job    jobs.Job
	items  []jobs.ItemReport
	events func(ctx context.Context, after uint64, yield func(jobs.Event, error) bool)

	mu     sync.Mutex
	calls  []string
	order  jobs.Order
	caller principal.Principal
	sel    jobs.Selection
	page   jobs.Page
	after  uint64
}

func (f *fakeJobs) note(name string, p principal.Principal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.caller = append(f.calls, name), p
	return f.err
}

func (f *fakeJobs) answer() (*jobs.Job, error) {
	if f.err != nil {
		return nil, f.err
	}
	job := f.job
	return &job, nil
}

func (f *fakeJobs) File(_ context.Context, p principal.Principal, o jobs.Order) (*jobs.Job, bool, error) {
	_ = f.note("file", p)
	replayed := f.order.IdempotencyKey != "" && f.order.IdempotencyKey == o.IdempotencyKey
	f.order = o
	job, err := f.answer()
	return job, replayed, err
}

func (f *fakeJobs) Jobs(_ context.Context, p principal.Principal, page jobs.Page) ([]jobs.Job, bool, error) {
	f.page = page
	return []jobs.Job{f.job}, true, f.note("jobs", p)
}

func (f *fakeJobs) Job(_ context.Context, p principal.Principal, _ string) (*jobs.Job, error) {
	_ = f.note("job", p)
	return f.answer()
}

func (f *fakeJobs) Items(_ context.Context, p principal.Principal, _ string, s jobs.Selection) ([]jobs.ItemReport, int, error) {
	f.sel = s
	page := f.items[min(s.Offset, len(f.items)):]
	return page[:min(s.Limit, len(page))], len(f.items), f.note("items", p)
}

func (f *fakeJobs) Events(ctx context.Context, p principal.Principal, _ string, after uint64) iter.Seq2[jobs.Event, error] {
	return func(yield func(jobs.Event, error) bool) {
		f.after = after
		if err := f.note("events", p); err != nil {
			yield(jobs.Event{}, err)
			return
		}
		f.events(ctx, after, yield)
	}
}

func (f *fakeJobs) Cancel(_ context.Context, p principal.Principal, _ string) (*jobs.Job, error) {
	_ = f.note("cancel", p)
	return f.answer()
}

func (f *fakeJobs) Retry(_ context.Context, p principal.Principal, _ string) (*jobs.Job, error) {
	_ = f.note("retry", p)
	return f.answer()
}

func (f *fakeJobs) Delete(_ context.Context, p principal.Principal, _ string) error {
	return f.note("delete", p)
}

func sampleJob() jobs.Job {
	return jobs.Job{
		ID: "01m8j8c43gbqvdgjhbsxxd82qc", State: jobs.JobRunning, PACS: "main", Destination: "DEST", Priority: jobs.Normal, Run: 1,
		FiledAt: time.Date(2026, 1, 31, 18, 2, 11, 0, time.UTC), ExpiresAt: time.Date(2026, 3, 2, 18, 2, 11, 0, time.UTC),
		FiledBy: "anonymous", Counts: jobs.Counts{Items: 2, Running: 1, Moved: 1},
	}
}

// startJobs starts a server with jobs and the named PACS main.
func startJobs(t *testing.T, service batch.Service, variables ...string) *running {
	t.Helper()
	return startWith(t, &fakeGateway{}, withJobs(service), variables...)
}

func withJobs(service batch.Service) preparation {
	peer := qr.Peer{Name: "main", Host: "127.0.0.1", Port: 104, CalledAETitle: "PACS", CallingAETitle: "GATEWAY", Settings: &pool.Settings{}}
	return preparation{options: func(o *Options) { o.PACS, o.Jobs = namedMain{peer}, service }}
}

// routesOfJobs are the routes below /jobs, as methods and paths.
var routesOfJobs = [][2]string{
	{http.MethodPost, "/jobs"},
	{http.MethodGet, "/jobs"},
	{http.MethodGet, "/jobs/1"},
	{http.MethodDelete, "/jobs/1"},
	{http.MethodGet, "/jobs/1/events"},
	{http.MethodPost, "/jobs/1/cancel"},
	{http.MethodPost, "/jobs/1/retry"},
}

const (
	orderBody  = `{"pacs":"main","c_move_ae_title":"DEST","items":[{"patient_id":"` + patientID + `"}]}`
	orderQuery = "/jobs?pacs=main&c_move_ae_title=DEST"
)

// problemsOfJobs returns the answers of routes below /jobs that are problems, by example.
func problemsOfJobs(t *testing.T) map[string]string {
	t.Helper()
	service := &fakeJobs{job: sampleJob()}
	r := startJobs(t, service)
	answer := func(r *running, method, path, body string, header ...string) string {
		_, _, document := r.do(t, method, path, strings.NewReader(body), append(header, "X-Correlation-ID", exampleID)...)
		return document
	}
	documents := map[string]string{
		"JobsDisabled": answer(start(t, &fakeGateway{}), http.MethodGet, "/jobs", ""),
		"InvalidJob": answer(r, http.MethodPost, "/jobs",
			`{"pacs":"main","items":[{"patient_id":"1"},{"patient_id":"2","accession":"3"},{"patient_id":"1"}]}`),
		"InvalidCSV":      answer(r, http.MethodPost, orderQuery, "patient_id,study_instance_uid\n1,\n2,2..25\n1,\n", "Content-Type", "text/csv"),
		"InvalidJobQuery": answer(r, http.MethodGet, "/jobs?limit=0", ""),
	}
	for name, err := range map[string]error{
		"JobNotFound":     &jobs.NotFoundError{},
		"EventsGone":      &jobs.GoneError{},
		"TooManyJobs":     &jobs.LimitError{},
		"JobsUnavailable": &jobs.UnavailableError{Err: errUnexpected},
	} {
		service.err = err
		documents[name] = answer(r, http.MethodGet, "/jobs/1/events", "")
	}
	service.err = &jobs.ConflictError{Kind: jobs.KeyReused}
	documents["IdempotencyKeyReused"] = answer(r, http.MethodPost, "/jobs", orderBody, "Idempotency-Key", "1")
	service.err = &jobs.ConflictError{Kind: jobs.NotFinished}
	documents["JobNotFinished"] = answer(r, http.MethodDelete, "/jobs/1", "")
	service.err = &jobs.ConflictError{Kind: jobs.AlreadyEnded}
	documents["JobFinished"] = answer(r, http.MethodPost, "/jobs/1/cancel", "")
	service.err = &jobs.ConflictError{Kind: jobs.NothingToRetry}
	documents["NothingToRetry"] = answer(r, http.MethodPost, "/jobs/1/retry", "")
	return documents
}

func TestJobsWithoutStorageAreDisabled(t *testing.T) {
	r := start(t, &fakeGateway{})
	for _, route := range routesOfJobs {
		status, _, body := r.do(t, route[0], route[1], strings.NewReader("{}"), "X-Correlation-ID", exampleID)
		require.Equal(t, http.StatusNotImplemented, status, "%s", route)
		assert.Equal(t, example(t, "ProblemJobsDisabled"), asExample(t, body))
	}
	for _, path := range []string{"/jobs", "/jobs/1", "/jobs/1/events"} {
		status, _, body := r.do(t, http.MethodHead, path, nil)
		assert.Equal(t, http.StatusNotImplemented, status, path)
		assert.Empty(t, body)
	}
}

func TestAJobIsFiledAsJSONOrCSV(t *testing.T) {
	service := &fakeJobs{job: sampleJob()}
	r := startJobs(t, service)
	status, _, body := r.post(t, "/jobs", orderBody, "Idempotency-Key", "night 1")
	assert.Equal(t, http.StatusBadRequest, status, body)
	assert.Empty(t, service.calls)

	status, header, body := r.post(t, "/jobs", orderBody, "Idempotency-Key", "night-1")
	require.Equal(t, http.StatusAccepted, status, body)
	assert.Equal(t, r.url+"/jobs/"+service.job.ID, header.Get("Location"))
	assert.Empty(t, header.Get("Idempotency-Replayed"))
	want := jobs.Order{PACS: "main", Destination: "DEST", Items: []jobs.Item{{PatientID: patientID}}, IdempotencyKey: "night-1"}
	assert.Equal(t, want, service.order)

	status, header, _ = r.post(t, orderQuery, "patient_id\r\n"+patientID+"\r\n", "Idempotency-Key", "night-1", "Content-Type", "text/csv; charset=UTF-8")
	assert.Equal(t, http.StatusAccepted, status)
	assert.Equal(t, "true", header.Get("Idempotency-Replayed"))
	assert.Equal(t, want, service.order)
	assert.NotContains(t, r.logs.String(), patientID)
}

func TestFilingRefusesBodiesThatAreTooLongOrOfAnotherType(t *testing.T) {
	service := &fakeJobs{job: sampleJob()}
	r := startJobs(t, service)
	for name, test := range map[string]struct {
		body   string
		header []string
		status int
		detail string
	}{
		"too long":          {strings.Repeat(" ", maxOrder+1), nil, http.StatusRequestEntityTooLarge, "The body exceeds 4 MiB."},
		"another type":      {orderBody, []string{"Content-Type", "text/plain"}, http.StatusUnsupportedMediaType, "text/csv"},
		"another charset":   {"patient_id\n1\n", []string{"Content-Type", "text/csv; charset=windows-1252"}, http.StatusUnsupportedMediaType, "UTF-8"},
		"compressed":        {orderBody, []string{"Content-Encoding", "gzip"}, http.StatusUnsupportedMediaType, "content encoding"},
		"PACS unknown":      {strings.Replace(orderBody, "main", "other", 1), nil, http.StatusBadRequest, "No PACS of this name"},
		"long and no order": {"[" + strings.Repeat("{},", 11_000) + "{}]", nil, http.StatusBadRequest, "1 fault"},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, body := r.post(t, "/jobs", test.body, test.header...)
			assert.Equal(t, test.status, status)
			assert.Contains(t, problemIn(t, body).Detail, test.detail)
		})
	}
	assert.Empty(t, service.calls)
}

func TestFaultsThatOnlyTheServiceFindsAreNamedByLine(t *testing.T) {
	service := &fakeJobs{err: &jobs.InvalidError{Faults: []jobs.Fault{
		{Item: 1, Field: "accession_number", Detail: "has more than 16 characters, which needs a patient_id"}, {Item: -1, Field: "not_before", Detail: "is later than that"},
	}}}
	r := startJobs(t, service)
	_, _, body := r.post(t, orderQuery, "patient_id\n1\n\n2\n", "Content-Type", "text/csv")
	p := problemIn(t, body)
	assert.Equal(t, []goclient.Fault{
		{Pointer: "/items/1/accession_number", Detail: "has more than 16 characters, which needs a patient_id", Line: new(4)},
		{Pointer: "/not_before", Detail: "is later than that"},
	}, p.Errors)
}

func TestAKeyFilesJobsForItsPACSOnlyAndMayUseItStillWhenItRetries(t *testing.T) {
	service := &fakeJobs{job: sampleJob()}
	file := filepath.Join(t.TempDir(), "audit.log")
	r := startJobs(t, service, "API_KEYS_FILE", keysFile(t, strings.TrimSuffix(keyLine("worklist", worklistKey), "\n")+":pacs=other"), "AUDIT_LOG", file)
	key := []string{"Authorization", "Bearer " + worklistKey}
	status, _, body := r.post(t, "/jobs", orderBody, key...)
	assert.Equal(t, http.StatusForbidden, status)
	assert.Equal(t, goclient.ProblemCodePACSNotAllowed, problemIn(t, body).Code)
	status, _, _ = r.post(t, "/jobs/1/retry", "", key...)
	assert.Equal(t, http.StatusForbidden, status)
	assert.NotContains(t, service.calls, "file")
	assert.NotContains(t, service.calls, "retry")
	assert.Len(t, records(t, readFile(t, file)), 3, "the start and two refusals")

	status, _, _ = r.post(t, "/jobs/1/cancel", "", key...)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "worklist", service.caller.Key)
	status, _, _ = r.post(t, "/jobs", orderBody)
	assert.Equal(t, http.StatusUnauthorized, status)
}

func TestNothingIsFiledIfNoAuditRecordCanBeWritten(t *testing.T) {
	service := &fakeJobs{job: sampleJob()}
	disk, prepared := &disk{}, withJobs(service)
	r := startWith(t, &fakeGateway{}, preparation{options: func(o *Options) {
		prepared.options(o)
		o.Audit = audit.NewTrail(audit.To(disk, audit.Options{}))
	}})
	status, _, _ := r.post(t, "/jobs", orderBody)
	require.Equal(t, http.StatusAccepted, status)
	disk.fill(true)
	require.Error(t, r.server.trail.Refused(principal.Principal{}, "/jobs", "test"), "the trail notices with its next record")
	service.calls = nil
	for _, route := range [][2]string{
		{http.MethodPost, "/jobs"}, {http.MethodPost, "/jobs/1/cancel"}, {http.MethodPost, "/jobs/1/retry"}, {http.MethodDelete, "/jobs/1"},
	} {
		status, header, body := r.do(t, route[0], route[1], strings.NewReader(orderBody))
		assertUnaudited(t, status, header, body)
	}
	assert.Empty(t, service.calls)
}

func TestJobsAreListedPageByPage(t *testing.T) {
	service := &fakeJobs{job: sampleJob()}
	r := startJobs(t, service)
	reply, err := r.api.ListJobsWithResponse(t.Context(), &goclient.ListJobsParams{Offset: new(40)})
	require.NoError(t, err)
	require.NotNil(t, reply.JSON200)
	assert.True(t, reply.JSON200.More)
	assert.Equal(t, service.job.ID, reply.JSON200.Jobs[0].Job)
	assert.Equal(t, jobs.Page{Offset: 40, Limit: 20}, service.page)
	status, _, body := r.do(t, http.MethodGet, "/jobs?limt=1&offset=-1&limit=%zz&limit=1&limit=2", nil)
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Len(t, problemIn(t, body).Errors, 4)
}

func TestAJobIsCancelledRetriedAndDeleted(t *testing.T) {
	service := &fakeJobs{job: sampleJob()}
	r := startJobs(t, service)
	status, _, body := r.post(t, "/jobs/1/cancel", "")
	assert.Equal(t, http.StatusOK, status, body)
	status, _, body = r.post(t, "/jobs/1/retry", "")
	assert.Equal(t, http.StatusAccepted, status, body)
	status, _, body = r.do(t, http.MethodDelete, "/jobs/1", nil)
	assert.Equal(t, http.StatusNoContent, status, body)
	assert.Equal(t, []string{"cancel", "job", "retry", "delete"}, service.calls)
	service.err = errors.New("anything else")
	for _, route := range routesOfJobs {
		status, _, _ := r.do(t, route[0], route[1], strings.NewReader(orderBody))
		assert.Equal(t, http.StatusInternalServerError, status, "%s", route)
	}
}

func TestReadinessSaysWhetherJobsAreAccepted(t *testing.T) {
	var lost error
	prepared := withJobs(&fakeJobs{})
	r := startWith(t, &fakeGateway{}, preparation{options: func(o *Options) {
		prepared.options(o)
		o.JobsErr, o.Budget = func() error { return lost }, func() string { return "reserved" }
	}})
	_, _, body := r.do(t, http.MethodGet, "/ready", nil)
	assert.JSONEq(t, `{"status":"ready","jobs":"available","budget":"reserved"}`, body)
	lost = os.ErrClosed
	status, _, body := r.do(t, http.MethodGet, "/ready", nil)
	assert.Equal(t, http.StatusOK, status, "queries go on")
	assert.JSONEq(t, `{"status":"ready","jobs":"unavailable","budget":"reserved"}`, body)
}

// happening returns the events of a job: sequences from 1, an outcome every interval, and the end.
func happening(outcomes int, interval time.Duration) *fakeJobs {
	f := &fakeJobs{job: sampleJob()}
	f.events = func(ctx context.Context, _ uint64, yield func(jobs.Event, error) bool) {
		if !yield(jobs.Event{Kind: jobs.EventJob, Job: &f.job}, nil) || !yield(jobs.Event{Sequence: 1, Kind: jobs.EventJob, Job: &f.job}, nil) {
			return
		}
		for i := range outcomes {
			select {
			case <-ctx.Done():
				yield(jobs.Event{}, ctx.Err())
				return
			case <-time.After(interval):
			}
			event := jobs.Event{
				Sequence: uint64(i + 2), Kind: jobs.EventItem, Job: &f.job, Item: &jobs.ItemReport{Number: i + 1, State: jobs.Moved},
			}
			if !yield(event, nil) {
				return
			}
		}
		yield(jobs.Event{Sequence: uint64(outcomes + 1), Kind: jobs.EventFinished, Job: &f.job}, nil)
	}
	return f
}

// following writes the events of a job, as a request that continues after a sequence gets them.
func following(ctx context.Context, w http.ResponseWriter, service batch.Service, after uint64, leaving <-chan struct{}) error {
	ctx = batch.With(ctx, &batch.Request{After: after, Leaving: leaving})
	answer, err := (&batch.Handlers{Service: service}).FollowJob(ctx, api.FollowJobRequestObject{Job: "1"})
	if err != nil {
		return err
	}
	return answer.VisitFollowJobResponse(w)
}

func TestEventsOfAJobWithCountersAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		require.NoError(t, following(t.Context(), w, happening(25, 100*time.Millisecond), jobs.Now, nil))
		counts := map[string]int{}
		for line := range strings.Lines(w.Body.String()) {
			if name, ok := strings.CutPrefix(line, "event: "); ok {
				counts[strings.TrimSpace(name)]++
			}
		}
		assert.Equal(t, map[string]int{"job": 3, "item": 25, "finished": 1}, counts)
		assert.True(t, strings.HasPrefix(w.Body.String(), "id: 1\nevent: job\ndata: {"), "the present state without a sequence is left out")
		assert.Contains(t, w.Body.String(), "id: 26\nevent: finished\n")
	})
}

func TestAStreamWithoutEventsBeginsAndIsKeptOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		service := &fakeJobs{events: func(ctx context.Context, _ uint64, yield func(jobs.Event, error) bool) {
			<-ctx.Done()
			yield(jobs.Event{}, ctx.Err())
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		require.NoError(t, following(ctx, w, service, 41, nil))
		assert.Equal(t, uint64(41), service.after)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, 3, strings.Count(w.Body.String(), ": "), "%q", w.Body.String())
		assert.NotContains(t, w.Body.String(), "event")
	})
}

func TestStreamsEndWhenTheGatewayShutsDown(t *testing.T) {
	for _, begun := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			leaving := make(chan struct{})
			interval := time.Duration(0)
			if begun {
				interval = 1500 * time.Millisecond
			}
			time.AfterFunc(interval, func() { close(leaving) })
			service := &fakeJobs{events: func(ctx context.Context, _ uint64, yield func(jobs.Event, error) bool) {
				<-ctx.Done()
				yield(jobs.Event{}, ctx.Err())
			}}
			w := httptest.NewRecorder()
			err := following(t.Context(), w, service, 1, leaving)
			if begun {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "shutting down")
			}
		})
	}
}

func TestAStreamEndsWhenItsCallerLeaves(t *testing.T) {
	left := make(chan struct{})
	f := happening(1_000_000, time.Millisecond)
	inner := f.events
	f.events = func(ctx context.Context, after uint64, yield func(jobs.Event, error) bool) {
		defer close(left)
		inner(ctx, after, yield)
	}
	r := startJobs(t, f)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/jobs/1/events", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Last-Event-ID", "7")
	response, err := r.http.Do(request)
	require.NoError(t, err)
	assert.Equal(t, eventType, response.Header.Get("Content-Type"))
	_, err = io.ReadFull(response.Body, make([]byte, 1000))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	<-left
	assert.Equal(t, uint64(7), f.after)
}

func TestHEADOfEventsAnswersAtOnce(t *testing.T) {
	f := happening(1_000_000, time.Hour)
	r := startJobs(t, f)
	status, header, _ := r.do(t, http.MethodHead, "/jobs/1/events", nil)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, eventType, header.Get("Content-Type"))
	f.err = &jobs.NotFoundError{}
	status, _, _ = r.do(t, http.MethodHead, "/jobs/1/events", nil)
	assert.Equal(t, http.StatusNotFound, status)
	for _, id := range []string{"-1", "x", "18446744073709551615", "18446744073709551616"} {
		status, _, _ = r.do(t, http.MethodGet, "/jobs/1/events", nil, "Last-Event-ID", id)
		assert.Equal(t, http.StatusBadRequest, status, id)
	}
}

func TestCallersShareTheStreamsOfEvents(t *testing.T) {
	r := startJobs(t, happening(1_000_000, time.Hour))
	caller := principal.Principal{Address: "127.0.0.1"}.Identity()
	followers := r.server.workload.followers
	require.Equal(t, granted, followers.take(caller, maxFollowers/2))
	status, _, body := r.do(t, http.MethodGet, "/jobs/1/events", nil)
	assert.Equal(t, http.StatusTooManyRequests, status, body)
	followers.give(caller, maxFollowers/2)
	others := principal.Principal{Key: "other"}.Identity()
	require.Equal(t, granted, followers.take(others, maxFollowers/2))
	require.Equal(t, granted, followers.take(principal.Principal{Key: "third"}.Identity(), maxFollowers/4))
	followers.taken = maxFollowers
	status, _, body = r.do(t, http.MethodGet, "/jobs/1/events", nil)
	assert.Equal(t, http.StatusServiceUnavailable, status, body)
	r.server.workload.mu.Lock()
	r.server.workload.draining = true
	r.server.workload.mu.Unlock()
	status, _, body = r.do(t, http.MethodGet, "/jobs/1/events", nil)
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, goclient.ProblemCodeDraining, problemIn(t, body).Code)
}
