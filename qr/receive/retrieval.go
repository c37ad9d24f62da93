package receive

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr"
)

// Retrieval is a retrieval that runs or has ended. The methods are for one goroutine, but for Close, Stalled and Outcome.
type Retrieval struct {
	ctx       context.Context //nolint:containedctx // of the caller, which its reading ends with
	receiver  *Receiver
	request   Request
	inventory *Inventory
	arrivals  *arrivals
	log       *spool.Log
	reader    *spool.Reader
	cancel    context.CancelCauseFunc
	done      chan struct{} // closed when outcome is set
	outcome   Outcome

	mu    sync.Mutex
	fatal error // ends the retrieval

	// Of the goroutine that runs.
	ways     []Way // that were tried
	refusals NoWayError
	err      error // the first
	status   expectation
}

// Inventory returns what the PACS lists. It is never nil.
func (x *Retrieval) Inventory() *Inventory { return x.inventory }

// All returns the instances in the order in which they became available, each once. It ends when nothing more comes: Outcome says
// whether that is everything. An error ends it: the caller took too little for too long (*spool.FullError), or ctx is done, or Close was
// called. It may be called once.
func (x *Retrieval) All() iter.Seq2[*Arrived, error] {
	return func(yield func(*Arrived, error) bool) {
		for in, err := range x.reader.All(x.ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(&Arrived{
				SOPClassUID: in.SOPClassUID, SOPInstanceUID: in.SOPInstanceUID,
				StudyInstanceUID: in.StudyInstanceUID, SeriesInstanceUID: in.SeriesInstanceUID,
				TransferSyntax: in.TransferSyntax, Reader: in, WriterTo: in,
			}, nil) {
				return
			}
		}
	}
}

// OnCutOff sets what is called if the caller takes too little for too long, while it may be blocked.
func (x *Retrieval) OnCutOff(call func(error)) { x.reader.OnCutOff(call) }

// Stalled returns for how long there has been something to take that the caller has not taken.
func (x *Retrieval) Stalled() time.Duration { return x.reader.Stalled() }

// Outcome waits until the retrieval has ended and returns how. After Close that takes as long as the PACS takes to react to C-CANCEL, two
// seconds at most.
func (x *Retrieval) Outcome() Outcome {
	<-x.done
	return x.outcome
}

// Close ends the retrieval: the PACS receives C-CANCEL if it still sends, and everything is freed. It does not wait. Further calls do
// nothing.
func (x *Retrieval) Close() {
	x.cancel(errEnded)
	x.log.Discard(errEnded)
}

// ended reports whether the outcome is known.
func (x *Retrieval) ended() bool {
	select {
	case <-x.done:
		return true
	default:
		return false
	}
}

// fail ends the retrieval with the first error that it is called with.
func (x *Retrieval) fail(err error) {
	x.mu.Lock()
	if x.fatal == nil {
		x.fatal = err
	}
	x.mu.Unlock()
	x.cancel(err)
}

func (x *Retrieval) failure() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.fatal
}

// note keeps the first reason for which something is missing.
func (x *Retrieval) note(err error) {
	if x.err == nil {
		x.err = err
	}
}

// run retrieves, and sets the outcome.
func (x *Retrieval) run(ctx context.Context) {
	x.retrieve(ctx)
	x.conclude(ctx)
	close(x.done)
	x.log.Close(nil)
	x.cancel(errEnded)
}

// conclude sets the outcome.
func (x *Retrieval) conclude(ctx context.Context) {
	a, o := x.arrivals, &x.outcome
	missing := a.missing()
	o.Complete = x.complete()
	o.Basis = BasisInventory
	if !x.inventory.Proven {
		o.Basis = BasisStatus
	}
	for _, in := range missing {
		o.Missing = append(o.Missing, in.uid)
	}
	a.mu.Lock()
	o.Received, o.Bytes, o.Unexpected, o.Duplicates, o.Differing, o.Refused = a.received, a.bytes, a.unexpected, a.duplicates, a.differing, a.refused
	a.mu.Unlock()
	o.Way = joined(x.ways)
	o.Status = qr.RetrievalOK
	if o.Complete {
		return
	}
	o.MissingCount = max(len(missing), x.status.lacking(o.Received, len(missing)))
	fatal := x.failure()
	switch {
	case ctx.Err() != nil && fatal == nil:
		o.Status = qr.RetrievalCancelled
		o.Err = pool.Failure(ctx, x.step(), ctx.Err())
	case fatal != nil:
		o.Err = fatal
	case x.err != nil:
		o.Err = x.err
	case len(x.ways) == 0:
		o.Err = &x.refusals
	default:
		o.Err = &IncompleteError{Received: o.Received, Missing: o.MissingCount}
	}
	if o.Status == qr.RetrievalOK {
		o.Status = qr.RetrievalFailed
		if o.Received > 0 {
			o.Status = qr.RetrievalPartial
		}
	}
}

// step is the operation that an error without a step of its own belongs to.
func (x *Retrieval) step() dicomnet.Step {
	if n := len(x.ways); n > 0 && x.ways[n-1] == WayMove {
		return dicomnet.StepMove
	}
	return dicomnet.StepGet
}

// nothing returns the error of a retrieval of which nothing arrived. It waits for the outcome.
func (x *Retrieval) nothing() error {
	err := x.Outcome().Err
	if _, incomplete := errors.AsType[*IncompleteError](err); incomplete || err == nil {
		return &IncompleteError{Missing: x.outcome.MissingCount}
	}
	return err
}

func joined(ways []Way) Way {
	switch {
	case len(ways) == 0:
		return ""
	case len(ways) == 1:
		return ways[0]
	case ways[0] == WayGet:
		return WayGetThenMove
	}
	return WayMoveThenGet
}
