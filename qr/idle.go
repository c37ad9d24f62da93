package qr

import (
	"context"
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// Associations are kept for reuse in their places: a place at a peer is free, or an operation has it, or an association
// stands in it that no operation has. Such a one is in the queue of its address, under the lock of places, and is whose
// who takes it from there: the operation that wants one of its kind, the watch that sees it end, or whoever lets it go
// (for a caller who waits for the place, at the end of its time, at shutdown). Its place is free when it is closed.
//
// Between operations that follow each other closely an association is just in the list: no goroutine, no timer, no look
// at the connection. One that has been there for watchAfter is watched by a goroutine of its own, which reads.

const (
	// maxIdle bounds the associations kept in all; the one that is idle for longest goes first.
	maxIdle = 256
	// maxAge is how long an association is kept in all, however busy: certificates, and what a PACS knows of its callers,
	// are looked at when one is opened.
	maxAge = 10 * time.Minute
	// watchAfter is how long one may be idle unwatched. What happens in that time shows at the next operation.
	watchAfter = 100 * time.Millisecond
	// unasked is how long to wait for the rest of a PDU that nobody asked for.
	unasked = time.Millisecond
)

// kind is all that an association was negotiated for, apart from the address: two of one kind can stand for each other.
// The zero value is none that is kept.
type kind struct {
	host            string // as the caller named it: what certificates and Options.Allow are held against
	called, calling string
	tls             *tls.Config // nil: plain
	sopClasses      [2]string   // proposed, in this order
}

// kindOf is the kind of association that sopClasses are proposed on. Only one that begins with a C-FIND, which can be sent
// again where the association proves stale, is ever taken from those that are kept.
func (s *session) kindOf(sopClasses []string) kind {
	k := kind{}
	if s.gateway.options.AssociationIdle <= 0 || sopClasses[0] != dicomnet.StudyRoot.Find || len(sopClasses) > len(k.sopClasses) {
		return k
	}
	k = kind{host: strings.ToLower(s.peer.Host), called: s.peer.CalledAETitle, calling: s.peer.CallingAETitle}
	if s.peer.TLS {
		k.tls = s.gateway.options.TLS
	}
	copy(k.sopClasses[:], sopClasses)
	return k
}

// resume gives the association that came with the place, if one did and is still there.
func (s *session) resume(ctx context.Context) *dicomnet.Association {
	if s.place.assoc == nil {
		return nil
	}
	_, end := s.observe(ctx, StepReuse)
	assoc := s.place.resume()
	assoc.Rebind(ctx)
	if !assoc.Quiet() {
		_ = assoc.WaitIdle(ctx, unasked) // which ends it in the way that is due
		if !assoc.Quiet() {
			assoc.Abort()
		}
	}
	if !assoc.Usable() {
		end(&dicomnet.OpError{Step: StepReuse, Err: dicomnet.ErrClosed})
		return nil
	}
	end(nil)
	s.unproven = true
	return assoc
}

// keep leaves the association to others; it is false where it has to be released.
func (s *session) keep(assoc *dicomnet.Association, p *place) bool {
	if s.kind == (kind{}) || p == nil || !assoc.Clean() || !assoc.Accepts(dicomnet.StudyRoot.Find) {
		return false
	}
	assoc.Rebind(s.gateway.options.Background)
	p.assoc, p.kind = assoc, s.kind
	p.free()
	return true
}

// Drain releases the associations that are kept, behind the scenes, and keeps none from now on. Wait waits for that.
func (g *Gateway) Drain() { g.places.drain() }

// Idle counts the associations that are kept and that no operation has.
func (g *Gateway) Idle() int {
	g.places.mu.Lock()
	defer g.places.mu.Unlock()
	return g.places.idle
}

// letGo releases the associations that are kept at an address, and is true once they are gone where there were any.
func (g *Gateway) letGo(ctx context.Context, address netip.AddrPort) bool {
	gone := g.places.empty(address)
	for _, closed := range gone {
		select {
		case <-closed:
		case <-ctx.Done():
			return false
		}
	}
	return len(gone) > 0
}

// reuse takes an association of the kind that is kept at one of the addresses; nil where there is none.
func (p *places) reuse(addresses []netip.AddrPort, want kind) *place {
	if want == (kind{}) {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, address := range addresses {
		if q := p.peers[address]; q != nil {
			if kept := p.kept(q, want); kept != nil {
				return kept
			}
		}
	}
	return nil
}

// kept takes from the queue what was used last: the rest then comes to its end sooner.
func (p *places) kept(q *queue, want kind) *place {
	for i, candidate := range slices.Backward(q.idle) {
		if want != (kind{}) && candidate.kind == want {
			return p.takeOut(q, i)
		}
	}
	return nil
}

func (p *places) takeOut(q *queue, i int) *place {
	taken := q.idle[i]
	q.idle = slices.Delete(q.idle, i, i+1)
	p.idle--
	return taken
}

// evict lets go of what has been idle in the queue for longest; it is false where nothing is.
func (p *places) evict(q *queue) bool {
	if len(q.idle) == 0 {
		return false
	}
	p.end(p.takeOut(q, 0))
	return true
}

// worn reports whether the association in the place is not for anybody any more.
func (p *places) worn(mine *place) bool { return p.draining || time.Since(mine.opened) >= maxAge }

// rest puts a place whose association nobody uses into its queue.
func (p *places) rest(q *queue, mine *place) {
	if p.idle >= maxIdle {
		p.evict(p.longestIdle())
	}
	mine.since = time.Now()
	q.idle = append(q.idle, mine)
	p.idle++
	p.sweepSoon()
}

func (p *places) longestIdle() *queue {
	var longest *queue
	for _, q := range p.peers {
		if len(q.idle) > 0 && (longest == nil || q.idle[0].since.Before(longest.idle[0].since)) {
			longest = q
		}
	}
	return longest
}

// end releases the association behind the scenes, and frees its place when the connection is closed.
func (p *places) end(mine *place) <-chan struct{} {
	closed := make(chan struct{})
	p.background(func() {
		_ = mine.resume().Close() // how it ended the trace tells
		close(closed)
		mine.free()
	})
	return closed
}

// empty lets go of all that is idle at an address.
func (p *places) empty(address netip.AddrPort) (closed []<-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q := p.peers[address]; q != nil {
		for _, idle := range q.idle {
			closed = append(closed, p.end(idle))
		}
		p.idle -= len(q.idle)
		q.idle = nil
	}
	return closed
}

func (p *places) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	for _, q := range p.peers {
		for p.evict(q) {
		}
	}
	if p.sweeper != nil {
		p.sweeper.Stop()
	}
}

// sweepSoon has sweep run in a while, unless it will anyway.
func (p *places) sweepSoon() {
	after := min(watchAfter, p.keep)
	switch {
	case p.sweeping:
		return
	case p.sweeper == nil:
		p.sweeper = time.AfterFunc(after, p.sweep)
	default:
		p.sweeper.Reset(after)
	}
	p.sweeping = true
}

// sweep has those watched that are idle for some time.
func (p *places) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweeping = false
	now, young := time.Now(), false
	for _, q := range p.peers {
		for _, idle := range q.idle {
			switch age := now.Sub(idle.since); {
			case idle.unwatch != nil:
			case age >= min(watchAfter, p.keep):
				p.watch(idle, p.keep-age)
			default:
				young = true
			}
		}
	}
	if young {
		p.sweepSoon()
	}
}

// watch waits on an idle association for the peer or the end of its time, until it is taken.
func (p *places) watch(idle *place, d time.Duration) {
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
		p.over(idle)
	}()
}

// over is called by the watch when it has nothing left to watch.
func (p *places) over(idle *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.peers[idle.address]
	if q == nil {
		return
	}
	if i := slices.Index(q.idle, idle); i >= 0 {
		p.end(p.takeOut(q, i))
	}
}

// resume takes the association out of the place. Whoever calls it has taken the place out of its queue before.
func (p *place) resume() *dicomnet.Association {
	if p.unwatch != nil {
		p.unwatch()
		p.unwatch = nil
	}
	assoc := p.assoc
	p.assoc = nil
	return assoc
}
