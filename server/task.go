package server

import (
	"context"
	"iter"
	"net/http"
	"strconv"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/problem"
)

// task is one operation at a PACS. It is the qr.Observer of that operation: it passes steps to the metrics and traces, what was
// sent and matched to the audit trail, and the progress to the event stream. It writes the audit records of the operation before
// the caller gets the result, and withholds the result if that fails.
type task struct {
	gateway   Gateway
	telemetry *telemetry.Telemetry
	trail     *audit.Trail // nil: audit is off
	log       *zerolog.Logger
	caller    principal.Principal
	peer      qr.Peer
	memory    *budget.Account // of what the operation keeps; the answer closes it
	events    *eventStream    // nil: the answer is not a stream

	record audit.Operation
	query  audit.Query // the last C-FIND at STUDY level that was sent

	searches *audit.Queries // all C-FINDs of a search; nil: the task is none

	// Of a retrieve:
	destination string
	announced   []qr.Study // by Matched
	veto        error      // with which Matched ended the retrieve
}

var _ qr.Observer = (*task)(nil)

// task returns the task of the request with ctx. patientID is "" for a C-ECHO.
func (h *handlers) task(ctx context.Context, peer qr.Peer, patientID string) *task {
	caller := access.From(ctx)
	return &task{
		gateway: h.gateway, telemetry: h.telemetry, trail: h.trail, log: zerolog.Ctx(ctx), caller: caller, peer: peer,
		memory: h.memory.Account(caller.Identity()),
		record: operationRecord(ctx, peer, patientID),
		query:  audit.Query{SOPClassUID: dicomnet.StudyRoot.Find},
	}
}

// releaseUnless closes the account of the operation unless an answer has taken it over. It is deferred, so that a panic cannot keep
// memory from other operations for ever.
func (t *task) releaseUnless(takenOver *bool) {
	if !*takenOver {
		t.memory.Close()
	}
}

func (t *task) call() qr.Call { return qr.Call{Principal: t.caller, Observer: t, Memory: t.memory} }

// Step measures and traces a step.
func (t *task) Step(ctx context.Context, s pool.PeerStep) (during context.Context, end func(err error)) {
	return t.telemetry.Step(ctx, s)
}

// Sent keeps the query for its audit record. The queries of /q and /qr at SERIES level only complete the answer; those of a search
// are all recorded.
func (t *task) Sent(i qr.Identifier) {
	if t.trail == nil || t.searches == nil && i.Level != qr.LevelStudy {
		return
	}
	b, err := i.Encode()
	if err != nil { // nothing is sent either
		return
	}
	t.query = audit.Query{SOPClassUID: i.SOPClassUID, TransferSyntax: string(i.TransferSyntax), Identifier: b}
	if t.searches != nil {
		t.searches.Add(t.query)
	}
}

// Matched records that the studies are about to be moved, and ends the retrieve if that fails.
func (t *task) Matched(studies []qr.Study, warnings []qr.Warning) error {
	t.announced = studies
	if err := t.trail.Begun(&t.record, t.destination, recorded(studies, nil)); err != nil {
		t.veto = notRecorded(t.log, api.ProblemCodeAuditUnavailable, err)
		return t.veto
	}
	if t.events != nil {
		t.events.matched(studies, warnings)
	}
	return nil
}

// Moving passes the progress to the event stream.
func (t *task) Moving(p qr.SubOperations) {
	if t.events != nil {
		t.events.moving(p)
	}
}

// Retrieved passes the outcome of a study to the event stream.
func (t *task) Retrieved(r qr.Retrieval) {
	if t.events != nil {
		t.events.retrieved(r)
	}
}

// find runs the query.
func (t *task) find(ctx context.Context, f qr.Filter) (*qr.QueryResult, error) {
	result, err := sheltered(ctx, func() (*qr.QueryResult, error) { return t.gateway.Query(ctx, t.call(), t.peer, f) })
	var studies []qr.Study
	if result != nil {
		studies = result.Studies
	}
	if failed := t.recordQuery(ctx, studies, err); failed != nil {
		return nil, notRecorded(t.log, api.ProblemCodeAuditFailed, failed)
	}
	return result, t.problem(ctx, err)
}

// problem returns the problem for an error of the operation; nil for nil.
func (t *task) problem(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return problem.OfOperation(ctx, err, t.peer.TLS)
}

// echo runs the connection check: that of a named PACS, and a probe, include what retrieval needs.
func (t *task) echo(ctx context.Context, probe bool) *qr.EchoReport {
	report, err := sheltered(ctx, func() (*qr.EchoReport, error) {
		if t.peer.Name != "" || probe {
			return t.gateway.Examine(ctx, t.call(), t.peer, probe), nil
		}
		return t.gateway.Echo(ctx, t.call(), t.peer), nil
	})
	if err != nil {
		report = &qr.EchoReport{Err: err}
	}
	if failed := t.recordEcho(ctx, report.Err); failed != nil {
		return &qr.EchoReport{Err: notRecorded(t.log, api.ProblemCodeAuditFailed, failed)}
	}
	return report
}

// retrieve runs the retrieve. If nothing was about to be moved, its record is that of the query.
func (t *task) retrieve(ctx context.Context, f qr.Filter, destination string) (*qr.RetrieveResult, error) {
	t.destination = destination
	result, err := sheltered(ctx, func() (*qr.RetrieveResult, error) {
		return t.gateway.Retrieve(ctx, t.call(), t.peer, f, destination)
	})
	if result != nil {
		t.telemetry.Retrieved(t.peer.Label(), moveCounters(result.Retrievals))
		if len(t.announced) == 0 {
			t.announced = result.Studies
		}
	}
	if len(t.announced) == 0 {
		if failed := t.recordQuery(ctx, nil, err); failed != nil {
			return nil, notRecorded(t.log, api.ProblemCodeAuditUnavailable, failed)
		}
		return result, t.problem(ctx, err)
	}
	failed := t.recordTransfer(ctx, result, err)
	switch {
	case t.veto != nil:
		return nil, t.veto
	case failed != nil:
		p := notRecorded(t.log, api.ProblemCodeAuditFailed, failed)
		p.Detail = "Studies may have been moved, but the outcome could not be recorded, so the result is withheld."
		return nil, p
	}
	return result, t.problem(ctx, err)
}

// sheltered returns a panic of f as an error, so that the operation leaves an audit record.
func sheltered[T any](ctx context.Context, f func() (T, error)) (result T, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panicError(ctx, value)
		}
	}()
	return f()
}

func moveCounters(retrievals []qr.Retrieval) []telemetry.MoveCounters {
	counts := make([]telemetry.MoveCounters, len(retrievals))
	for i := range retrievals {
		r := &retrievals[i]
		counts[i] = telemetry.MoveCounters{Completed: r.Completed, Failed: r.Failed, Warning: r.Warning}
	}
	return counts
}

// resultOf returns how err ends an event, with the code that the caller gets.
func resultOf(ctx context.Context, err error) audit.Result {
	if err == nil {
		return audit.Result{Outcome: audit.Success, Description: "ok"}
	}
	return audit.Result{Outcome: audit.SeriousFailure, Description: string(problem.Of(ctx, err).Code)}
}

// refused returns the code of the problem if err means that callers may not use this PACS; "" for any other error.
func refused(ctx context.Context, err error) string {
	if err == nil {
		return ""
	}
	if p := problem.Of(ctx, err); p.Status() == http.StatusForbidden {
		return string(p.Code)
	}
	return ""
}

func (t *task) recordQuery(ctx context.Context, studies []qr.Study, err error) error {
	if code := refused(ctx, err); code != "" {
		return t.trail.Forbidden(&t.record, code)
	}
	result := resultOf(ctx, err)
	if err == nil && len(studies) == 0 {
		result.Description = string(api.ProblemCodeNoStudyMatched)
	}
	return t.trail.Queried(&t.record, t.query, recorded(studies, nil), result)
}

func (t *task) recordEcho(ctx context.Context, err error) error {
	if code := refused(ctx, err); code != "" {
		return t.trail.Forbidden(&t.record, code)
	}
	return t.trail.Echoed(&t.record, resultOf(ctx, err))
}

// recordTransfer records the outcome of each study as the answer shows it.
func (t *task) recordTransfer(ctx context.Context, result *qr.RetrieveResult, err error) error {
	end := resultOf(ctx, err)
	var outcome func(i int) *qr.Retrieval
	switch {
	case result != nil:
		outcome = func(i int) *qr.Retrieval {
			if i >= len(result.Retrievals) {
				return nil
			}
			return &result.Retrievals[i]
		}
		switch succeeded := result.Succeeded(); {
		case succeeded == len(result.Studies):
		case result.Moved():
			end = audit.Result{Outcome: audit.MinorFailure, Description: "partial"}
		default:
			end = audit.Result{Outcome: audit.SeriousFailure, Description: string(problem.NothingMoved(ctx, result.Err, t.peer.TLS).Code)}
		}
	case t.veto != nil:
		none := &qr.Retrieval{Status: qr.RetrievalNotAttempted}
		outcome = func(int) *qr.Retrieval { return none }
	}
	return t.trail.Transferred(&t.record, t.destination, recorded(t.announced, outcome), end)
}

// recorded yields studies for an audit record, with the outcome of each; nil: it has none. Nothing changes studies and outcomes
// once they are recorded, as an audit record requires: they are part of a result.
func recorded(studies []qr.Study, outcome func(i int) *qr.Retrieval) iter.Seq[audit.Study] {
	return func(yield func(audit.Study) bool) {
		var details []audit.Detail // of the current study
		for i := range studies {
			s := &studies[i]
			details = details[:0]
			if outcome != nil {
				details = appendDetails(details, outcome(i))
			}
			if !yield(audit.Study{
				UID: s.StudyInstanceUID, Description: s.StudyDescription, AccessionNumber: s.AccessionNumber, PatientName: s.PatientName,
				Details: details,
			}) {
				return
			}
		}
	}
}

func appendDetails(details []audit.Detail, r *qr.Retrieval) []audit.Detail {
	if r == nil {
		return details
	}
	details = append(details, audit.Detail{Type: "status", Value: []byte(r.Status)})
	if r.DICOMStatus != "" {
		details = append(details, audit.Detail{Type: "dicom_status", Value: []byte(r.DICOMStatus)})
	}
	for _, counter := range []struct {
		name  string
		value *int
	}{{"completed", r.Completed}, {"failed", r.Failed}, {"warning", r.Warning}} {
		if counter.value != nil {
			details = append(details, audit.Detail{Type: counter.name, Value: strconv.AppendInt(nil, int64(*counter.value), 10)})
		}
	}
	return details
}

// notRecorded logs why a record was not written and returns the problem to answer with.
func notRecorded(log *zerolog.Logger, code api.ProblemCode, err error) *problem.Problem {
	log.Error().Err(err).Msg("audit record not written")
	p := &problem.Problem{Code: code}
	if p.Status() == http.StatusServiceUnavailable {
		p.RetryAfter = problem.RetryAfter
	}
	return p
}
