package receive

import (
	"context"
	"errors"
	"sync"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr"
)

// run is one retrieval from a PACS, for one caller or several.
type run struct {
	receiver  *Receiver
	request   Request
	inventory *Inventory
	arrivals  *arrivals
	log       *spool.Log
	cancel    context.CancelCauseFunc
	done      chan struct{} // closed when outcome is set
	outcome   Outcome

	mu    sync.Mutex
	fatal error // ends the retrieval

	marking sync.Once // sets the following, for the cache
	marker  marker
	listed  map[string]int // index in the inventory, by SOP Instance UID

	// Only the goroutine of run uses these.
	ways     []Way // that were tried
	refusals NoWayError
	err      error // the first
	status   expectation
}

// ended reports whether the outcome is known.
func (x *run) ended() bool {
	select {
	case <-x.done:
		return true
	default:
		return false
	}
}

// fail cancels the retrieval and records the first error. It does not record that all callers have left: then the retrieval is cancelled
// and has not failed.
func (x *run) fail(err error) {
	x.mu.Lock()
	if x.fatal == nil && !errors.Is(err, spool.ErrNoReader) && !errors.Is(err, errEnded) {
		x.fatal = err
	}
	x.mu.Unlock()
	x.cancel(err)
}

func (x *run) failure() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.fatal
}

// note records the first reason why instances are missing.
func (x *run) note(err error) {
	if x.err == nil {
		x.err = err
	}
}

// run retrieves, and sets the outcome.
func (x *run) run(ctx context.Context) {
	if err := sheltered(func() error { x.retrieve(ctx); return nil }); err != nil {
		x.fail(err)
	}
	x.conclude(ctx)
	close(x.done)
	x.log.Close(nil)
	x.cancel(errEnded)
}

// conclude sets the outcome.
func (x *run) conclude(ctx context.Context) {
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

// step returns the operation that an error names if it has no step of its own.
func (x *run) step() dicomnet.Step {
	if n := len(x.ways); n > 0 && x.ways[n-1] == WayMove {
		return dicomnet.StepMove
	}
	return dicomnet.StepGet
}

// nothing waits for the outcome of a retrieval without instances, and returns its error.
func (x *run) nothing() error {
	<-x.done
	err := x.outcome.Err
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
