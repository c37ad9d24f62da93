package dicomnet

import (
	"context"
	"iter"

	"dicom-qr-gateway/dicomnet/dataset"
)

// RetrieveReport is one response to a C-MOVE or C-GET (PS3.7 sections 9.1.4 and 9.1.3). A counter is nil if the peer did not
// send it. No counter is mandatory: an absent Failed does not prove that nothing failed.
type RetrieveReport struct {
	Status Status
	// Final distinguishes the final response from pending ones.
	Final                                 bool
	Remaining, Completed, Failed, Warning *uint16
	// FailedSOPInstanceUIDs is the list in (0008,0058) of a final response.
	FailedSOPInstanceUIDs []string
	// DataSetMissing reports that the final response announced a data set, the list of the instances
	// that failed, that did not arrive. The counters are complete, and the association ends.
	DataSetMissing bool
	Detail         StatusDetail
}

// Move performs C-MOVE (PS3.7 section 9.1.4, PS3.4 section C.4.2) to the AE title destination. It
// yields every response as a report. The final report has Final set. Unless its status is success
// or a warning, it comes with an *OpError whose cause is a *StatusError. Any other error is the
// last value: if the association ended, the report is empty; if ctx was done, the report is the
// final one if that arrived within Limits.CancelGrace. The status alone does not prove that
// everything was moved: check the counters.
//
// Move refuses a C-STORE-RQ that the peer sends on this association with 0122. It shows that the
// peer is alive and restarts the wait for the next response. If the loop ends early or ctx is done,
// Move sends C-CANCEL-RQ and waits at most Limits.CancelGrace for the final response.
func (a *Association) Move(ctx context.Context, model Model, destination string, query *dataset.Dataset) iter.Seq2[RetrieveReport, error] {
	return func(yield func(RetrieveReport, error) bool) {
		if !ValidAETitle(destination) {
			yield(RetrieveReport{}, opError(StepMove, &ConfigError{Detail: "move destination is not a valid AE value"}))
			return
		}
		op, err := a.beginQuery(ctx, StepMove, model.Move, CommandSet{CommandField: CMoveRQ, MoveDestination: destination}, query)
		if err != nil {
			yield(RetrieveReport{}, opError(StepMove, err))
			return
		}
		defer op.end()
		for {
			report, err := op.report(op.response())
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

// report returns the report of a response, with the error that the operation ends with. m and err are the result of op.response.
func (op *operation) report(m *message, err error) (RetrieveReport, error) {
	if m == nil {
		return RetrieveReport{}, err
	}
	c := &m.command
	r := RetrieveReport{
		Status: c.Status, Final: !c.Status.Pending(), Detail: c.Detail, DataSetMissing: m.dataMissing,
		Remaining: c.Remaining, Completed: c.Completed, Failed: c.Failed, Warning: c.Warning,
	}
	if !r.Final {
		// Some peers send a data set with pending responses, which the standard does not allow.
		// Ignore it.
		return r, err
	}
	if set, parseErr := op.parse(m.data); parseErr == nil {
		r.FailedSOPInstanceUIDs = set.Strings(dataset.FailedSOPInstanceUIDList)
	}
	if class := r.Status.Class(); err == nil && class != ClassSuccess && class != ClassWarning {
		err = &StatusError{Op: op.step, Status: r.Status, Detail: r.Detail}
	}
	return r, err
}
