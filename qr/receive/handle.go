package receive

import (
	"context"
	"io"
	"iter"
	"sync"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/cache"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr"
)

// Retrieval is a retrieval as one caller sees it. The methods are for one goroutine, except Close, Stalled and Outcome.
type Retrieval struct {
	ctx       context.Context //nolint:containedctx // of the caller; reading ends with it
	inventory *Inventory

	flight *flight
	reader *spool.Reader
	joined bool // the flight of another caller

	items []*cache.Item // in place of a flight

	mu       sync.Mutex
	received int
	reading  bool
	closed   bool
	left     bool // the caller left a retrieval that goes on for others
}

// Inventory returns what the PACS lists. It is never nil.
func (x *Retrieval) Inventory() *Inventory { return x.inventory }

// All returns the instances in the order in which they became available, each once. It ends when nothing more comes: Outcome says
// whether all of them came. An error ends it: the caller took too little for too long (*spool.FullError), or ctx is done, or Close was
// called. It may be called once.
func (x *Retrieval) All() iter.Seq2[*Arrived, error] {
	if x.flight == nil {
		return x.cached
	}
	return func(yield func(*Arrived, error) bool) {
		for in, err := range x.reader.All(x.ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			x.mu.Lock()
			x.received++
			x.mu.Unlock()
			if !yield(newArrived(&in.Entry, in), nil) {
				return
			}
		}
	}
}

// OnCutOff sets a function that is called if the caller takes too little for too long. The caller may be blocked in a write then.
func (x *Retrieval) OnCutOff(call func(error)) {
	if x.reader != nil {
		x.reader.OnCutOff(call)
	}
}

// Stalled returns for how long the caller has taken nothing although something was there.
func (x *Retrieval) Stalled() time.Duration {
	if x.reader == nil {
		return 0
	}
	return x.reader.Stalled()
}

// Outcome waits until the retrieval has ended and returns how it ended. After Close it waits at most two seconds, for the PACS to react to
// C-CANCEL, and not at all if the retrieval goes on for other callers.
func (x *Retrieval) Outcome() Outcome {
	if x.flight == nil {
		o := Outcome{Status: qr.RetrievalOK, Complete: true, Received: len(x.items), Basis: BasisInventory, Way: WayCache}
		for _, item := range x.items {
			o.Bytes += item.Size()
		}
		return o
	}
	x.mu.Lock()
	if x.left {
		defer x.mu.Unlock()
		return x.partOf()
	}
	x.mu.Unlock()
	<-x.flight.run.done
	outcome := x.flight.run.outcome
	if x.joined {
		outcome.Way = WayShared
	}
	return outcome
}

// partOf returns the outcome of a caller that left a retrieval which goes on for others.
func (x *Retrieval) partOf() Outcome {
	o := Outcome{Status: qr.RetrievalCancelled, Received: x.received, Way: WayShared, Basis: BasisInventory, Err: errEnded}
	if x.inventory.Proven {
		o.MissingCount = max(len(x.inventory.Instances)-x.received, 0)
	} else {
		o.Basis = BasisStatus
	}
	if x.ctx.Err() != nil {
		o.Err = pool.Failure(x.ctx, dicomnet.StepGet, x.ctx.Err())
	}
	return o
}

// Close ends the retrieval for the caller. If no other has joined it, the PACS receives C-CANCEL if it still sends, and everything is
// freed. It does not wait. Further calls do nothing.
func (x *Retrieval) Close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return
	}
	x.closed = true
	if x.flight == nil {
		if !x.reading {
			x.release()
		}
		return
	}
	ended := x.flight.run.ended()
	x.left = !x.flight.leave(!x.joined) && !ended
	x.reader.Close() // later than the end of the retrieval, which has its own reason
}

// cached yields the instances of the cache.
func (x *Retrieval) cached(yield func(*Arrived, error) bool) {
	x.mu.Lock()
	x.reading = true
	x.mu.Unlock()
	defer x.release()
	for _, item := range x.items {
		x.mu.Lock()
		closed := x.closed
		x.mu.Unlock()
		switch {
		case closed:
			yield(nil, errEnded)
			return
		case x.ctx.Err() != nil:
			yield(nil, context.Cause(x.ctx))
			return
		}
		entry := item.Entry()
		if !yield(newArrived(&entry, item), nil) {
			return
		}
		item.Release()
	}
}

// release releases the items, so that the cache can free them.
func (x *Retrieval) release() {
	for _, item := range x.items {
		item.Release()
	}
}

func newArrived(e *spool.Entry, content interface {
	io.Reader
	io.WriterTo
},
) *Arrived {
	return &Arrived{
		SOPClassUID: e.SOPClassUID, SOPInstanceUID: e.SOPInstanceUID, StudyInstanceUID: e.StudyInstanceUID,
		SeriesInstanceUID: e.SeriesInstanceUID, TransferSyntax: e.TransferSyntax, Reader: content, WriterTo: content,
	}
}
