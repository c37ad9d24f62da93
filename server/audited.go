package server

import (
	"context"
	"net/http"
	"strconv"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/problem"
)

var dicomStudyRootFind = dicomnet.StudyRoot.Find

// audited is a Gateway each of whose operations leaves its records before its
// result is known to anyone: of a query the outcome; of a retrieve that something
// is about to be moved, before the first move, and what became of it.
type audited struct {
	Gateway
	auditor *auditor
}

// around is g where audit is switched off.
func (a *auditor) around(g Gateway) Gateway {
	if a == nil {
		return g
	}
	return &audited{Gateway: g, auditor: a}
}

// Query is recorded as section A.5.3.10 of PS3.15 says.
func (g *audited) Query(ctx context.Context, p qr.Peer, f qr.Filter) (*qr.QueryResult, error) {
	result, err := sheltered(ctx, func() (*qr.QueryResult, error) { return g.Gateway.Query(ctx, p, f) })
	var studies []qr.Study
	if result != nil {
		studies = result.Studies
	}
	if failed := g.auditor.log.Write(g.auditor.queried(ctx, p, f, studies, err)); failed != nil {
		return nil, notRecorded(ctx, api.ProblemCodeAuditFailed, failed)
	}
	return result, err
}

// Echo is recorded as a Network Entry (section A.5.3.9), the one event of the
// standard's that is about nodes alone.
func (g *audited) Echo(ctx context.Context, p qr.Peer) *qr.EchoReport {
	report, err := sheltered(ctx, func() (*qr.EchoReport, error) { return g.Gateway.Echo(ctx, p), nil })
	if err != nil {
		report = &qr.EchoReport{Err: err}
	}
	if failed := g.auditor.log.Write(g.auditor.echoed(ctx, p, report.Err)); failed != nil {
		return &qr.EchoReport{Err: notRecorded(ctx, api.ProblemCodeAuditFailed, failed)}
	}
	return report
}

// Retrieve is recorded as Begin Transferring (section A.5.3.3) and, in the end,
// Instances Transferred (section A.5.3.7); as a query where it did not come to that.
func (g *audited) Retrieve(
	ctx context.Context, p qr.Peer, f qr.Filter, destination string, progress qr.Progress,
) (*qr.RetrieveResult, error) {
	stoppable, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	t := transfer{auditor: g.auditor, peer: p, filter: f, destination: destination}
	var unbegun error // why there is no record of the beginning
	result, err := sheltered(ctx, func() (*qr.RetrieveResult, error) {
		return g.Gateway.Retrieve(stoppable, p, f, destination, qr.Progress{
			Matched: func(studies []qr.Study, warnings []qr.Warning) {
				t.studies = studies
				if unbegun = g.auditor.log.Write(t.begun(ctx)); unbegun != nil {
					stop(unbegun) // before the first move
					return
				}
				if progress.Matched != nil {
					progress.Matched(studies, warnings)
				}
			},
			Moving: func(s qr.SubOperations) {
				if unbegun == nil && progress.Moving != nil {
					progress.Moving(s)
				}
			},
			Retrieved: func(r qr.Retrieval) {
				if unbegun == nil && progress.Retrieved != nil {
					progress.Retrieved(r)
				}
			},
		})
	})
	if len(t.studies) == 0 && result != nil && len(result.Studies) > 0 {
		t.studies = result.Studies
	}
	if len(t.studies) == 0 {
		if failed := g.auditor.log.Write(g.auditor.queried(ctx, p, f, nil, err)); failed != nil {
			return nil, notRecorded(ctx, api.ProblemCodeAuditUnavailable, failed)
		}
		return result, err
	}
	failed := g.auditor.log.Write(t.ended(ctx, result, err))
	switch {
	case unbegun != nil:
		return nil, notRecorded(ctx, api.ProblemCodeAuditUnavailable, unbegun)
	case failed != nil:
		p := notRecorded(ctx, api.ProblemCodeAuditFailed, failed)
		p.Detail = "Studies may have been moved, but the outcome could not be recorded, so the result is withheld."
		return nil, p
	}
	return result, err
}

// sheltered makes an error of a panic, so that it leaves a record, too.
func sheltered[T any](ctx context.Context, f func() (T, error)) (result T, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panicError(ctx, value)
		}
	}()
	return f()
}

// outcomeOf tells how err ends an event, and by which code callers know it.
func outcomeOf(ctx context.Context, err error) (audit.Outcome, string) {
	if err == nil {
		return audit.Success, "ok"
	}
	return audit.SeriousFailure, string(problem.Of(ctx, err).Code)
}

// queried is a Query, or a Security Alert where the PACS is not one that callers
// may reach.
func (a *auditor) queried(ctx context.Context, p qr.Peer, f qr.Filter, studies []qr.Study, err error) *audit.Record {
	if r := a.forbidden(ctx, p, err); r != nil {
		r.Objects = append(r.Objects, patient(f.PatientID, nil))
		return r
	}
	outcome, description := outcomeOf(ctx, err)
	if err == nil && len(studies) == 0 {
		description = "no_study_matched"
	}
	r := a.record(ctx, audit.Query, audit.Execute, outcome, description)
	r.Participants = []audit.Participant{
		a.gateway(p.CallingAETitle, audit.RoleSource), pacsNode(p, audit.RoleDestination), a.caller(ctx),
	}
	r.Objects = append([]audit.Object{queryObject(f), patient(f.PatientID, studies)}, studyObjects(studies)...)
	return r
}

func (a *auditor) echoed(ctx context.Context, p qr.Peer, err error) *audit.Record {
	if r := a.forbidden(ctx, p, err); r != nil {
		return r
	}
	outcome, description := outcomeOf(ctx, err)
	r := a.record(ctx, audit.NetworkEntry, audit.Execute, outcome, description)
	r.Event.TypeCodes = []audit.Code{audit.Attach, audit.Verification}
	r.Participants = []audit.Participant{
		a.gateway(p.CallingAETitle, audit.RoleSource), pacsNode(p, audit.RoleDestination), a.caller(ctx),
	}
	return r
}

// forbidden is nil unless err says that callers may not reach this PACS.
func (a *auditor) forbidden(ctx context.Context, p qr.Peer, err error) *audit.Record {
	if err == nil {
		return nil
	}
	refusal := problem.Of(ctx, err)
	if refusal.Status() != http.StatusForbidden {
		return nil
	}
	return a.alert(ctx, audit.UseOfRestricted, audit.NodeID, addressOf(p), string(refusal.Code))
}

// transfer is one retrieve that comes to moving something.
type transfer struct {
	*auditor
	peer        qr.Peer
	filter      qr.Filter
	destination string
	studies     []qr.Study
}

// participants are those of sections A.5.3.3 and A.5.3.7: who sends, who receives,
// and who else has part in it. Where the destination is, the PACS alone knows.
func (t *transfer) participants(ctx context.Context) []audit.Participant {
	return []audit.Participant{
		pacsNode(t.peer, audit.RoleSource),
		{UserID: t.destination, AlternativeUserID: audit.AETitles(t.destination), Roles: []audit.Code{audit.RoleDestination}},
		t.gateway(t.peer.CallingAETitle, audit.RoleApplication),
		t.caller(ctx),
	}
}

func (t *transfer) begun(ctx context.Context) *audit.Record {
	r := t.record(ctx, audit.BeginTransferring, audit.Execute, audit.Success, "")
	r.Participants = t.participants(ctx)
	r.Objects = append(studyObjects(t.studies), patient(t.filter.PatientID, t.studies))
	return r
}

// ended tells the outcome of each study as the answer does. The gateway does not
// know what the destination held before, which makes it Read (section A.5.3.7).
func (t *transfer) ended(ctx context.Context, result *qr.RetrieveResult, err error) *audit.Record {
	outcome, description := outcomeOf(ctx, err)
	if result != nil {
		switch succeeded := result.Succeeded(); {
		case succeeded == len(result.Studies):
		case result.Moved():
			outcome, description = audit.MinorFailure, "partial"
		default:
			outcome, description = audit.SeriousFailure, string(nothingMoved(ctx, result).Code)
		}
	}
	r := t.record(ctx, audit.Transferred, audit.Read, outcome, description)
	r.Participants = t.participants(ctx)
	r.Objects = append(studyObjects(t.studies), patient(t.filter.PatientID, t.studies))
	if result == nil {
		return r
	}
	for i := range result.Retrievals {
		if i < len(t.studies) {
			r.Objects[i].Details = retrievalDetails(&result.Retrievals[i])
		}
	}
	return r
}

func retrievalDetails(r *qr.Retrieval) []audit.Detail {
	details := []audit.Detail{{Type: "status", Value: []byte(r.Status)}}
	if r.DICOMStatus != "" {
		details = append(details, audit.Detail{Type: "dicom_status", Value: []byte(r.DICOMStatus)})
	}
	for _, counter := range []struct {
		name  string
		value *int
	}{{"completed", r.Completed}, {"failed", r.Failed}, {"warning", r.Warning}} {
		if counter.value != nil {
			details = append(details, audit.Detail{Type: counter.name, Value: []byte(strconv.Itoa(*counter.value))})
		}
	}
	return details
}
