package batch

import (
	"context"
	"encoding/csv"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/qr"
)

// kept is a Service with one job.
type kept struct {
	items []jobs.ItemReport
	fails int // the call of Items that fails, from 1; 0: none
	calls int
}

func (k *kept) Items(_ context.Context, _ principal.Principal, _ string, s jobs.Selection) ([]jobs.ItemReport, int, error) {
	if k.calls++; k.calls == k.fails {
		return nil, 0, &jobs.NotFoundError{}
	}
	page := k.items[min(s.Offset, len(k.items)):]
	return page[:min(s.Limit, len(page))], len(k.items), nil
}

func (k *kept) Job(context.Context, principal.Principal, string) (*jobs.Job, error) {
	return &jobs.Job{ID: "1", NotBefore: time.Unix(1, 5), Window: &jobs.Window{From: 60, To: 120}, FiledAt: time.Unix(1, 0), ExpiresAt: time.Unix(2, 0)}, nil
}

func (*kept) File(context.Context, principal.Principal, jobs.Order) (*jobs.Job, bool, error) {
	panic("not called")
}

func (*kept) Jobs(context.Context, principal.Principal, jobs.Page) ([]jobs.Job, bool, error) {
	panic("not called")
}

func (*kept) Events(context.Context, principal.Principal, string, uint64) iter.Seq2[jobs.Event, error] {
	panic("not called")
}

func (*kept) Cancel(context.Context, principal.Principal, string) (*jobs.Job, error) {
	panic("not called")
}

func (*kept) Retry(context.Context, principal.Principal, string) (*jobs.Job, error) {
	panic("not called")
}
func (*kept) Delete(context.Context, principal.Principal, string) error { panic("not called") }

// get returns the answer to GET /jobs/{job}.
func get(t *testing.T, service Service, request *Request) (*httptest.ResponseRecorder, error) {
	t.Helper()
	answer, err := (&Handlers{Service: service}).GetJob(With(t.Context(), request), api.GetJobRequestObject{Job: "ab-/1"})
	if err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	return w, answer.VisitGetJobResponse(w)
}

func rows(t *testing.T, text string) [][]string {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	return all
}

func TestTheResultAsCSV(t *testing.T) {
	service := &kept{items: []jobs.ItemReport{
		{Number: 1, Item: jobs.Item{PatientID: "=cmd|'/c calc'!A1", AccessionNumber: "@1"}, State: jobs.Moved, Attempts: 1, Retrievals: []qr.Retrieval{
			{Status: qr.RetrievalOK, Completed: new(3), Failed: new(0)}, {Status: qr.RetrievalOK},
		}},
		{Number: 2, Item: jobs.Item{PatientID: "'7"}, State: jobs.Failed, Attempts: 5, Failure: &jobs.Failure{Code: "pacs_unreachable", Detail: "Could not, \"alas\".", Hint: "-x"}},
		{Number: 3, Item: jobs.Item{StudyInstanceUID: "1.2"}, State: jobs.Queued},
		{Number: 4, Item: jobs.Item{PatientID: "1"}, State: jobs.Found, Studies: make([]qr.Study, 2)},
	}}
	w, err := get(t, service, &Request{Prefers: CSV})
	require.NoError(t, err)
	assert.Equal(t, "text/csv; charset=utf-8; header=present", w.Header().Get("Content-Type"))
	assert.Equal(t, `attachment; filename="job-ab-1.csv"`, w.Header().Get("Content-Disposition"))
	assert.Equal(t, 5, strings.Count(w.Body.String(), "\r\n"))
	assert.Equal(t, [][]string{
		columnsOfResult,
		{"1", "'=cmd|'/c calc'!A1", "'@1", "", "moved", "1", "2", "3", "0", "", "", ""},
		{"2", "''7", "", "", "failed", "5", "0", "0", "0", "pacs_unreachable", "Could not, \"alas\".", "'-x"},
		{"3", "", "", "1.2", "queued", "0", "", "", "", "", "", ""},
		{"4", "1", "", "", "found", "0", "2", "0", "0", "", "", ""},
	}, rows(t, w.Body.String()))

	o, err := ReadCSV(orderSchema(t), "pacs=main&dry_run=true", w.Body.Bytes())
	require.NoError(t, err, "a result can be filed again")
	assert.Equal(t, []jobs.Item{
		{PatientID: "=cmd|'/c calc'!A1", AccessionNumber: "@1"}, {PatientID: "'7"}, {StudyInstanceUID: "1.2"}, {PatientID: "1"},
	}, o.Items)
}

func TestAResultOfManyItemsAndPartsOfIt(t *testing.T) {
	service := &kept{}
	for i := range 2*jobs.MaxPage + 10 {
		state := jobs.Moved
		if i%2 == 1 {
			state = jobs.Failed
		}
		service.items = append(service.items, jobs.ItemReport{Number: i + 1, State: state})
	}
	numbers := func(page Page) []string {
		w, err := get(t, service, &Request{Prefers: CSV, Page: page})
		require.NoError(t, err)
		var list []string
		for _, row := range rows(t, w.Body.String())[1:] {
			list = append(list, row[0])
		}
		return list
	}
	all := numbers(Page{})
	assert.Len(t, all, len(service.items))
	assert.Equal(t, strconv.Itoa(len(service.items)), all[len(all)-1])
	assert.Len(t, numbers(Page{State: jobs.Failed}), jobs.MaxPage+5)
	assert.Equal(t, []string{"2004", "2006"}, numbers(Page{State: jobs.Failed, Offset: 1001, Limit: 2}))

	service.fails = service.calls + 2
	_, err := get(t, service, &Request{Prefers: CSV})
	require.ErrorIs(t, err, http.ErrAbortHandler, "the caller does not take a part for the whole")
	service.fails = service.calls + 1
	_, err = get(t, service, &Request{Prefers: CSV})
	require.ErrorContains(t, err, "job_not_found")
}

// failingWriter takes nothing.
type failingWriter struct{ http.ResponseWriter }

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestAResultEndsWhenItsCallerIsGone(t *testing.T) {
	service := &kept{items: make([]jobs.ItemReport, 5*jobs.MaxPage)}
	answer, err := (&Handlers{Service: service}).GetJob(With(t.Context(), &Request{Prefers: CSV}), api.GetJobRequestObject{Job: "1"})
	require.NoError(t, err)
	require.ErrorContains(t, answer.VisitGetJobResponse(failingWriter{httptest.NewRecorder()}), "gone")
	assert.Equal(t, 1, service.calls)
}

func TestAJobAndItsItemsAsJSON(t *testing.T) {
	service := &kept{items: []jobs.ItemReport{
		{
			Number: 1, State: jobs.Partial, Attempts: 2, Cut: 3, NextAttemptAt: time.Unix(5, 999),
			Item: jobs.Item{
				PatientID: "1", IssuerOfPatientID: "A", AccessionNumber: "2", Modalities: []string{"CT"}, MaxYearsOld: 1, MaxResults: 2,
				StudyInstanceUIDs: []string{"1.2"}, StudyDateFrom: "20240131", StudyDateTo: "20240201",
			},
			Failure:    &jobs.Failure{Code: "move_failed", Detail: "Nothing.", DICOM: &jobs.DICOMFault{Step: "move", Status: "A702"}},
			Retrievals: []qr.Retrieval{{StudyInstanceUID: "1.2", Status: qr.RetrievalPartial, DICOMStatus: "B000"}},
			Studies:    []qr.Study{{StudyInstanceUID: "1.2", PatientName: "SECRET"}},
			Warnings:   []qr.Warning{{Code: qr.WarningDuplicatesMerged, Message: "1 was"}},
		},
	}}
	w, err := get(t, service, &Request{})
	require.NoError(t, err)
	assert.Equal(t, "Accept", w.Header().Get("Vary"))
	assert.JSONEq(t, `{"job":"1","state":"","pacs":"","c_move_ae_title":null,"dry_run":false,"not_before":"1970-01-01T00:00:01Z","window":"01:00-02:00",
		"priority":"","filed_at":"1970-01-01T00:00:01Z","filed_by":"","finished_at":null,"expires_at":"1970-01-01T00:00:02Z","run":0,
		"counts":{"items":0,"queued":0,"running":0,"waiting":0,"moved":0,"partial":0,"failed":0,"no_study_matched":0,"cancelled":0,"found":0},"total":1,
		"items":[{"item":1,"patient_id":"1","accession_number":"2","issuer_of_patient_id":"A","modalities":["CT"],"max_years_old":1,"max_results":2,
			"study_instance_uids":["1.2"],"study_date_from":"2024-01-31","study_date_to":"2024-02-01","state":"partial","attempts":2,
			"next_attempt_at":"1970-01-01T00:00:05Z","code":"move_failed","detail":"Nothing.","dicom":{"step":"move","status":"A702"},
			"warnings":[{"code":"duplicates_merged","message":"1 was"},
				{"code":"failed_instances_cut","message":"3 entries of the outcome are left out, because it is too long; the counters are complete"}],
			"retrievals":[{"StudyInstanceUID":"1.2","status":"partial","dicom_status":"B000","completed":null,"failed":null,"warning":null,"failed_sop_instance_uids":[]}],
			"studies":[{"StudyInstanceUID":"1.2","StudyDescription":"","ModalitiesInStudy":[],"StudyDate":"","AccessionNumber":""}]}]}`, w.Body.String())
}

func TestWithoutJobsThereIsNoService(t *testing.T) {
	assert.Nil(t, ServiceOf(nil))
	assert.NotNil(t, ServiceOf(&jobs.Service{}))
}
