package joblog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/internal/joblog"
	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

type codes struct{}

func (codes) Of(context.Context, error) string           { return "pacs_failed" }
func (codes) NothingMoved(context.Context, error) string { return "move_failed" }

// sink is an audit log that fails with err.
type sink struct {
	bytes.Buffer
	err error
}

func (s *sink) Write(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	return s.Buffer.Write(b)
}

// rig is a Watch with what it writes, and a PACS with a destination.
type rig struct {
	*joblog.Watch
	telemetry   *telemetry.Telemetry
	log         bytes.Buffer
	audit       sink
	gateway     *qrtest.Gateway
	pacs        qr.Peer
	destination *dicomtest.PACS
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{destination: dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: "DEST"})}
	require.NoError(t, r.destination.Listen("127.0.0.1:0"))
	archive := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: "PACS", Destinations: map[string]string{"DEST": r.destination.Addr()}})
	require.NoError(t, archive.AddStudies(demo.Studies()...))
	require.NoError(t, archive.Listen("127.0.0.1:0"))
	t.Cleanup(func() { assert.NoError(t, errors.Join(archive.Close(), r.destination.Close())) })
	_, port, err := net.SplitHostPort(archive.Addr())
	require.NoError(t, err)
	r.pacs = qr.Peer{Host: "127.0.0.1", CalledAETitle: "PACS", CallingAETitle: "GATEWAY", Name: "main"}
	r.pacs.Port, _ = strconv.Atoi(port)
	const d = 10 * time.Second
	r.gateway = qrtest.New(qrtest.Options{Timeouts: dicomnet.Timeouts{Connection: d, ACSE: d, DIMSE: d, Move: d, Network: d}})
	r.telemetry, err = telemetry.New(telemetry.Options{})
	require.NoError(t, err)
	r.Watch = joblog.New(zerolog.New(&r.log), r.telemetry, audit.NewTrail(audit.To(&r.audit, audit.Options{})), codes{})
	return r
}

var researcher = principal.Principal{Key: "researcher", CorrelationID: "filing"}

func (r *rig) work(patientID string) *jobs.Work {
	return &jobs.Work{
		JobID: "J1", Number: 7, Run: 2, Attempt: 3, PACS: r.pacs, Destination: "DEST", Item: jobs.Item{PatientID: patientID}, FiledBy: researcher,
	}
}

// retrieve runs an attempt, and returns its error and that of its record.
func (r *rig) retrieve(t *testing.T, w *jobs.Work, state jobs.ItemState) (result *qr.RetrieveResult, err, notRecorded error) {
	t.Helper()
	ctx, task := r.Begin(t.Context(), w)
	result, err = r.gateway.Retrieve(ctx, qr.Call{Principal: w.FiledBy, Observer: task}, w.PACS, qr.Filter{PatientID: w.Item.PatientID}, w.Destination)
	notRecorded = task.Record(ctx, result, nil, err)
	task.End(state)
	return result, err, notRecorded
}

type record struct {
	Event struct {
		ID          struct{ OriginalText string } `json:"EventID"`
		Description string                        `json:"EventOutcomeDescription"`
		Outcome     audit.Outcome                 `json:"EventOutcomeIndicator"`
	} `json:"EventIdentification"`
	Participants  []audit.Participant `json:"ActiveParticipant"`
	Objects       []audit.Object      `json:"ParticipantObjectIdentification"`
	CorrelationID string              `json:"correlation_id"`
}

// records returns the audit records, each of which must name the job and who filed it.
func (r *rig) records(t *testing.T) []record {
	t.Helper()
	var all []record
	for line := range strings.Lines(r.audit.String()) {
		var rec record
		require.NoError(t, json.Unmarshal([]byte(line), &rec))
		assert.Equal(t, "filing", rec.CorrelationID)
		assert.True(t, slices.ContainsFunc(rec.Participants, func(p audit.Participant) bool { return p.UserID == "researcher" }), line)
		assert.True(t, slices.ContainsFunc(rec.Objects, func(o audit.Object) bool { return o.ID == "/jobs/J1" }), line)
		all = append(all, rec)
	}
	return all
}

func (r *rig) metrics(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, r.telemetry.WriteMetrics(&b))
	return b.String()
}

// lines returns the messages and the states of the log, which must not contain the Patient ID.
func (r *rig) lines(t *testing.T) []map[string]any {
	t.Helper()
	assert.NotContains(t, r.log.String(), demo.PatientID)
	var all []map[string]any
	for line := range strings.Lines(r.log.String()) {
		var l map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		assert.Equal(t, "filing", l["correlation_id"])
		assert.Equal(t, "J1", l["job"])
		all = append(all, l)
	}
	return all
}

func TestAnItemThatIsMovedLeavesTheRecordsOfARetrieve(t *testing.T) {
	r := newRig(t)
	result, err, notRecorded := r.retrieve(t, r.work(demo.PatientID), jobs.Moved)
	require.NoError(t, errors.Join(err, notRecorded))
	records := r.records(t)
	require.Len(t, records, 2)
	assert.Equal(t, "Begin Transferring DICOM Instances", records[0].Event.ID.OriginalText)
	assert.Equal(t, "DICOM Instances Transferred", records[1].Event.ID.OriginalText)
	assert.Equal(t, "ok", records[1].Event.Description)
	assert.Len(t, records[1].Objects, len(result.Studies)+2, "studies, patient and job")
	assert.Equal(t, audit.Detail{Type: "status", Value: []byte("ok")}, records[1].Objects[0].Details[0])
	lines := r.lines(t)
	require.Len(t, lines, 1)
	for name, value := range map[string]any{
		"message": "job item", "item": 7.0, "run": 2.0, "attempt": 3.0, "pacs": "main", "caller": "researcher", "state": "moved",
	} {
		assert.Equal(t, value, lines[0][name], name)
	}
	metrics := r.metrics(t)
	assert.Contains(t, metrics, `dicomqr_job_attempts_total{outcome="moved",peer="main"} 1`)
	assert.Contains(t, metrics, `dicomqr_job_items_running{peer="main"} 0`)
	assert.Contains(t, metrics, `dicomqr_suboperations_total{outcome="completed",`)
}

func TestAnItemWithoutStudiesOrAPACSLeavesTheRecordOfAQuery(t *testing.T) {
	r := newRig(t)
	_, err, notRecorded := r.retrieve(t, r.work("NOBODY"), jobs.NoStudyMatched)
	require.NoError(t, errors.Join(err, notRecorded))
	elsewhere := r.work("NOBODY")
	elsewhere.PACS.Port = 1 // nothing listens there
	_, err, notRecorded = r.retrieve(t, elsewhere, jobs.Waiting)
	require.Error(t, err)
	require.NoError(t, notRecorded)
	records := r.records(t)
	require.Len(t, records, 2)
	for i, description := range []string{"no_study_matched", "pacs_failed"} {
		assert.Equal(t, "Query", records[i].Event.ID.OriginalText)
		assert.Equal(t, description, records[i].Event.Description)
	}
	assert.NotEmpty(t, records[0].Objects[0].Query)
	assert.Equal(t, "pacs_failed", r.lines(t)[1]["code"])
}

func TestADryRunLeavesTheRecordOfAQueryWithItsStudies(t *testing.T) {
	r := newRig(t)
	w := r.work(demo.PatientID)
	w.Destination, w.DryRun = "", true
	ctx, task := r.Begin(t.Context(), w)
	result, err := r.gateway.Query(ctx, qr.Call{Observer: task}, w.PACS, qr.Filter{PatientID: demo.PatientID})
	require.NoError(t, err)
	require.NoError(t, task.Record(ctx, nil, result, nil))
	task.End(jobs.Found)
	records := r.records(t)
	require.Len(t, records, 1)
	assert.Equal(t, "Query", records[0].Event.ID.OriginalText)
	assert.Len(t, records[0].Objects, len(result.Studies)+3, "query, patient, studies and job")
}

func TestWhatCannotBeRecordedIsNotMoved(t *testing.T) {
	r := newRig(t)
	r.audit.err = errors.New("no space left on device")
	_, err, notRecorded := r.retrieve(t, r.work(demo.PatientID), jobs.Waiting)
	require.ErrorIs(t, err, r.audit.err)
	require.ErrorIs(t, notRecorded, r.audit.err)
	assert.Zero(t, r.destination.Instances())
	assert.Contains(t, r.log.String(), "audit record not written")

	r.audit.err = nil
	_, err, notRecorded = r.retrieve(t, r.work(demo.PatientID), jobs.Moved)
	require.NoError(t, errors.Join(err, notRecorded))
	var ids []string
	for _, rec := range r.records(t) {
		ids = append(ids, rec.Event.ID.OriginalText)
	}
	assert.Equal(t, []string{
		"Begin Transferring DICOM Instances", "DICOM Instances Transferred", // written later
		"Begin Transferring DICOM Instances", "DICOM Instances Transferred",
	}, ids)
	refused := r.records(t)[1].Objects[0]
	assert.Equal(t, audit.Detail{Type: "status", Value: []byte("not_attempted")}, refused.Details[0])
}

func TestARetrieveThatMovesNothingIsASeriousFailure(t *testing.T) {
	r := newRig(t)
	w := r.work(demo.PatientID)
	w.Destination = "UNKNOWN"
	result, err, notRecorded := r.retrieve(t, w, jobs.Failed)
	require.NoError(t, errors.Join(err, notRecorded))
	require.Error(t, result.Err)
	last := r.records(t)[1]
	assert.Equal(t, audit.SeriousFailure, last.Event.Outcome)
	assert.Equal(t, "move_failed", last.Event.Description)
}

func TestAnItemThatGoesBackToTheQueueIsReturned(t *testing.T) {
	r := newRig(t)
	_, task := r.Begin(t.Context(), r.work(demo.PatientID))
	r.Redelivered("main")
	assert.Contains(t, r.metrics(t), `dicomqr_job_items_running{peer="main"} 1`)
	task.End("")
	assert.Equal(t, "returned", r.lines(t)[0]["state"])
	assert.Contains(t, r.metrics(t), `dicomqr_job_attempts_total{outcome="returned",peer="main"} 1`)
	assert.Contains(t, r.metrics(t), `dicomqr_job_redeliveries_total{peer="main"} 1`)
}

func TestRequestsOfCallersAreRecordedAndCounted(t *testing.T) {
	r := newRig(t)
	j := &jobs.Job{ID: "J1", PACS: "main", Priority: jobs.Low, Counts: jobs.Counts{Items: 200}}
	for _, kind := range []jobs.RequestKind{jobs.RequestFile, jobs.RequestCancel, jobs.RequestRetry, jobs.RequestDelete} {
		r.Requested(kind, j, researcher)
	}
	assert.Len(t, r.records(t), 4)
	assert.Equal(t, "job deleted", r.lines(t)[3]["message"])
	assert.Contains(t, r.metrics(t), `dicomqr_jobs_filed_total{peer="main",priority="low"} 1`)

	r.audit.err = errors.New("no space left on device")
	r.Requested(jobs.RequestCancel, j, researcher)
	assert.Equal(t, "audit record not written", r.lines(t)[5]["message"])
}

func TestQueuesAndOutcomesAreMeasured(t *testing.T) {
	r := newRig(t)
	joblog.Measure(r.telemetry, func() jobs.Stats {
		return jobs.Stats{Up: true, Queues: []jobs.Queue{{PACS: "main", Priority: jobs.High, Queued: 3, Waiting: 2, Oldest: time.Minute}}}
	})
	r.Recorded(r.work(demo.PatientID), jobs.Partial)
	metrics := r.metrics(t)
	assert.Contains(t, metrics, "dicomqr_jobs_up 1")
	assert.Contains(t, metrics, `dicomqr_job_items{peer="main",priority="high",state="waiting"} 2`)
	assert.Contains(t, metrics, `dicomqr_job_oldest_seconds{peer="main",priority="high"} 60`)
	assert.Contains(t, metrics, `dicomqr_job_items_total{outcome="partial",peer="main"} 1`)
}
