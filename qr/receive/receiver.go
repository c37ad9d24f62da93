package receive

import (
	"context"
	"sync"
	"time"

	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/cache"
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
	Cache   *cache.Cache     // nil: off
	Memory  *budget.Budget   // limits the memory of inventories; nil: no limit
	Now     func() time.Time // nil: time.Now
}

// maxInstances bounds the instances of a retrieval.
const maxInstances = 100_000

// Receiver runs retrievals. It is safe for concurrent use.
type Receiver struct {
	options Options
	ways    ways
	running sync.WaitGroup
	closing context.Context //nolint:containedctx // of retrievals into the cache, which no caller ends
	close   context.CancelFunc

	mu       sync.Mutex
	flights  map[flightKey]*flight // those that callers can join
	listings map[listingKey]*listing
	series   map[flightKey]*viewed
}

// New returns a Receiver.
func New(o Options) *Receiver {
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Receiver{
		options: o, ways: ways{now: o.Now},
		flights: map[flightKey]*flight{}, listings: map[listingKey]*listing{}, series: map[flightKey]*viewed{},
	}
	r.closing, r.close = context.WithCancel(context.Background())
	return r
}

// Inventory asks the PACS what it has of the target. With a cache, the answer may be up to 30 s old. The error is a *TargetError, a
// *NotFoundError, or one of those of qr.Query.
func (r *Receiver) Inventory(ctx context.Context, q Request) (*Inventory, error) {
	if r.options.Cache == nil {
		return r.ask(ctx, q)
	}
	list, err := r.listed(ctx, q)
	if err != nil {
		return nil, err
	}
	if part := narrow(list, q.Target); part != nil {
		return part, nil
	}
	return r.ask(ctx, q) // the instance may be newer than the list
}

func (r *Receiver) ask(ctx context.Context, q Request) (i *Inventory, err error) {
	err = sheltered(func() (err error) {
		i, err = r.options.Gateway.Inventory(ctx, q.Call, q.Peer, q.Target, maxInstances)
		return err
	})
	return i, err
}

// scpOff reports whether the gateway has no storage SCP, so that C-MOVE to it is not possible.
func (r *Receiver) scpOff() bool { return r.options.SCP == nil }

// Wait cancels retrievals into the cache, and blocks until no retrieval runs. No retrieval may begin afterwards.
func (r *Receiver) Wait() {
	r.close()
	r.running.Wait()
}
