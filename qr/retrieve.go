package qr

import (
	"context"
	"errors"
	"slices"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
)

// Retrieve runs the query and then a C-MOVE to destination for each study found. An error means that no C-MOVE was sent: the
// query failed, no association accepts C-MOVE, or the Observer refused. If nothing matched, the result has no studies. If ctx
// or the operation timeout ends the retrieve, the result reports what was done until then, and its Err why it ended.
func (g *Gateway) Retrieve(ctx context.Context, c Call, p Peer, f Filter, destination string) (*RetrieveResult, error) {
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
	ctx, cancel := g.Bounded(ctx)
	defer cancel()
	o := g.begin(c, p)
	defer o.End(ctx)
	o.plan(plan)
	if err := o.openForRetrieve(ctx); err != nil {
		return nil, err
	}
	matches := &collector{plan: plan}
	studies, err := o.query(ctx, matches)
	if err != nil {
		return nil, err
	}
	if studies = without(studies, f.Except); len(studies) == 0 {
		nothing.Warnings = matches.counts.warnings()
		return nothing, nil
	}
	if err := o.requireMove(ctx); err != nil {
		return nil, err
	}
	if err := o.observer.Matched(studies, matches.counts.warnings()); err != nil {
		return nil, &dicomnet.OpError{Step: dicomnet.StepMove, Err: err}
	}
	r := retrieval{operation: o, destination: destination, counts: &matches.counts}
	r.result.Studies = studies
	r.result.Retrievals = make([]Retrieval, 0, len(studies))
	r.run(ctx)
	r.result.Warnings = matches.counts.warnings()
	return &r.result, nil
}

// without returns the studies whose UIDs are not in the list.
func without(studies []Study, uids []string) []Study {
	if len(uids) == 0 {
		return studies
	}
	return slices.DeleteFunc(studies, func(s Study) bool { return slices.Contains(uids, s.StudyInstanceUID) })
}

// openForRetrieve opens an association for C-FIND and C-MOVE: in the model of the peer, or in the other one if the PACS does not
// accept it.
func (o *operation) openForRetrieve(ctx context.Context) error {
	err := o.Open(ctx, o.findModel.Find, o.moveModel.Move)
	if !noContext(err) || o.anyPatient {
		if err != nil {
			return err
		}
		return o.requireFind(ctx)
	}
	other := otherModel(o.findModel)
	switch otherErr := o.Open(ctx, other.Find, other.Move); {
	case noContext(otherErr):
		return err
	case otherErr != nil:
		return otherErr
	}
	o.findModel, o.moveModel = other, other
	return o.requireFind(ctx)
}

// requireMove makes sure of an association that accepts C-MOVE, in either model.
func (o *operation) requireMove(ctx context.Context) error {
	return o.requireEither(ctx, &o.moveModel, func(m dicomnet.Model) string { return m.Move })
}

// retrieval moves studies one after the other and collects the outcomes.
type retrieval struct {
	*operation
	destination string
	counts      *counts
	result      RetrieveResult

	losses            int  // associations lost during a C-MOVE since an instance last arrived or the PACS last answered
	stopped           bool // no further study is attempted
	completed, failed int  // sub-operations of the studies that are done
}

func (r *retrieval) run(ctx context.Context) {
	for i := range r.result.Studies {
		uid := r.result.Studies[i].StudyInstanceUID
		entry := Retrieval{StudyInstanceUID: uid, Status: RetrievalNotAttempted, FailedSOPInstanceUIDs: []string{}}
		attempted := !r.givenUp()
		err := r.ready(ctx)
		if err == nil {
			entry, err = r.move(ctx, i)
		}
		if r.result.Err == nil {
			r.result.Err = err
		}
		if err != nil && attempted {
			r.result.LastErr = err
		}
		r.result.Retrievals = append(r.result.Retrievals, entry)
		r.observer.Retrieved(entry)
	}
}

// maxLosses is how many associations may be lost during C-MOVEs, with nothing moved in between, before the rest is not attempted.
const maxLosses = 2

// givenUp reports whether the retrieval is given up: no further study is attempted.
func (r *retrieval) givenUp() bool { return r.stopped || r.losses >= maxLosses }

// ready makes sure of an association for the next study; the error is why there is none. An association that the PACS has ended
// between two operations is replaced as often as needed.
func (r *retrieval) ready(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return pool.Failure(ctx, dicomnet.StepMove, ctx.Err())
	case r.givenUp():
		return &dicomnet.OpError{Step: dicomnet.StepMove, Err: dicomnet.ErrClosed}
	}
	err := r.requireMove(ctx)
	r.stopped = err != nil
	return err
}

// move runs the C-MOVE of one study; the error is nil only if the study is ok. If the PACS ended the association before it
// received the C-MOVE, that is repeated on a new one.
func (r *retrieval) move(ctx context.Context, i int) (entry Retrieval, err error) {
	var outcome error // of the last C-MOVE sent
	err = r.Once(ctx, r.moveModel.Move, func() error {
		entry, outcome = r.moveOnce(ctx, i)
		return outcome
	})
	if err != outcome { //nolint:errorlint // the same error, that of the new association or that of a lost share
		r.stopped = true
		if _, notReceived := errors.AsType[*dicomnet.NotReceivedError](outcome); notReceived {
			entry.Status = RetrievalNotAttempted
		}
		return entry, err
	}
	if entry.DICOMStatus != "" || valueOf(entry.Completed)+valueOf(entry.Warning) > 0 {
		r.losses = 0
	}
	if entry.DICOMStatus == "" {
		r.losses++
	}
	return entry, err
}

func (r *retrieval) moveOnce(ctx context.Context, i int) (_ Retrieval, err error) {
	ctx, end := r.Observe(ctx, dicomnet.StepMove)
	defer func() { end(err) }()
	study := &r.result.Studies[i]
	uid, identifier := study.StudyInstanceUID, r.gateway.keys.forMove(r.moveModel, study)
	var (
		pending counters
		final   *dicomnet.RetrieveReport
		cause   = errors.New("no final response")
	)
	for report, err := range r.Association().Move(ctx, r.moveModel, r.destination, identifier) {
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
		entry.FailedSOPInstanceUIDs = r.failedUIDs(final.FailedSOPInstanceUIDs)
		if final.DataSetMissing {
			r.counts[dataSetMissing]++
		}
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
	return entry, pool.Failure(ctx, dicomnet.StepMove, cause)
}

func (r *retrieval) moving(i int, uid string, now, soFar counters) {
	r.observer.Moving(SubOperations{
		StudyInstanceUID: uid,
		Index:            i + 1,
		Total:            len(r.result.Studies),
		Remaining:        now.remaining,
		Completed:        now.completed,
		Failed:           now.failed,
		Warning:          now.warning,
		CompletedTotal:   r.completed + soFar.arrived(),
		FailedTotal:      r.failed + valueOf(soFar.failed),
	})
}
