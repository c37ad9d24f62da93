package pool

import (
	"slices"

	"dicom-qr-gateway/internal/principal"
)

// queue holds the slots of one peer and the operations that wait for them. Callers take turns; the operations of one caller are
// served in the order in which they asked.
type queue struct {
	taken      int       // slots in use, those of idle and closing associations included
	retrieving int       // slots that retrievals hold
	waiting    int       // operations of all lines, and of batch work
	lines      []*line   // of the callers that wait, in the order of their turns
	batch      []*waiter // batch work, behind all lines
	share      *Share    // of the operations that have one; operations with an address of their own at this peer belong to it too
	idle       []*slot   // with an idle association, the one that is idle for longest first
}

// line holds the operations of one caller that wait for slots of one peer; it is never empty.
type line struct {
	caller  principal.Identity
	waiters []*waiter
}

// waiter is an operation that waits for a slot. It receives one with an idle association of the kind it wants, or an empty one.
type waiter struct {
	operation *operation
	want      kind
	number    uint64        // counts all waiters of the pool
	ready     chan struct{} // closed when slot is set
	slot      *slot
}

// permits reports whether as many slots may be in use with a slot of the operation.
func (o *operation) permits(taken int) bool { return o.limit == 0 || taken <= o.limit }

// mayRetrieve reports whether the operation may hold a slot: always if it is not a retrieval, else if the peer permits one more.
func (q *queue) mayRetrieve(o *operation) bool {
	return o.retrievals == 0 || q.retrieving < o.retrievals
}

// line returns the index of the line of the caller; -1 if it has none.
func (q *queue) line(caller principal.Identity) int {
	return slices.IndexFunc(q.lines, func(l *line) bool { return l.caller == caller })
}

// admits reports whether the operation may wait in a queue of at most limit: a caller may have at most as many in it as there are places
// left, so that there is a place for callers that have none. Batch work, which Pool.Room bounds, takes no place. refusal says why not.
func (q *queue) admits(o *operation, limit int) (refusal BusyReason, ok bool) {
	if limit == 0 || o.batch {
		return 0, true
	}
	own := 0
	if i := q.line(o.caller); i >= 0 {
		own = len(q.lines[i].waiters)
	}
	switch left := limit - (q.waiting - len(q.batch)); {
	case own < left:
		return 0, true
	case own > 0:
		return CallerShare, false
	default:
		return QueueFull, false
	}
}

// joinShare gives the operation the share of the others at this peer if it has none.
func (q *queue) joinShare(o *operation) {
	if o.share == nil {
		o.share = q.share
	} else {
		q.share = o.share
	}
}

// shareOf returns the share that the slot is counted in, or else that of the peer; nil: none.
func (q *queue) shareOf(held *slot) *Share {
	if held.holding != nil {
		return held.holding.share
	}
	return q.share
}

// push adds the waiter behind the others of its caller.
func (q *queue) push(w *waiter) {
	q.waiting++
	if w.operation.batch {
		q.batch = append(q.batch, w)
		return
	}
	if i := q.line(w.operation.caller); i >= 0 {
		q.lines[i].waiters = append(q.lines[i].waiters, w)
		return
	}
	q.lines = append(q.lines, &line{caller: w.operation.caller, waiters: []*waiter{w}})
}

// remove takes the waiter out of the queue; it returns false if it is not in it.
func (q *queue) remove(w *waiter) bool {
	if w.operation.batch {
		at := slices.Index(q.batch, w)
		if at < 0 {
			return false
		}
		q.waiting--
		q.batch = slices.Delete(q.batch, at, at+1)
		return true
	}
	i := q.line(w.operation.caller)
	if i < 0 {
		return false
	}
	l := q.lines[i]
	at := slices.Index(l.waiters, w)
	if at < 0 {
		return false
	}
	q.waiting--
	if l.waiters = slices.Delete(l.waiters, at, at+1); len(l.waiters) == 0 {
		q.lines = slices.Delete(q.lines, i, i+1)
	}
	return true
}

// next returns the waiter whose turn it is, of those that may run and whose limits permit that taken slots are in use with held, which
// it takes over; nil if there is none.
func (q *queue) next(p *permits, taken int, held *slot) *waiter {
	return q.find(func(w *waiter) bool {
		o := w.operation
		return p.available(o) && o.permits(taken) && q.mayRetrieve(o) && o.admits(held, false)
	})
}

// lacksSlot reports whether an interactive operation waits for nothing but a slot.
func (q *queue) lacksSlot(p *permits) bool {
	return q.find(func(w *waiter) bool {
		return !w.operation.batch && p.available(w.operation) && q.mayRetrieve(w.operation)
	}) != nil
}

// find returns the first waiter that f accepts, in the order of their turns; nil if there is none.
func (q *queue) find(f func(*waiter) bool) *waiter {
	for _, l := range q.lines {
		for _, w := range l.waiters {
			if f(w) {
				return w
			}
		}
	}
	for _, w := range q.batch {
		if f(w) {
			return w
		}
	}
	return nil
}

// serve takes the waiter out of the queue and puts its caller behind the others.
func (q *queue) serve(w *waiter) {
	if w.operation.batch {
		q.remove(w)
		return
	}
	i := q.line(w.operation.caller)
	l := q.lines[i]
	q.remove(w)
	if len(l.waiters) > 0 {
		q.lines = append(slices.Delete(q.lines, i, i+1), l)
	}
}
