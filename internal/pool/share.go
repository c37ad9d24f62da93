package pool

import (
	"maps"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Share is the account of the associations with one peer, which is a host and a port as they are written in the Peer. It counts who
// uses them and who waits, and limits how many may be open beside the limit of each operation: gateways that share a peer divide its
// associations among themselves. Without SetLimit it limits nothing. It is safe for concurrent use.
type Share struct {
	slots *slots

	// All below are under the lock of slots.
	limit      int // of the slots in use
	batchLimit int // of the slots that batch work uses
	used       int // slots of operations that belong to this share, those of idle and closing associations included
	idle       int
	batch      int // slots that batch work uses
	peak       int // the most slots in use, without idle associations, since the last Usage
	waiting    int // interactive operations that wait
	behind     int // operations of batch work that wait
	pressed    bool
	holdings   []*holding
	rooms      []*room // callers of Pool.Room that wait
	places     int     // that callers of Pool.Room have
	notify     func()
}

// holding is a slot in the account of a share.
type holding struct {
	share   *Share
	slot    *slot
	at      int      // in share.holdings
	conn    net.Conn // of the association in the slot; nil: none
	batch   bool     // batch work uses the slot
	idle    bool
	revoked bool // its association is closed by Revoke
}

// revokedIdleTimeout is how long an idle association may take to be released after Revoke.
const revokedIdleTimeout = time.Second

// Usage is what a gateway needs and has of the associations with a peer.
type Usage struct {
	Used    int // associations that are open, being opened or being closed, idle ones included
	Idle    int
	Peak    int // the most at once since the last call of Usage, idle ones not included
	Waiting int // interactive operations that wait
	// Batch is how many associations batch work uses, Places how many callers of Pool.Room work, and BatchWaiting how many operations of
	// batch work and callers of Pool.Room wait.
	Batch, Places, BatchWaiting int
}

type shareKey struct {
	host string
	port int
}

func (p *Peer) shareKey() shareKey { return shareKey{strings.ToLower(p.Host), p.Port} }

// Share returns the account of the peer's associations, which it opens at the first call. It counts the sessions that begin later.
func (p *Pool) Share(peer Peer) *Share {
	key := peer.shareKey()
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	known := p.shares.Load()
	if known != nil && (*known)[key] != nil {
		return (*known)[key]
	}
	next := map[shareKey]*Share{}
	if known != nil {
		maps.Copy(next, *known)
	}
	next[key] = &Share{slots: p.slots, limit: math.MaxInt, batchLimit: math.MaxInt}
	p.shares.Store(&next)
	return next[key]
}

// share returns the account of the peer if it has one.
func (p *Pool) share(peer *Peer) *Share {
	known := p.shares.Load()
	if known == nil {
		return nil
	}
	return (*known)[peer.shareKey()]
}

// Notify has f called when an operation begins to wait, and when the slots in use become fewer while they are more than the limit.
// f must not block and must not call the pool.
func (s *Share) Notify(f func()) {
	s.slots.mu.Lock()
	defer s.slots.mu.Unlock()
	s.notify = f
}

// SetLimit limits the slots in use to limit, of which batch work uses at most batch. It releases idle associations that are too many and
// interrupts nothing. It returns the number of slots in use: while that is more than limit, no operation takes one and the number only falls.
func (s *Share) SetLimit(limit, batch int) (used int) {
	s.slots.mu.Lock()
	defer s.slots.mu.Unlock()
	s.limit, s.batchLimit = limit, batch
	for range s.used - limit {
		if !s.slots.evictOf(s) {
			break
		}
	}
	s.slots.settle(s)
	return s.used
}

// Press keeps batch work from taking slots while interactive operations of another gateway wait for the peer.
func (s *Share) Press(pressed bool) {
	s.slots.mu.Lock()
	defer s.slots.mu.Unlock()
	if s.pressed != pressed {
		s.pressed = pressed
		s.slots.settle(s)
	}
}

// Usage returns the current usage.
func (s *Share) Usage() Usage {
	s.slots.mu.Lock()
	defer s.slots.mu.Unlock()
	u := Usage{
		Used: s.used, Idle: s.idle, Peak: s.peak, Waiting: s.waiting, Batch: s.batch, Places: s.places, BatchWaiting: s.behind + len(s.rooms),
	}
	s.peak = s.used - s.idle
	return u
}

// Revoke limits the slots in use to limit and closes the associations that are too many: idle ones are released, then the connections of
// batch work and the newest others are closed. Their operations fail with a *BusyError whose Reason is ShareLost.
func (s *Share) Revoke(limit int) {
	s.slots.mu.Lock()
	defer s.slots.mu.Unlock()
	s.limit, s.batchLimit = limit, min(s.batchLimit, limit)
	excess := s.used - limit
	for _, h := range s.holdings {
		if h.revoked {
			excess--
		}
	}
	for ; excess > 0; excess-- {
		h := s.leastNeeded()
		if h == nil {
			return
		}
		h.revoked = true
		if h.idle {
			time.AfterFunc(revokedIdleTimeout, h.close)
			s.slots.evictSlot(h.slot)
		} else {
			h.close()
		}
	}
}

// leastNeeded returns the slot whose association is to be closed first; nil if all are being closed.
func (s *Share) leastNeeded() *holding {
	rank := func(h *holding) int {
		switch {
		case h.idle:
			return 0
		case h.batch:
			return 1
		}
		return 2 //nolint:mnd // after those above
	}
	var least *holding
	for _, h := range slices.Backward(s.holdings) {
		if !h.revoked && (least == nil || rank(h) < rank(least)) {
			least = h
		}
	}
	return least
}

// close closes the connection of the slot. The association in it sees a connection that is lost.
func (h *holding) close() {
	if h.conn != nil {
		_ = h.conn.Close()
	}
}

// admits reports whether the operation may use a slot of its share: held, which it would take over, or a further one if held is nil.
// reclaim counts the slots of idle associations as free.
func (o *operation) admits(held *slot, reclaim bool) bool {
	s := o.share
	if s == nil {
		return true
	}
	used := s.used
	if held == nil || held.holding == nil || held.holding.share != s {
		used++
	}
	if reclaim {
		used -= s.idle
	}
	return used <= s.limit && (!o.batch || s.waiting == 0 && !s.pressed && s.batch < s.batchCap(o.limit))
}

// batchCap returns how many slots batch work may use if the limit of its operations is limit: a third of them, so that most of them serve
// interactive operations while it runs.
func (s *Share) batchCap(limit int) int {
	const part = 3
	if limit == 0 {
		return s.batchLimit
	}
	return min(max(limit/part, 1), s.batchLimit)
}

// joinShare puts the slot into the account of the operation.
func (s *slot) joinShare(o *operation) {
	h := s.holding
	if h != nil && h.share != o.share {
		s.leaveShare()
		h = nil
	}
	if o.share == nil {
		return
	}
	if h == nil {
		h = &holding{share: o.share, slot: s, at: len(o.share.holdings)}
		s.holding = h
		h.share.holdings = append(h.share.holdings, h)
		h.share.used++
	}
	if o.batch && !h.batch {
		h.batch = true
		h.share.batch++
	}
	h.share.peak = max(h.share.peak, h.share.used-h.share.idle)
}

// leaveShare takes the slot out of its account.
func (s *slot) leaveShare() {
	h := s.holding
	if h == nil {
		return
	}
	s.endBatch()
	s.setIdle(false)
	share := h.share
	last := share.holdings[len(share.holdings)-1]
	share.holdings[h.at], last.at = last, h.at
	share.holdings[len(share.holdings)-1] = nil
	share.holdings = share.holdings[:len(share.holdings)-1]
	share.used--
	s.holding = nil
	if share.used >= share.limit {
		share.wake()
	}
}

func (s *slot) endBatch() {
	if h := s.holding; h != nil && h.batch {
		h.batch = false
		h.share.batch--
	}
}

// setIdle notes whether the association in the slot is idle.
func (s *slot) setIdle(idle bool) {
	h := s.holding
	if h == nil || h.idle == idle {
		return
	}
	h.idle = idle
	if idle {
		h.share.idle++
	} else {
		h.share.idle--
	}
}

// over reports whether more slots are in use than the share of the slot permits, or its association is to be closed.
func (s *slot) over() bool {
	h := s.holding
	return h != nil && (h.revoked || h.share.used > h.share.limit)
}

// attach notes the connection that was opened in the slot. It closes the connection and returns false if the slot was revoked meanwhile.
func (s *slot) attach(conn net.Conn) bool {
	if s.holding == nil {
		return true
	}
	s.slots.mu.Lock()
	defer s.slots.mu.Unlock()
	s.holding.conn = conn
	if s.holding.revoked {
		_ = conn.Close()
	}
	return !s.holding.revoked
}

// revoked reports whether the association in the slot was closed by Share.Revoke.
func (s *slot) revoked() bool {
	if s == nil || s.holding == nil {
		return false
	}
	s.slots.mu.Lock()
	defer s.slots.mu.Unlock()
	return s.holding.revoked
}

// isRevoked is revoked under the lock.
func (s *slot) isRevoked() bool { return s.holding != nil && s.holding.revoked }

// count adds n to the operations that wait with this one.
func (o *operation) count(n int) {
	switch s := o.share; {
	case s == nil:
	case o.batch:
		s.behind += n
	default:
		s.waiting += n
	}
	if o.share != nil && n > 0 {
		o.share.wake()
	}
}

func (s *Share) wake() {
	if s.notify != nil {
		s.notify()
	}
}

// evictOf releases an idle association in the share; it returns false if there is none.
func (s *slots) evictOf(share *Share) bool {
	for _, h := range share.holdings {
		if h.idle {
			s.evictSlot(h.slot)
			return true
		}
	}
	return false
}

// evictSlot releases the idle association in the slot.
func (s *slots) evictSlot(idle *slot) {
	q := s.peers[idle.address]
	s.end(s.takeAt(q, slices.Index(q.idle, idle)))
}

// settle serves the operations that wait for the share, and the callers of Room, after a change that may let them begin.
func (s *slots) settle(share *Share) {
	if share == nil {
		return
	}
	if share.waiting+share.behind > 0 {
		for address, q := range s.peers {
			s.serveAll(share, q, address)
		}
	}
	share.openRooms()
}

// settleBatch is settle after a change that lets only batch work begin: an operation does not wait any more.
func (s *Share) settleBatch() {
	switch {
	case s == nil || s.waiting > 0:
	case s.behind > 0:
		s.slots.settle(s)
	default:
		s.openRooms()
	}
}

func (s *slots) serveAll(share *Share, q *queue, address netip.AddrPort) {
	for {
		w := q.find(func(w *waiter) bool { return w.operation.share == share && s.mayBegin(q, w.operation) })
		if w == nil {
			return
		}
		acquired := s.take(w.operation, q, address, w.want)
		if acquired == nil {
			s.makeRoom(q, w.operation) // w gets the slot when it is free
			return
		}
		s.grant(q, w, acquired)
	}
}
