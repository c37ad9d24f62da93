package receive

import (
	"context"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr"
)

// flightKey is equal for requests that one retrieval can serve. The rights of the caller are checked before.
type flightKey struct {
	peer         qr.Peer
	target       Target
	uncompressed bool
}

// flight is a retrieval that several callers share. It begins with the first C-FIND and ends when the last caller leaves.
type flight struct {
	receiver *Receiver
	key      flightKey
	request  Request // of the first caller
	relay    *relay  // to the observer of the first caller; nil: none
	cancel   context.CancelCauseFunc
	ready    chan struct{} // closed once an instance can be read, or nothing will come
	over     chan struct{} // closed when nothing more comes
	gone     chan struct{} // closed when the last caller has left

	// Set before ready is closed.
	run *run
	err error // nothing arrived

	// The lock of the receiver guards these.
	callers int
	opening int           // callers without a reader
	anchor  *spool.Reader // keeps the beginning for them
}

// fly retrieves from the PACS, with the inventory if it is known. Its contract is that of Retrieve.
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
	f = &flight{
		receiver: r, key: key, request: q, callers: 1, opening: 1,
		ready: make(chan struct{}), over: make(chan struct{}), gone: make(chan struct{}),
	}
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
		close(f.over)
		<-f.gone
		return
	}
	x := f.receiver.newRun(f.request, inventory)
	anchor, _ := x.log.Reader() // a new log has a beginning
	ctx, x.cancel = context.WithCancelCause(ctx)
	f.receiver.running.Go(func() {
		defer close(f.over)
		x.run(ctx)
	})
	err = anchor.Await(ctx)
	if x.arrivals.count().received > 0 || err == nil && !x.ended() {
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

// land removes the flight from those that callers can join. It is called with the lock.
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

// forgo records that a caller leaves before it has a reader.
func (f *flight) forgo() {
	f.receiver.mu.Lock()
	defer f.receiver.mu.Unlock()
	f.opened()
}

// opened records that one caller less waits for a reader, and closes the anchor after the last. It is called with the lock.
func (f *flight) opened() {
	if f.opening--; f.opening == 0 && f.anchor != nil {
		f.anchor.Close()
		f.anchor = nil
	}
}

// leave records that a caller leaves. first says that it began the flight. The last one cancels the retrieval.
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

// newRun returns a retrieval that has not begun.
func (r *Receiver) newRun(q Request, inventory *Inventory) *run {
	return &run{
		receiver: r, request: q, inventory: inventory, arrivals: newArrivals(inventory), log: r.options.Spool.NewLog(),
		done: make(chan struct{}),
	}
}
