package receive

import (
	"context"
	"sync"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/internal/storescp"
	"dicom-qr-gateway/qr"
)

// Options are the parts that a Receiver works with.
type Options struct {
	Gateway *qr.Gateway
	Pool    *pool.Pool
	Spool   *spool.Spool
	SCP     *storescp.SCP    // for C-MOVE; nil: off
	Now     func() time.Time // nil: time.Now
}

// maxInstances bounds the instances of a retrieval.
const maxInstances = 100_000

// Receiver runs retrievals. It is safe for concurrent use.
type Receiver struct {
	options Options
	ways    ways
	running sync.WaitGroup
}

// New returns a Receiver.
func New(o Options) *Receiver {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Receiver{options: o, ways: ways{now: o.Now}}
}

// Inventory asks the PACS what it has of the target. The error is a *TargetError, a *NotFoundError, or one of those of qr.Query.
func (r *Receiver) Inventory(ctx context.Context, q Request) (*Inventory, error) {
	return r.options.Gateway.Inventory(ctx, q.Call, q.Peer, q.Target, maxInstances)
}

// Retrieve begins a retrieval and returns once its first instance can be read. An error means that no instance arrived: it is one of
// Inventory, a *NoWayError, an *IncompleteError, a *FloodError or a *dicomnet.OpError. Otherwise the caller must call Close. The
// retrieval ends with ctx.
func (r *Receiver) Retrieve(ctx context.Context, q Request) (*Retrieval, error) {
	bounded, release := r.options.Gateway.Bounded(ctx)
	inventory, err := r.Inventory(bounded, q)
	if err != nil {
		release()
		return nil, err
	}
	return r.start(ctx, bounded, release, q, inventory)
}

// start begins a retrieval of what the inventory lists. bounded is ctx with the operation timeout, and release frees it.
func (r *Receiver) start(
	ctx, bounded context.Context, release context.CancelFunc, q Request, inventory *Inventory,
) (*Retrieval, error) {
	x := &Retrieval{
		ctx: ctx, receiver: r, request: q, inventory: inventory, arrivals: newArrivals(inventory), log: r.options.Spool.NewLog(),
		done: make(chan struct{}),
	}
	x.reader, _ = x.log.Reader() // a new log has a beginning
	var running context.Context
	running, x.cancel = context.WithCancelCause(bounded)
	r.running.Go(func() {
		defer release()
		x.run(running)
	})
	err := x.reader.Await(ctx)
	received, _, _ := x.arrivals.count()
	switch {
	case received > 0 || err == nil && !x.ended():
		return x, nil
	case ctx.Err() != nil: // the outcome may take two seconds
		x.Close()
		return nil, pool.Failure(ctx, dicomnet.StepGet, ctx.Err())
	}
	x.Close()
	return nil, x.nothing()
}

// scpOff reports whether the gateway has no storage SCP, so that C-MOVE to it is not possible.
func (r *Receiver) scpOff() bool { return r.options.SCP == nil }

// Wait blocks until no retrieval runs. It is for the end of the process, when none begins.
func (r *Receiver) Wait() { r.running.Wait() }
