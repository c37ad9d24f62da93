package receive

import (
	"context"
	"iter"
	"sync"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr"
)

// flightKey is equal for requests that one retrieval can serve. Whether a caller may have the answer is decided before.
type flightKey struct {
	peer         qr.Peer
	target       Target
	uncompressed bool
}

// flight is a retrieval with the callers that it serves: from the first C-FIND until the last of them has left, which ends it.
type flight struct {
	receiver *Receiver
	key      flightKey
	request  Request // of the first caller
	relay    *relay  // to the observer of the first caller; nil: it has none
	cancel   context.CancelCauseFunc
	ready    chan struct{} // closed once an instance can be read, or nothing will come
	gone     chan struct{} // closed when the last caller has left

	// Set before ready is closed.
	run *run
	err error // nothing arrived

	// The lock of the receiver guards these.
	callers int
	opening int           // of these, those that have no reader yet
	anchor  *spool.Reader // keeps the beginning for them
}

// Retrieve begins a retrieval, or joins one of the same target that another caller has begun, and returns once its first instance can be
// read. An error means that no instance arrived: it is one of Inventory, a *NoWayError, an *IncompleteError, a *FloodError or a
// *dicomnet.OpError. Otherwise the caller must call Close. For the caller the retrieval ends with ctx.
func (r *Receiver) Retrieve(ctx context.Context, q Request) (*Retrieval, error) {
	return r.fly(ctx, q, nil)
}

// fly is Retrieve with an inventory, if it is known, and without the cache.
func (r *Receiver) fly(ctx context.Context, q Request, inventory *Inventory) (*Retrieval, error) {
	f, joined := r.board(ctx, q, inventory)
	select {
	case <-f.ready:
	case <-ctx.Done():
		f.forgo()
		f.leave(!joined)
		return nil, pool.Failure(ctx, dicomnet.StepGet, ctx.Err())
	}
	if f.err != nil {
		f.leave(!joined)
		return nil, f.err
	}
	x := &Retrieval{ctx: ctx, flight: f, joined: joined, inventory: f.run.inventory}
	if x.reader = f.open(); x.reader == nil { // it was cut off at once
		f.leave(!joined)
		return nil, &spool.FullError{}
	}
	return x, nil
}

// board finds a flight for the request, or starts one.
func (r *Receiver) board(ctx context.Context, q Request, inventory *Inventory) (f *flight, joined bool) {
	key := flightKey{q.Peer, q.Target, q.Uncompressed}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f = r.flights[key]; f != nil && f.joinable() {
		f.callers++
		f.opening++
		return f, true
	}
	f = &flight{receiver: r, key: key, request: q, ready: make(chan struct{}), gone: make(chan struct{}), callers: 1, opening: 1}
	r.flights[key] = f
	ctx, f.cancel = context.WithCancelCause(context.WithoutCancel(ctx)) // others may join
	if q.Call.Observer != nil {
		f.relay = &relay{to: q.Call.Observer}
		f.request.Call.Observer = f.relay
	}
	f.request.Call.Memory = r.options.Memory.Account(q.Call.Principal.Identity())
	r.running.Go(func() { f.fly(ctx, inventory) })
	return f, false
}

// joinable reports whether a caller can have everything of the flight from the first instance on. It is called with the lock.
func (f *flight) joinable() bool {
	select {
	case <-f.ready:
	default:
		return true
	}
	if f.err != nil || f.run.ended() {
		return false
	}
	if f.anchor == nil {
		anchor, ok := f.run.log.Reader()
		if !ok {
			return false
		}
		f.anchor = anchor
	}
	return true
}

// fly retrieves. It returns when the last caller has left.
func (f *flight) fly(ctx context.Context, inventory *Inventory) {
	ctx, release := f.receiver.options.Gateway.Bounded(ctx)
	defer release()
	defer f.request.Call.Memory.Close()
	var err error
	if inventory == nil {
		inventory, err = f.receiver.ask(ctx, f.request)
	}
	if err != nil {
		f.fail(err)
		<-f.gone
		return
	}
	x := f.receiver.newRun(f.request, inventory)
	anchor, _ := x.log.Reader() // a new log has a beginning
	ctx, x.cancel = context.WithCancelCause(ctx)
	f.receiver.running.Go(func() { x.run(ctx) })
	err = anchor.Await(ctx)
	if received, _, _ := x.arrivals.count(); received > 0 || err == nil && !x.ended() {
		f.receiver.mu.Lock()
		f.run, f.anchor = x, anchor
		close(f.ready)
		f.receiver.mu.Unlock()
	} else {
		f.fail(x.nothing())
	}
	<-f.gone
	x.cancel(errEnded)
	x.log.Discard(errEnded)
	<-x.done
}

func (f *flight) fail(err error) {
	f.receiver.mu.Lock()
	defer f.receiver.mu.Unlock()
	f.err = err
	f.land()
	close(f.ready)
}

// land makes later callers start a flight of their own. It is called with the lock.
func (f *flight) land() {
	if f.receiver.flights[f.key] == f {
		delete(f.receiver.flights, f.key)
	}
}

// open returns a reader for one caller; nil if the flight was cut off.
func (f *flight) open() *spool.Reader {
	f.receiver.mu.Lock()
	defer f.receiver.mu.Unlock()
	reader, ok := f.run.log.Reader()
	f.opened()
	if !ok {
		return nil
	}
	return reader
}

// forgo counts a caller that leaves before it has a reader.
func (f *flight) forgo() {
	f.receiver.mu.Lock()
	defer f.receiver.mu.Unlock()
	f.opened()
}

// opened counts a caller that has a reader, or needs none any more. It is called with the lock.
func (f *flight) opened() {
	if f.opening--; f.opening == 0 && f.anchor != nil {
		f.anchor.Close()
		f.anchor = nil
	}
}

// leave counts a caller that needs the flight no more: the first one, or one that joined it.
func (f *flight) leave(first bool) (last bool) {
	if first && f.relay != nil {
		f.relay.end()
	}
	f.receiver.mu.Lock()
	defer f.receiver.mu.Unlock()
	if f.callers--; f.callers > 0 {
		return false
	}
	f.land()
	f.cancel(errEnded)
	close(f.gone)
	return true
}

// Retrieval is a retrieval as one caller sees it. The methods are for one goroutine, but for Close, Stalled and Outcome.
type Retrieval struct {
	ctx       context.Context //nolint:containedctx // of the caller, which its reading ends with
	inventory *Inventory
	flight    *flight
	reader    *spool.Reader
	joined    bool // the flight of another caller

	mu       sync.Mutex
	received int
	closed   bool
	left     bool // others go on
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
			x.mu.Lock()
			x.received++
			x.mu.Unlock()
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
// seconds at most, and no time if the retrieval goes on for other callers.
func (x *Retrieval) Outcome() Outcome {
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
	ended := x.flight.run.ended()
	x.left = !x.flight.leave(!x.joined) && !ended
	x.reader.Close() // later than the end of the retrieval, which has its own reason
}

// newRun returns a retrieval that has not begun.
func (r *Receiver) newRun(q Request, inventory *Inventory) *run {
	return &run{
		receiver: r, request: q, inventory: inventory, arrivals: newArrivals(inventory), log: r.options.Spool.NewLog(),
		done: make(chan struct{}),
	}
}

// relay passes what happens to the observer of a caller until the caller leaves.
type relay struct {
	mu sync.Mutex
	to qr.Observer // nil: the caller has left
}

var _ qr.Observer = (*relay)(nil)

// end returns once the observer is not called any more.
func (r *relay) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = nil
}

// Step passes the beginning and the end of a step on.
func (r *relay) Step(ctx context.Context, s pool.PeerStep) (during context.Context, end func(err error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to == nil {
		return ctx, func(error) {}
	}
	during, ended := r.to.Step(ctx, s)
	return during, func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.to != nil {
			ended(err)
		}
	}
}

// Sent passes an identifier on.
func (r *relay) Sent(i qr.Identifier) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to != nil {
		r.to.Sent(i)
	}
}

// Matched is not called for a retrieval of instances.
func (r *relay) Matched([]qr.Study, []qr.Warning) error { return nil }

// Moving is not called for a retrieval of instances.
func (r *relay) Moving(qr.SubOperations) {}

// Retrieved is not called for a retrieval of instances.
func (r *relay) Retrieved(qr.Retrieval) {}
