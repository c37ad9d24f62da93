package qr

import (
	"container/list"
	"context"
	"net/netip"
	"sync"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// maxPeers bounds the table of places. A peer is in it only while an association with it is open, opened or waited for, so
// this is more than any hospital has PACS.
const maxPeers = 1024

// places are the associations that may be open at once, so many a peer: an address with its port. Callers wait in the
// order in which they came. An association that is kept has its place as any other; it makes room for who waits.
type places struct {
	each       int
	keep       time.Duration // how long an association is kept; see idle.go
	background func(func())  // runs what nobody waits for

	mu       sync.Mutex
	peers    map[netip.AddrPort]*queue // those with a place taken, and no other
	idle     int                       // associations kept, of all peers
	draining bool
	sweeper  *time.Timer
	sweeping bool // the sweeper is set
}

// queue is the places of a peer. While somebody waits, none comes to the idle ones: what is given back goes on to whoever
// is first in line.
type queue struct {
	taken   int       // idle ones and those being closed among them
	waiting list.List // of *waiter
	idle    []*place  // with the association that is kept there, the one that is idle for longest first
}

// waiter is a caller in line, who gets a place with an association of the kind wanted, or else an empty one.
type waiter struct {
	want  kind
	turn  chan struct{} // closed when place is set
	place *place
}

// place is leave to have one association with the peer.
type place struct {
	places  *places
	address netip.AddrPort

	opened time.Time             // when the association was that now stands here
	assoc  *dicomnet.Association // one that nobody uses, of this kind, since then; nil: none
	kind   kind
	since  time.Time
	// unwatch ends the watch on assoc, and returns when it has; nil: it is not watched.
	unwatch func()
}

func newPlaces(each int) *places {
	return &places{each: each, peers: map[netip.AddrPort]*queue{}}
}

// closingPatience is how long those wait who would not wait for others, and yet have to for an idle association to make
// room.
const closingPatience = DefaultQueueTimeout

// take waits for a place, for as long as patience and ctx last: one with an association of the kind wanted, or an empty
// one. The error is a *BusyError or the cause of ctx's end.
func (p *places) take(ctx context.Context, address netip.AddrPort, want kind, patience time.Duration) (*place, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	mine, ticket, err := p.join(address, want, patience > 0)
	if mine != nil || err != nil {
		return mine, err
	}
	if patience <= 0 {
		patience = closingPatience
	}
	w := ticket.Value.(*waiter)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.turn:
		return w.place, nil
	case <-timer.C:
		err = &BusyError{}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if !p.leave(address, ticket) {
		w.place.free() // it was handed over in this very moment
	}
	return nil, err
}

// tryTake is an empty place that is free right now and that nobody waits for; else nil, and where an idle association is
// in the way, there may be one soon.
func (p *places) tryTake(address netip.AddrPort) *place {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine, err := p.available(address, kind{})
	if mine == nil && err == nil {
		p.evict(p.peers[address])
	}
	return mine
}

// join takes a place. Where none is available it gets in line, and the idle association that is first to go makes room;
// where there is none either, only if wait says so.
func (p *places) join(address netip.AddrPort, want kind, wait bool) (mine *place, ticket *list.Element, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine, err = p.available(address, want)
	if mine != nil || err != nil {
		return mine, nil, err
	}
	q := p.peers[address]
	if !p.evict(q) && !wait {
		return nil, nil, &BusyError{}
	}
	return nil, q.waiting.PushBack(&waiter{want: want, turn: make(chan struct{})}), nil
}

// available takes what there is: an idle association of the kind, or an empty place; nil where all are taken.
func (p *places) available(address netip.AddrPort, want kind) (*place, error) {
	q := p.peers[address]
	switch {
	case q == nil && len(p.peers) >= maxPeers:
		return nil, &BusyError{}
	case q == nil:
		q = &queue{}
		p.peers[address] = q
	default:
		if kept := p.kept(q, want); kept != nil {
			return kept, nil
		}
	}
	if q.taken >= p.each {
		return nil, nil //nolint:nilnil // None is no error.
	}
	// Nobody waits: a place that becomes free goes to whoever is first in line.
	q.taken++
	return &place{places: p, address: address}, nil
}

// leave gives up waiting; it is false where the place has been handed over already.
func (p *places) leave(address netip.AddrPort, ticket *list.Element) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.peers[address] // is there as long as somebody waits or has a place
	before := q.waiting.Len()
	q.waiting.Remove(ticket)
	return q.waiting.Len() < before
}

// free hands the place to whoever is first in line, with the association that was left in it where that is of the kind
// wanted; if not, that is released first. A nil place is none.
func (p *place) free() {
	if p == nil {
		return
	}
	p.places.mu.Lock()
	defer p.places.mu.Unlock()
	q := p.places.peers[p.address]
	first := q.waiting.Front()
	if p.assoc != nil && (p.places.worn(p) || first != nil && first.Value.(*waiter).want != p.kind) {
		p.places.end(p)
		return
	}
	switch {
	case first != nil:
		w := q.waiting.Remove(first).(*waiter)
		w.place = p
		close(w.turn)
	case p.assoc != nil:
		p.places.rest(q, p)
	default:
		if q.taken--; q.taken == 0 {
			delete(p.places.peers, p.address)
		}
	}
}
