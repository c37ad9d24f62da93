package pool

import (
	"container/list"
	"context"
	"net/netip"
	"sync"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// maxPeers bounds the table of peers. A peer is in it only while an association with it is open, being opened or waited for,
// so the bound exceeds the number of PACS of any hospital.
const maxPeers = 1024

// slots limits how many associations are open at once with each peer, which is an address with its port. Each operation brings
// its limit: it gets a slot while fewer are in use at the address, whose operation ever uses them. Operations wait for
// a slot in the order in which they ask; one whose limit is still reached is passed over. An idle association holds a slot like
// any other, and gives way to a waiting operation.
type slots struct {
	background func(func()) // runs a function that no operation waits for

	mu       sync.Mutex
	peers    map[netip.AddrPort]*queue // exactly those with a slot in use
	idle     int                       // idle associations of all peers
	draining bool
	sweeper  *time.Timer
	sweeping bool // the sweeper is running
}

// queue holds the slots of one peer. While an operation waits, no association becomes idle: a released slot passes to the
// first waiter.
type queue struct {
	taken   int       // slots in use, those of idle and closing associations included
	waiting list.List // of *waiter
	idle    []*slot   // with an idle association, the one that is idle for longest first
}

// waiter is an operation that waits for a slot. It receives one with an idle association of the kind it wants, or an empty
// one.
type waiter struct {
	want  kind
	limit int           // zero: none
	ready chan struct{} // closed when slot is set
	slot  *slot
}

// slot is the permit to have one association with a peer.
type slot struct {
	slots   *slots
	address netip.AddrPort

	opened time.Time             // when the association in this slot was established
	assoc  *dicomnet.Association // idle, of this kind, since idleSince; nil: none
	kind   kind
	// idleSince is the time at which assoc became idle, and idleTime how long it may stay so.
	idleSince time.Time
	idleTime  time.Duration
	// unwatch stops the watch on assoc and returns when it has stopped; nil: assoc is not watched.
	unwatch func()
}

func newSlots(background func(func())) *slots {
	return &slots{background: background, peers: map[netip.AddrPort]*queue{}}
}

// closingTimeout is how long an operation that does not queue (QueueTimeout is zero) waits for an idle association to close
// and free its slot.
const closingTimeout = 5 * time.Second

// acquire waits for a slot until timeout or the end of ctx: one with an association of the kind wanted, or an empty one. limit is how
// many may be in use with it; zero: any number. The error is a *BusyError or the cause of the end of ctx.
func (s *slots) acquire(ctx context.Context, address netip.AddrPort, want kind, limit int, timeout time.Duration) (*slot, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	acquired, ticket, err := s.join(address, want, limit, timeout > 0)
	if acquired != nil || err != nil {
		return acquired, err
	}
	if timeout <= 0 {
		timeout = closingTimeout
	}
	w := ticket.Value.(*waiter)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-w.ready:
		return w.slot, nil
	case <-timer.C:
		err = &BusyError{}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if !s.leave(address, ticket) {
		w.slot.release() // it was handed over at the same moment
	}
	return nil, err
}

// tryAcquire returns an empty slot if one is free and no operation waits for it, else nil. If an idle association holds the
// slot, it is evicted, so that a slot may be free soon.
func (s *slots) tryAcquire(address netip.AddrPort, limit int) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	acquired, err := s.available(address, kind{}, limit)
	if acquired == nil && err == nil {
		s.makeRoom(s.peers[address], limit)
	}
	return acquired
}

// join acquires a slot. If none is available it queues and evicts those associations that are idle for longest; if there is no
// idle association either, it queues only if wait is set.
func (s *slots) join(address netip.AddrPort, want kind, limit int, wait bool) (acquired *slot, ticket *list.Element, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	acquired, err = s.available(address, want, limit)
	if acquired != nil || err != nil {
		return acquired, nil, err
	}
	q := s.peers[address]
	if !s.makeRoom(q, limit) && !wait {
		return nil, nil, &BusyError{}
	}
	return nil, q.waiting.PushBack(&waiter{want: want, limit: limit, ready: make(chan struct{})}), nil
}

// makeRoom evicts as many idle associations as must end before an operation with the limit gets a slot. It returns false if that
// many are not idle.
func (s *slots) makeRoom(q *queue, limit int) bool {
	for range q.taken - limit + 1 {
		if !s.evict(q) {
			return false
		}
	}
	return true
}

// available takes an idle association of the kind, or an empty slot; nil if all slots are in use.
func (s *slots) available(address netip.AddrPort, want kind, limit int) (*slot, error) {
	q := s.peers[address]
	switch {
	case q == nil && len(s.peers) >= maxPeers:
		return nil, &BusyError{}
	case q == nil:
		q = &queue{}
		s.peers[address] = q
	default:
		if kept := s.takeKind(q, want); kept != nil {
			return kept, nil
		}
	}
	if limit > 0 && q.taken >= limit {
		return nil, nil //nolint:nilnil // No free slot is no error.
	}
	// No operation waits whose limit permits this slot: it would have received it when the slot was released.
	q.taken++
	return &slot{slots: s, address: address}, nil
}

// leave removes a waiter from the queue; it returns false if the slot has been handed over already.
func (s *slots) leave(address netip.AddrPort, ticket *list.Element) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.peers[address] // exists as long as an operation waits or holds a slot
	before := q.waiting.Len()
	q.waiting.Remove(ticket)
	return q.waiting.Len() < before
}

// first returns the first waiter whose limit permits a slot that is being released; nil if there is none.
func (q *queue) first() *list.Element {
	for e := q.waiting.Front(); e != nil; e = e.Next() {
		if limit := e.Value.(*waiter).limit; limit == 0 || q.taken <= limit {
			return e
		}
	}
	return nil
}

// release passes the slot to the first waiter that may have it, together with the association in it if that is of the kind
// wanted; an association of another kind is released first. If no operation waits, an association in the slot becomes idle and
// an empty slot is freed. A nil slot does nothing.
func (s *slot) release() {
	if s == nil {
		return
	}
	s.slots.mu.Lock()
	defer s.slots.mu.Unlock()
	q := s.slots.peers[s.address]
	first := q.first()
	if s.assoc != nil {
		waiting := q.waiting.Len() > 0
		if s.slots.expired(s) || waiting && (first == nil || first.Value.(*waiter).want != s.kind) {
			s.slots.end(s)
			return
		}
	}
	switch {
	case first != nil:
		w := q.waiting.Remove(first).(*waiter)
		w.slot = s
		close(w.ready)
	case s.assoc != nil:
		s.slots.putIdle(q, s)
	default:
		if q.taken--; q.taken == 0 {
			delete(s.slots.peers, s.address)
		}
	}
}
