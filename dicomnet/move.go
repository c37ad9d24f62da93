package dicomnet

import (
	"context"
	"iter"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// MoveReport is one C-MOVE response (PS3.7 section 9.1.4). Counters are nil where
// the peer sent none: none of them is mandatory, and an absent Failed is no proof
// that nothing failed.
type MoveReport struct {
	Status Status
	// Final tells the last response from pending ones.
	Final                                 bool
	Remaining, Completed, Failed, Warning *uint16
	// FailedSOPInstanceUIDs is the list of (0008,0058), final responses only.
	FailedSOPInstanceUIDs []string
	Detail                StatusDetail
}

// Move is C-MOVE (PS3.7 section 9.1.4, PS3.4 section C.4.2) to the AE title
// destination. It yields every response as a report; the final one has Final
// set and, unless its status is success or a warning, comes with an *OpError
// around a *StatusError. Any other error is the last thing yielded: the
// association ended first, with an empty report, or the context did, with the
// final report if that came within Limits.CancelGrace. A status alone does not
// tell that everything was moved: look at the counters.
//
// A C-STORE-RQ that the peer sends on this association is refused with 0122, and
// shows that the peer is alive. Leaving the loop early, or a ctx that is done,
// sends C-CANCEL-RQ and waits at most Limits.CancelGrace for the end.
func (a *Association) Move(ctx context.Context, model Model, destination string, query *dicom.Dataset) iter.Seq2[MoveReport, error] {
	return func(yield func(MoveReport, error) bool) {
		if !ValidAETitle(destination) {
			yield(MoveReport{}, opError(StepMove, &ConfigError{Detail: "move destination is not a valid AE value"}))
			return
		}
		op, err := a.beginQuery(ctx, StepMove, model.Move, CommandSet{CommandField: CMoveRQ, MoveDestination: destination}, query)
		if err != nil {
			yield(MoveReport{}, opError(StepMove, err))
			return
		}
		defer op.end()
		for {
			report, err := op.report()
			if err != nil || report.Final {
				yield(report, opError(StepMove, err))
				return
			}
			if !yield(report, nil) {
				op.cancel()
				return
			}
		}
	}
}

// report waits for the next response. The error is the operation's.
func (op *operation) report() (MoveReport, error) {
	m, err := op.response()
	if m == nil {
		return MoveReport{}, err
	}
	c := &m.command
	r := MoveReport{
		Status: c.Status, Final: !c.Status.Pending(), Detail: c.Detail,
		Remaining: c.Remaining, Completed: c.Completed, Failed: c.Failed, Warning: c.Warning,
	}
	if !r.Final {
		// Some peers put an (illegal) data set on pending responses: it is passed over.
		return r, err
	}
	if set, parseErr := op.parse(m.data); parseErr == nil {
		r.FailedSOPInstanceUIDs = set.Strings(tag.FailedSOPInstanceUIDList)
	}
	if class := r.Status.Class(); err == nil && class != ClassSuccess && class != ClassWarning {
		err = &StatusError{Op: op.step, Status: r.Status, Detail: r.Detail}
	}
	return r, err
}
