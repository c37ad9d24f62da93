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
		data, err := a.encode(model.Move, query)
		if err != nil {
			yield(MoveReport{}, opError(StepMove, err))
			return
		}
		op, err := a.begin(ctx, StepMove, model.Move, CommandSet{CommandField: CMoveRQ, MoveDestination: destination}, data)
		if err != nil {
			yield(MoveReport{}, opError(StepMove, err))
			return
		}
		defer op.end()
		for {
			m, err := op.response()
			if err != nil {
				report := MoveReport{}
				if m.contextID != 0 {
					report = op.report(m)
				}
				yield(report, opError(StepMove, err))
				return
			}
			report := op.report(m)
			if !report.Final {
				if !yield(report, nil) {
					op.cancel()
					return
				}
				continue
			}
			if class := report.Status.Class(); class != ClassSuccess && class != ClassWarning {
				err = opError(StepMove, &StatusError{Op: StepMove, Status: report.Status, Detail: report.Detail})
			}
			yield(report, err)
			return
		}
	}
}

func (op *operation) report(m message) MoveReport {
	c := &m.command
	r := MoveReport{
		Status: c.Status, Final: !c.Status.Pending(), Detail: c.Detail,
		Remaining: c.Remaining, Completed: c.Completed, Failed: c.Failed, Warning: c.Warning,
	}
	// Some peers put an (illegal) data set on pending responses: it is passed over.
	if !r.Final || len(m.data) == 0 {
		return r
	}
	if set, err := op.parse(m.data); err == nil {
		r.FailedSOPInstanceUIDs = set.Strings(tag.FailedSOPInstanceUIDList)
	}
	return r
}
