package pool

import (
	"context"
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// An idle association stays in its slot. The slot of a peer is free, or an operation holds it, or an idle association does.
// A slot with an idle association is in the queue of its address, under the lock of slots, and belongs to the goroutine that
// takes it out of the queue: an operation that wants an association of this kind, the watch that sees it end, or the pool,
// which ends it (because an operation waits for the slot, because its time is over, or at shutdown). The slot is free once
// the association is closed.
//
// Between operations in quick succession an association is only in the list: no goroutine, no timer and no read on the
// connection. After watchAfter, or twice that because one timer serves all, a goroutine of its own reads from it.

const (
	// maxIdle bounds the idle associations of all peers; the one that is idle for longest is evicted first.
	maxIdle = 256
	// maxAge bounds the life of a kept association, however busy it is: certificates, and the permissions of a calling AE
	// title at a PACS, are checked only when an association is opened.
	maxAge = 10 * time.Minute
	// watchAfter is how long an association may be idle without a watch. The next operation sees what happens in that time.
	watchAfter = 100 * time.Millisecond
	// unsolicitedWait is how long to wait for the rest of a PDU that the peer sent without a request.
	unsolicitedWait = time.Millisecond
)

// kind is everything that an association was negotiated for except its address: associations of one kind are
// interchangeable. An association of the zero kind is not kept.
type kind struct {
	host            string // as the caller named it: certificates and Options.Allow apply to it
	called, calling string
	tls             *tls.Config // nil: no TLS
	settings        *Settings   // an association keeps the timers it was opened with
	sopClasses      [2]string   // proposed, in this order
}

// kindOf returns the kind of an association on which sopClasses are proposed. Only associations that begin with a C-FIND are
// kept: a C-FIND can be sent again if the association proves stale.
func (s *Session) kindOf(sopClasses []string) kind {
	k := kind{}
	if s.pool.idleTime(&s.peer) <= 0 || sopClasses[0] != s.peer.Model().Find || len(sopClasses) > len(k.sopClasses) {
		return k
	}
	k = kind{
		host: strings.ToLower(s.peer.Host), called: s.peer.CalledAETitle, calling: s.peer.CallingAETitle,
		tls: s.pool.tls(&s.peer), settings: s.peer.Settings,
	}
	copy(k.sopClasses[:], sopClasses)
	return k
}

// reuse returns the idle association that came with the slot; nil if there is none or it is no longer usable.
func (s *Session) reuse(ctx context.Context) *dicomnet.Association {
	if s.slot.assoc == nil {
		return nil
	}
	_, end := s.observe(ctx, StepReuse)
	assoc := s.slot.takeAssociation()
	assoc.Rebind(ctx)
	settle(ctx, assoc)
	if !assoc.Usable() {
		end(&dicomnet.OpError{Step: StepReuse, Err: dicomnet.ErrClosed})
		return nil
	}
	end(nil)
	s.used, s.settled = true, true
	return assoc
}

// keep leaves the association to other operations; it returns false if the association must be released.
func (s *Session) keep(assoc *dicomnet.Association, held *slot) bool {
	if s.kind == (kind{}) || held == nil || held.revoked() || !assoc.Clean() || !assoc.Accepts(s.peer.Model().Find) {
		return false
	}
	assoc.Rebind(s.pool.options.Background)
	held.assoc, held.kind, held.idleTime = assoc, s.kind, s.pool.idleTime(&s.peer)
	held.release()
	return true
}

// evictAll releases the idle associations at an address and waits until they are closed. It returns true if there were any
// and all are closed, and false if ctx ends first.
func (p *Pool) evictAll(ctx context.Context, address netip.AddrPort) bool {
	closing := p.slots.empty(address)
	for _, closed := range closing {
		select {
		case <-closed:
		case <-ctx.Done():
			return false
		}
	}
	return len(closing) > 0
}

// takeIdle takes an idle association of the kind at one of the addresses, if the operation may run; nil if there is none.
func (s *slots) takeIdle(o *operation, addresses []netip.AddrPort, want kind) *slot {
	if want == (kind{}) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.permits.available(o) {
		return nil
	}
	for _, address := range addresses {
		if q := s.peers[address]; q != nil {
			q.joinShare(o)
			if kept := s.takeKind(q, want, o); kept != nil {
				s.permits.take(o)
				return kept
			}
		}
	}
	return nil
}

// takeKind takes the association of the kind that was used last, so that those that are not needed end sooner.
func (s *slots) takeKind(q *queue, want kind, o *operation) *slot {
	for i, candidate := range slices.Backward(q.idle) {
		if want != (kind{}) && candidate.kind == want && o.admits(candidate, false) {
			taken := s.takeAt(q, i)
			if o.share != nil {
				taken.joinShare(o)
			}
			return taken
		}
	}
	return nil
}

func (s *slots) takeAt(q *queue, i int) *slot {
	taken := q.idle[i]
	q.idle = slices.Delete(q.idle, i, i+1)
	s.idle--
	taken.setIdle(false)
	return taken
}

// evict releases the association that is idle for longest in the queue; it returns false if none is idle.
func (s *slots) evict(q *queue) bool {
	if len(q.idle) == 0 {
		return false
	}
	s.end(s.takeAt(q, 0))
	return true
}

// expired reports whether the association in the slot must not serve another operation.
func (s *slots) expired(held *slot) bool { return s.draining || time.Since(held.opened) >= maxAge }

// putIdle puts a slot with an association into its queue.
func (s *slots) putIdle(q *queue, held *slot) {
	if s.idle >= maxIdle {
		s.evict(s.longestIdle())
	}
	held.idleSince = time.Now()
	q.idle = append(q.idle, held)
	s.idle++
	held.setIdle(true)
	s.scheduleSweep(held.watchAfter())
}

// longestIdle returns the queue of the association that is idle for longest of all.
func (s *slots) longestIdle() *queue {
	var longest *queue
	for _, q := range s.peers {
		if len(q.idle) > 0 && (longest == nil || q.idle[0].idleSince.Before(longest.idle[0].idleSince)) {
			longest = q
		}
	}
	return longest
}

// end releases the association in the background and frees its slot when the connection is closed.
func (s *slots) end(held *slot) <-chan struct{} {
	closed := make(chan struct{})
	s.background(func() {
		_ = held.takeAssociation().Close() // the trace reports how it ended
		close(closed)
		held.release()
	})
	return closed
}

// empty releases every idle association at an address.
func (s *slots) empty(address netip.AddrPort) (closed []<-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.peers[address]; q != nil {
		for len(q.idle) > 0 {
			closed = append(closed, s.end(s.takeAt(q, 0)))
		}
	}
	return closed
}

func (s *slots) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for _, q := range s.peers {
		for s.evict(q) {
		}
	}
	if s.sweeper != nil {
		s.sweeper.Stop()
	}
}

// watchAfter returns how long the association in the slot may be idle without a watch.
func (s *slot) watchAfter() time.Duration { return min(watchAfter, s.idleTime) }

// scheduleSweep starts the sweeper unless it is running.
func (s *slots) scheduleSweep(after time.Duration) {
	switch {
	case s.sweeping:
		return
	case s.sweeper == nil:
		s.sweeper = time.AfterFunc(after, s.sweep)
	default:
		s.sweeper.Reset(after)
	}
	s.sweeping = true
}

// sweep starts a watch on each association that has been idle for watchAfter.
func (s *slots) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweeping = false
	now, next := time.Now(), time.Duration(0)
	for _, q := range s.peers {
		for _, idle := range q.idle {
			switch age := now.Sub(idle.idleSince); {
			case idle.unwatch != nil:
			case age >= idle.watchAfter():
				s.watch(idle, idle.idleTime-age)
			default:
				next = max(next, idle.watchAfter())
			}
		}
	}
	if next > 0 {
		s.scheduleSweep(next)
	}
}

// watch reads from an idle association until the peer ends it, d is over, or an operation takes it.
func (s *slots) watch(idle *slot, d time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	idle.unwatch = func() {
		cancel()
		<-done
	}
	assoc := idle.assoc
	go func() {
		defer close(done)
		_ = assoc.WaitIdle(ctx, d)
		s.endIdle(idle)
	}()
}

// endIdle ends an association after its watch, unless an operation has taken it.
func (s *slots) endIdle(idle *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.peers[idle.address]
	if q == nil {
		return
	}
	if i := slices.Index(q.idle, idle); i >= 0 {
		s.end(s.takeAt(q, i))
	}
}

// takeAssociation takes the association out of the slot. The caller must have taken the slot out of its queue.
func (s *slot) takeAssociation() *dicomnet.Association {
	if s.unwatch != nil {
		s.unwatch()
		s.unwatch = nil
	}
	assoc := s.assoc
	s.assoc = nil
	return assoc
}
