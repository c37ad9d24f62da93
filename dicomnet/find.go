package dicomnet

import (
	"context"
	"iter"

	"github.com/suyashkumar/dicom"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Match is one C-FIND response that carries an identifier. Its data set refers
// to buffers of the association and is valid until the loop's next step.
type Match struct {
	*dataset.Set
	// OptionalKeysUnsupported tells that the status was FF01: the peer did not
	// match, or does not know, some optional key (PS3.4 section C.4.1.1.4).
	OptionalKeysUnsupported bool
}

// Find is C-FIND (PS3.7 section 9.1.2, PS3.4 section C.4.1). It yields the matches
// as they come and keeps none of them: memory does not grow with the answer. A
// pending response without an identifier is a Match of no elements; an
// identifier that comes with the final success is a match too. The sequence can
// be ranged over once.
//
// A match whose data set cannot be read comes with a *DataSetError, nil Set, and
// the loop may go on. Any other error is the last thing yielded: an *OpError
// around a *StatusError for a final status that is not success, or around what
// ended the association. A sequence that ends without one is complete.
//
// Leaving the loop early, or a ctx that is done, sends C-CANCEL-RQ and waits at
// most Limits.CancelGrace for the end. Usable tells what became of the
// association.
func (a *Association) Find(ctx context.Context, model Model, query *dicom.Dataset) iter.Seq2[Match, error] {
	return func(yield func(Match, error) bool) {
		op, err := a.beginQuery(ctx, StepFind, model.Find, CommandSet{CommandField: CFindRQ}, query)
		if err != nil {
			yield(Match{}, opError(StepFind, err))
			return
		}
		defer op.end()
		for {
			m, err := op.response()
			if err != nil {
				yield(Match{}, opError(StepFind, err))
				return
			}
			status := m.command.Status
			if status.Pending() || (status == StatusSuccess && len(m.data) > 0) {
				match, err := op.match(m)
				if !yield(match, err) {
					op.cancel()
					return
				}
			}
			if status.Pending() {
				continue
			}
			if status != StatusSuccess {
				yield(Match{}, opError(StepFind, &StatusError{Op: StepFind, Status: status, Detail: m.command.Detail}))
			}
			return
		}
	}
}

func (op *operation) match(m *message) (Match, error) {
	match := Match{OptionalKeysUnsupported: m.command.Status == StatusPendingWarning}
	set, err := op.parse(m.data)
	if err != nil {
		return match, opError(op.step, &DataSetError{err})
	}
	match.Set = set
	return match, nil
}
