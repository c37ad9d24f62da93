package qr

import (
	"context"
	"errors"

	"dicom-qr-gateway/dicomnet"
)

// Retrieve is the query, then a C-MOVE to destination of each study found. An error means that nothing was
// attempted to be moved (the query failed, or no association takes C-MOVE); no match is a result without studies.
// The result of a retrieve that ctx or the operation timeout ended tells what was done until then, and its Err why it ended.
func (g *Gateway) Retrieve(
	ctx context.Context, p Peer, f Filter, destination string, progress Progress,
) (*RetrieveResult, error) {
	plan, err := newPlan(&f, g.options.Now())
	if err != nil {
		return nil, err
	}
	if !dicomnet.ValidAETitle(destination) {
		fault := &dicomnet.ConfigError{Detail: "move destination is not a valid AE value"}
		return nil, &dicomnet.OpError{Step: dicomnet.StepMove, Err: fault}
	}
	nothing := &RetrieveResult{Studies: []Study{}, Retrievals: []Retrieval{}, Warnings: []Warning{}}
	if plan.impossible() {
		return nothing, nil
	}
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	s := &session{gateway: g, peer: p}
	defer s.end(ctx)
	if err := s.open(ctx, dicomnet.StudyRoot.Find, dicomnet.StudyRoot.Move); err != nil {
		return nil, err
	}
	if err := s.need(ctx, dicomnet.StudyRoot.Find); err != nil {
		return nil, err
	}
	c := &collector{plan: plan}
	studies, err := s.query(ctx, c)
	if err != nil {
		return nil, err
	}
	if len(studies) == 0 {
		nothing.Warnings = c.tally.warnings()
		return nothing, nil
	}
	if err := s.need(ctx, dicomnet.StudyRoot.Move); err != nil {
		return nil, err
	}
	if progress.Matched != nil {
		progress.Matched(studies, c.tally.warnings())
	}
	r := retrieval{session: s, destination: destination, progress: progress, tally: &c.tally}
	r.result.Studies = studies
	r.result.Retrievals = make([]Retrieval, 0, len(studies))
	r.run(ctx)
	r.result.Warnings = c.tally.warnings()
	return &r.result, nil
}

// retrieval moves studies one after the other and keeps the account.
type retrieval struct {
	*session
	destination string
	progress    Progress
	tally       *tally
	result      RetrieveResult

	renewed           bool // the one new association was tried
	completed, failed int  // sub-operations of the studies that are done
}

func (r *retrieval) run(ctx context.Context) {
	for i := range r.result.Studies {
		uid := r.result.Studies[i].StudyInstanceUID
		entry := Retrieval{StudyInstanceUID: uid, Status: RetrievalNotAttempted, FailedSOPInstanceUIDs: []string{}}
		err := r.ready(ctx)
		if err == nil {
			entry, err = r.move(ctx, i, uid)
		}
		if r.result.Err == nil {
			r.result.Err = err
		}
		r.result.Retrievals = append(r.result.Retrievals, entry)
		if r.progress.Retrieved != nil {
			r.progress.Retrieved(entry)
		}
	}
}

// ready makes sure of an association for the next study, or says why there is none.
func (r *retrieval) ready(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return failure(ctx, dicomnet.StepMove, ctx.Err())
	case r.usable():
		return nil
	case r.renewed:
		return &dicomnet.OpError{Step: dicomnet.StepMove, Err: dicomnet.ErrClosed}
	}
	r.renewed = true
	return r.need(ctx, dicomnet.StudyRoot.Move)
}

// move is the C-MOVE of one study; the error is nil only where the study is ok.
func (r *retrieval) move(ctx context.Context, i int, uid string) (_ Retrieval, err error) {
	ctx, end := r.observe(ctx, dicomnet.StepMove)
	defer func() { end(err) }()
	var (
		pending counters
		final   *dicomnet.MoveReport
		cause   = errors.New("no final response")
	)
	for report, err := range r.assoc.Move(ctx, dicomnet.StudyRoot, r.destination, r.gateway.keys.move(uid)) {
		switch {
		case report.Final:
			final, cause = &report, err
		case err != nil:
			cause = err
		default:
			now := countersOf(&report)
			pending = now.after(pending)
			r.moving(i, uid, now, pending)
		}
	}
	status, known := judge(final, pending, ctx.Err() != nil)
	entry := Retrieval{
		StudyInstanceUID: uid, Status: status,
		Completed: known.completed, Failed: known.failed, Warning: known.warning,
		FailedSOPInstanceUIDs: []string{},
	}
	if final != nil {
		entry.DICOMStatus = final.Status.String()
		var malformed int
		entry.FailedSOPInstanceUIDs, malformed = failedUIDs(final.FailedSOPInstanceUIDs)
		r.tally[failedUIDMalformed] += malformed
	}
	total := known.after(pending)
	r.completed += total.arrived()
	r.failed += valueOf(total.failed)
	if status == RetrievalOK {
		return entry, nil
	}
	if cause == nil {
		cause = &MoveOutcomeError{Status: final.Status}
	}
	return entry, failure(ctx, dicomnet.StepMove, cause)
}

func (r *retrieval) moving(i int, uid string, now, so counters) {
	if r.progress.Moving == nil {
		return
	}
	r.progress.Moving(SubOperations{
		StudyInstanceUID: uid,
		Index:            i + 1,
		Total:            len(r.result.Studies),
		Remaining:        now.remaining,
		Completed:        now.completed,
		Failed:           now.failed,
		Warning:          now.warning,
		CompletedTotal:   r.completed + so.arrived(),
		FailedTotal:      r.failed + valueOf(so.failed),
	})
}
