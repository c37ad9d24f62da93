package pool

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// maxPeers bounds the table of peers, together with the limit of operations. A peer is in it only while an association with it is
// open, being opened or waited for, so the bound exceeds the number of PACS of any hospital.
const maxPeers = 1024

// waitingPerOperation times the limit of operations is how many operations may wait for one peer. A single caller can fill half of
// that, and with the default of MAX_OPERATIONS so many that a client of 256 threads is not refused.
const waitingPerOperation = 2

// slots limits how many associations are open at once with each peer, which is an address with its port, and how many operations
// run. Each operation brings its limit: it gets a slot while fewer are in use at the address, whose operation ever uses them. Callers
// that wait for a slot take turns; an operation whose limit is still reached is passed over. An idle association holds a slot like any
// other, and gives way to a waiting operation.
//
// An operation waits if its limit is reached or if it may not run yet. After each change under the lock, none waits for neither.
type slots struct {
	maxWaiting int          // for each peer; zero: no limit
	maxPeers   int          // in peers
	background func(func()) // runs a function that no operation waits for

	mu       sync.Mutex
	peers    map[netip.AddrPort]*queue // exactly those with a slot in use or an operation that waits
	permits  permits
	waited   uint64 // operations that have waited or wait
	waiting  int    // operations in all queues
	idle     int    // idle associations of all peers
	draining bool
	sweeper  *time.Timer
	sweeping bool // the sweeper is running
}

// slot is the permit to have one association with a peer.
type slot struct {
	slots     *slots
	address   netip.AddrPort
	retrieval bool     // its operation is a retrieval
	holding   *holding // the slot in the account of a share; nil: in none

	opened time.Time             // when the association in this slot was established
	assoc  *dicomnet.Association // idle, of this kind, since idleSince; nil: none
	kind   kind
	// idleSince is the time at which assoc became idle, and idleTime how long it may stay so.
	idleSince time.Time
	idleTime  time.Duration
	// unwatch stops the watch on assoc and returns when it has stopped; nil: assoc is not watched.
	unwatch func()
}

func newSlots(maxOperations int, background func(func())) *slots {
	return &slots{
		maxWaiting: waitingPerOperation * maxOperations, maxPeers: max(maxPeers, 4*maxOperations), background: background,
		peers: map[netip.AddrPort]*queue{}, permits: newPermits(maxOperations),
	}
}

// closingTimeout is how long an operation that does not queue (QueueTimeout is zero) waits for an idle association to close
// and free its slot.
const closingTimeout = 5 * time.Second

// acquire waits until the operation may run and has a slot, until timeout or the end of ctx: one with an association of the kind
// wanted, or an empty one. The error is a *BusyError or the cause of the end of ctx.
func (s *slots) acquire(ctx context.Context, o *operation, address netip.AddrPort, want kind, timeout time.Duration) (*slot, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	acquired, w, err := s.join(o, address, want, timeout > 0 || o.batch)
	if acquired != nil || err != nil {
		return acquired, err
	}
	if timeout <= 0 {
		timeout = closingTimeout
	}
	var expired <-chan time.Time
	if !o.batch {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-w.ready:
		return w.slot, nil
	case <-expired:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	missing, left := s.leave(address, w)
	if !left {
		w.slot.release() // it was handed over at the same moment
	}
	if err == nil {
		err = &BusyError{Reason: missing}
	}
	return nil, err
}

// tryAcquire returns an empty slot for an operation that runs if one is free, else nil. If idle associations hold the slots, they are
// evicted, so that a slot may be free soon.
func (s *slots) tryAcquire(o *operation, address netip.AddrPort) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queue(address)
	if q == nil {
		return nil
	}
	acquired := s.take(o, q, address, kind{})
	if acquired == nil {
		s.makeRoom(q, o)
		s.forget(q, address)
	}
	return acquired
}

// join acquires a slot. If none is available or the operation may not run yet, it queues. If the operation only lacks a slot, it
// evicts those associations that are idle for longest; if too few are idle, it queues only if wait is set.
func (s *slots) join(o *operation, address netip.AddrPort, want kind, wait bool) (acquired *slot, w *waiter, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queue(address)
	if q == nil {
		return nil, nil, &BusyError{Reason: QueueFull}
	}
	q.joinShare(o)
	mayRun := s.permits.available(o)
	if mayRun {
		if acquired = s.take(o, q, address, want); acquired != nil {
			s.permits.take(o)
			return acquired, nil, nil
		}
	}
	if reason, ok := q.admits(o, s.maxWaiting); !ok {
		return nil, nil, &BusyError{Reason: reason}
	}
	if evicting := mayRun && q.mayRetrieve(o) && s.makeRoom(q, o); !evicting && !wait {
		reason := s.missing(q, o)
		s.forget(q, address)
		return nil, nil, &BusyError{Reason: reason}
	}
	s.waited++
	s.waiting++
	w = &waiter{operation: o, want: want, number: s.waited, ready: make(chan struct{})}
	q.push(w)
	o.count(1)
	return nil, w, nil
}

// queue returns the queue of the peer; nil if the table of peers is full.
func (s *slots) queue(address netip.AddrPort) *queue {
	q := s.peers[address]
	if q == nil && len(s.peers) < s.maxPeers {
		q = &queue{}
		s.peers[address] = q
	}
	return q
}

// forget removes a queue without slots and operations from the table.
func (s *slots) forget(q *queue, address netip.AddrPort) {
	if q.taken == 0 && q.waiting == 0 {
		delete(s.peers, address)
	}
}

// makeRoom evicts as many idle associations as must end before the operation gets a slot. It returns false if that many are not idle.
func (s *slots) makeRoom(q *queue, o *operation) bool {
	missing := 0
	if o.limit > 0 {
		missing = max(q.taken-o.limit+1, 0)
	}
	for range missing {
		if !s.evict(q) {
			return false
		}
	}
	if o.share == nil {
		return true
	}
	for range o.share.used - o.share.limit + 1 - missing {
		if !s.evictOf(o.share) {
			return false
		}
	}
	return o.admits(nil, true)
}

// take takes an idle association of the kind, or an empty slot; nil if as many are in use as the operation permits.
func (s *slots) take(o *operation, q *queue, address netip.AddrPort, want kind) *slot {
	if kept := s.takeKind(q, want, o); kept != nil {
		return kept
	}
	if !o.permits(q.taken+1) || !q.mayRetrieve(o) || !o.admits(nil, false) {
		return nil
	}
	q.taken++
	taken := &slot{slots: s, address: address}
	taken.hold(q, o)
	return taken
}

// missing returns what the operation lacks. A slot of the peer comes first: if there is none, it would not run in any case.
func (s *slots) missing(q *queue, o *operation) BusyReason {
	p := &s.permits
	switch {
	case p.available(o) && !q.mayRetrieve(o):
		return TooManyRetrievals
	case p.available(o), !o.permits(q.taken - len(q.idle) + 1), !o.admits(nil, true):
		return NoAssociation
	case p.running >= p.max:
		return TooManyOperations
	default:
		return CallerShare
	}
}

// leave removes a waiter from the queue and returns what it lacked; it returns false if the slot has been handed over already.
func (s *slots) leave(address netip.AddrPort, w *waiter) (missing BusyReason, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.peers[address] // exists as long as an operation waits or holds a slot
	if !q.remove(w) {
		return NoAssociation, false
	}
	s.waiting--
	missing = s.missing(q, w.operation)
	w.operation.count(-1)
	w.operation.share.settleBatch()
	s.forget(q, address)
	return missing, true
}

// release passes the slot to the operation whose turn it is, together with the association in it if that is of the kind wanted; an
// association that no waiting operation wants is released first. If no operation waits for a slot, an association in it becomes idle
// and an empty slot is freed. A nil slot does nothing.
func (s *slot) release() {
	if s == nil {
		return
	}
	s.slots.mu.Lock()
	defer s.slots.mu.Unlock()
	q := s.slots.peers[s.address]
	s.drop(q)
	share := q.shareOf(s)
	var next *waiter
	if !s.isRevoked() {
		next = q.next(&s.slots.permits, q.taken, s)
	}
	if s.assoc != nil {
		unwanted := next == nil && q.lacksSlot(&s.slots.permits) || next != nil && next.want != s.kind
		if unwanted || s.over() || s.slots.expired(s) {
			s.slots.end(s)
			return
		}
	}
	switch {
	case next != nil:
		s.slots.grant(q, next, s)
		share.settleBatch()
		return
	case s.assoc != nil:
		s.slots.putIdle(q, s)
	default:
		q.taken--
		s.leaveShare()
		s.slots.forget(q, s.address)
	}
	s.slots.settle(share)
}

// hold counts the slot of a retrieval.
func (s *slot) hold(q *queue, o *operation) {
	if o.retrievals > 0 && !s.retrieval {
		s.retrieval = true
		q.retrieving++
	}
	if o.share != nil || s.holding != nil {
		s.joinShare(o)
	}
}

// drop is the opposite of hold.
func (s *slot) drop(q *queue) {
	if s.retrieval {
		s.retrieval = false
		q.retrieving--
	}
	s.endBatch()
}

// grant hands the slot to the waiter, which begins to run.
func (s *slots) grant(q *queue, w *waiter, held *slot) {
	q.serve(w)
	s.waiting--
	w.operation.count(-1)
	s.permits.take(w.operation)
	held.hold(q, w.operation)
	w.slot = held
	close(w.ready)
}

// finish ends the operation. If it ran, another one may begin in its place.
func (s *slots) finish(o *operation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.permits.give(o) {
		for s.waiting > 0 && s.beginNext() {
			continue // one that waits for an association to close leaves its permit to the next
		}
	}
}

// beginNext begins one of the operations that waited for nothing but a permit: of the caller with the fewest that run, the one that
// waits for longest; batch work only if there is no other. It returns true if that one got nothing yet, because an idle association has
// to be closed for it: another one may begin.
func (s *slots) beginNext() bool {
	var best *waiter
	var at netip.AddrPort
	for address, q := range s.peers {
		q.find(func(w *waiter) bool {
			if s.mayBegin(q, w.operation) && (best == nil || s.before(w, best)) {
				best, at = w, address
			}
			return false
		})
	}
	if best == nil {
		return false
	}
	q := s.peers[at]
	if acquired := s.take(best.operation, q, at, best.want); acquired != nil {
		s.grant(q, best, acquired)
		best.operation.share.settleBatch()
		return false
	}
	return s.makeRoom(q, best.operation) // best gets the slot when it is free
}

// mayBegin reports whether the operation may run and have a slot, that of an idle association included.
func (s *slots) mayBegin(q *queue, o *operation) bool {
	return s.permits.available(o) && o.permits(q.taken-len(q.idle)+1) && q.mayRetrieve(o) && o.admits(nil, true)
}

func (s *slots) before(a, b *waiter) bool {
	if a.operation.batch != b.operation.batch {
		return b.operation.batch
	}
	if x, y := s.permits.callers[a.operation.caller], s.permits.callers[b.operation.caller]; x != y {
		return x < y
	}
	return a.number < b.number
}
