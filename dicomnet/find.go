package dicomnet

import (
	"context"
	"iter"
	"runtime"
	"sync/atomic"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Match is a C-FIND response with an identifier. Its data set refers to buffers of the association
// and is valid until the next iteration of the loop.
type Match struct {
	*dataset.Set
	// Final reports that the identifier came with the final success.
	Final bool
	// DataSetMissing reports that the final success announced a data set that did not arrive. Set is
	// nil. All matches before are complete, and the association ends.
	DataSetMissing bool
	// OptionalKeysUnsupported reports that the status was FF01: the peer did not match on, or does
	// not support, some optional key (PS3.4 section C.4.1.1.4).
	OptionalKeysUnsupported bool
}

// turn is the work since a C-FIND last let others have the processor, in bytes of matches.
type turn int

const (
	matchCost = 1 << 10 // of a match beside its bytes
	maxTurn   = 256 << 10
)

// finding is the number of C-FINDs of the process that are in progress.
var finding atomic.Int64

// add counts a match. Reads succeed at once while a peer sends many, so the loop would keep its processor for as long as the
// scheduler permits, which is longer than a short query of another caller takes. With fewer C-FINDs than processors, C-FINDs leave a
// processor to that caller anyway, and giving way would only wake a thread that finds nothing to do.
func (t *turn) add(bytes int) {
	if *t += turn(matchCost + bytes); *t > maxTurn {
		*t = 0
		if finding.Load() >= int64(runtime.GOMAXPROCS(0)) {
			runtime.Gosched()
		}
	}
}

// Find performs C-FIND (PS3.7 section 9.1.2, PS3.4 section C.4.1). It yields each match as it
// arrives and keeps none: memory does not grow with the answer. A pending response without an
// identifier is a Match without elements. An identifier in the final success response is a match as
// well. The sequence can be ranged over once.
//
// If the data set of a match cannot be decoded, the match has a nil Set and comes with a
// *DataSetError; the loop may continue. Any other error is the last value: an *OpError whose cause
// is a *StatusError for a final status other than success, or whatever ended the association. A
// sequence that ends without such an error is complete.
//
// If the loop ends early or ctx is done, Find sends C-CANCEL-RQ and waits at most
// Limits.CancelGrace for the final response. Usable then reports whether the association survived.
func (a *Association) Find(ctx context.Context, model Model, query *dataset.Dataset) iter.Seq2[Match, error] {
	return func(yield func(Match, error) bool) {
		op, err := a.beginQuery(ctx, StepFind, model.Find, CommandSet{CommandField: CFindRQ}, query)
		if err != nil {
			yield(Match{}, opError(StepFind, err))
			return
		}
		defer op.end()
		finding.Add(1)
		defer finding.Add(-1)
		var work turn
		for {
			m, err := op.response()
			if err != nil {
				yield(Match{}, opError(StepFind, err))
				return
			}
			work.add(len(m.data))
			status := m.command.Status
			if status.Pending() || status == StatusSuccess && (len(m.data) > 0 || m.dataMissing) {
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

// match decodes the identifier of m.
func (op *operation) match(m *message) (Match, error) {
	match := Match{
		OptionalKeysUnsupported: m.command.Status == StatusPendingWarning, Final: !m.command.Status.Pending(), DataSetMissing: m.dataMissing,
	}
	if m.dataMissing {
		return match, nil
	}
	set, err := op.parse(m.data)
	if err != nil {
		return match, opError(op.step, &DataSetError{err})
	}
	match.Set = set
	return match, nil
}
