package receive

import (
	"context"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

const (
	// fresh is how long a list is used before the PACS is asked again.
	fresh = 30 * time.Second
	// maxListings and maxListed bound the lists that are kept, and the instances in all of them.
	maxListings = 64
	maxListed   = 20_000
)

// listing is a list of what a PACS has of a target, with the callers that wait for it.
type listing struct {
	done   chan struct{} // closed when the rest is set
	cancel context.CancelCauseFunc
	relay  *relay // to the observer of the first caller; nil: it has none

	inventory *Inventory
	err       error
	at        time.Time

	waiting int // guarded by the lock of the receiver
}

// listingKey is equal for requests that one list serves.
type listingKey struct {
	peer   qr.Peer
	target Target
}

// listed returns what the PACS has of the target, not older than fresh, and of its series if the target is an instance: a viewer asks for
// one instance of a series after the other.
func (r *Receiver) listed(ctx context.Context, q Request) (*Inventory, error) {
	q.SOPInstanceUID = ""
	l, first := r.list(ctx, q)
	defer r.leaveList(listingKey{q.Peer, q.Target}, l, first)
	select {
	case <-l.done:
		return l.inventory, l.err
	case <-ctx.Done():
		return nil, pool.Failure(ctx, dicomnet.StepFind, ctx.Err())
	}
}

// list returns the list for a request, which may still be on its way.
func (r *Receiver) list(ctx context.Context, q Request) (l *listing, first bool) {
	key := listingKey{q.Peer, q.Target}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l = r.listings[key]; l != nil && !l.outdated(r.options.Now()) {
		l.waiting++
		return l, false
	}
	l = &listing{done: make(chan struct{}), waiting: 1}
	r.dropListings(r.options.Now())
	r.listings[key] = l
	ctx, l.cancel = context.WithCancelCause(context.WithoutCancel(ctx)) // others may wait for it
	if q.Call.Observer != nil {
		l.relay = &relay{to: q.Call.Observer}
		q.Call.Observer = l.relay
	}
	q.Call.Memory = r.options.Memory.Account(q.Call.Principal.Identity())
	r.running.Go(func() {
		defer q.Call.Memory.Close()
		defer l.cancel(nil)
		l.at = r.options.Now()
		l.inventory, l.err = r.ask(ctx, q)
		close(l.done)
	})
	return l, true
}

// leaveList records that a caller no longer waits. The last one cancels the C-FINDs, and removes a list that failed or is too long to keep.
func (r *Receiver) leaveList(key listingKey, l *listing, first bool) {
	if first && l.relay != nil {
		l.relay.end()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.waiting--; l.waiting > 0 {
		return
	}
	select {
	case <-l.done:
		if l.err == nil && len(l.inventory.Instances) <= maxListed/2 {
			return
		}
	default:
		l.cancel(errEnded)
	}
	if r.listings[key] == l {
		delete(r.listings, key)
	}
}

// outdated reports whether the list must not be used any more. It is called with the lock.
func (l *listing) outdated(now time.Time) bool {
	select {
	case <-l.done:
		return l.err != nil || now.Sub(l.at) >= fresh
	default:
		return false
	}
}

// dropListings makes room for one more list. It is called with the lock.
func (r *Receiver) dropListings(now time.Time) {
	held := 0
	for key, l := range r.listings {
		if l.waiting > 0 {
			continue
		}
		if held += len(l.inventory.Instances); l.outdated(now) || held > maxListed || len(r.listings) >= maxListings {
			delete(r.listings, key)
		}
	}
}

// narrow returns the part of an inventory that belongs to the target, which is of the same study or series; nil if there is none.
func narrow(i *Inventory, t Target) *Inventory {
	if t.SOPInstanceUID == "" {
		return i
	}
	for _, in := range i.Instances {
		if in.SOPInstanceUID != t.SOPInstanceUID {
			continue
		}
		part := *i
		part.Target = t
		part.Series = i.Series[in.Series : in.Series+1 : in.Series+1]
		in.Series = 0
		part.Instances = []qr.ListedInstance{in}
		return &part
	}
	return nil
}
