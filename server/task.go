package server

import (
	"context"
	"net/http"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/internal/recording"
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
		record: recording.Operation(caller, peer, patientID),
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
	query, ok := recording.Query(i)
	if !ok {
		return
	}
	t.query = query
	if t.searches != nil {
		t.searches.Add(t.query)
	}
}

// Matched records that the studies are about to be moved, and ends the retrieve if that fails.
func (t *task) Matched(studies []qr.Study, warnings []qr.Warning) error {
	t.announced = studies
	if err := t.trail.Begun(&t.record, t.destination, recording.Studies(studies, nil)); err != nil {
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

// codes gives audit records the codes of problems. It says whether the PACS was called with TLS.
type codes bool

// Of returns the code of the problem for err.
func (codes) Of(ctx context.Context, err error) string { return problem.CodeOf(ctx, err) }

// NothingMoved returns the code of the problem for a retrieve that moved nothing.
func (c codes) NothingMoved(ctx context.Context, err error) string {
	return string(problem.NothingMoved(ctx, err, bool(c)).Code)
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
	result := recording.Result(ctx, err, codes(t.peer.TLS))
	if err == nil && len(studies) == 0 {
		result.Description = string(api.ProblemCodeNoStudyMatched)
	}
	return t.trail.Queried(&t.record, t.query, recording.Studies(studies, nil), result)
}

func (t *task) recordEcho(ctx context.Context, err error) error {
	if code := refused(ctx, err); code != "" {
		return t.trail.Forbidden(&t.record, code)
	}
	return t.trail.Echoed(&t.record, recording.Result(ctx, err, codes(t.peer.TLS)))
}

// recordTransfer records the outcome of each study as the answer shows it.
func (t *task) recordTransfer(ctx context.Context, result *qr.RetrieveResult, err error) error {
	end := recording.Result(ctx, err, codes(t.peer.TLS))
	var outcome func(i int) *qr.Retrieval
	switch {
	case result != nil:
		end, outcome = recording.Transferred(ctx, result, codes(t.peer.TLS)), recording.Outcomes(result)
	case t.veto != nil:
		outcome = recording.NotAttempted
	}
	return t.trail.Transferred(&t.record, t.destination, recording.Studies(t.announced, outcome), end)
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
