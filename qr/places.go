package qr

import (
	"container/list"
	"context"
	"net/netip"
	"sync"
	"time"
)

// maxPeers bounds the table of places. A peer is in it only while an association with it is open, opened or waited for, so
// this is more than any hospital has PACS.
const maxPeers = 1024

// places are the associations that may be open at once, so many a peer: an address with its port. Callers wait in the
// order in which they came.
type places struct {
	each int

	mu    sync.Mutex
	peers map[netip.AddrPort]*queue // those with a place taken, and no other
}

type queue struct {
	taken   int
	waiting list.List // of chan struct{}, closed to hand a place over
}

// place is leave to have one association with the peer.
type place struct {
	places  *places
	address netip.AddrPort
}

func newPlaces(each int) *places {
	return &places{each: each, peers: map[netip.AddrPort]*queue{}}
}

// take waits for a place, for as long as patience and ctx last. The error is a *BusyError or the cause of ctx's end.
func (p *places) take(ctx context.Context, address netip.AddrPort, patience time.Duration) (*place, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	turn, ticket, err := p.join(address, patience > 0)
	if err != nil {
		return nil, err
	}
	mine := &place{places: p, address: address}
	if turn == nil {
		return mine, nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-turn:
		return mine, nil
	case <-timer.C:
		err = &BusyError{}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if !p.leave(address, ticket) {
		mine.free() // it was handed over in this very moment
	}
	return nil, err
}

// tryTake is a place that is free right now and that nobody waits for; else nil.
func (p *places) tryTake(address netip.AddrPort) *place {
	if _, _, err := p.join(address, false); err != nil {
		return nil
	}
	return &place{places: p, address: address}
}

// join takes a place, or else gets in line where wait says so: turn is then closed when it comes.
func (p *places) join(address netip.AddrPort, wait bool) (turn chan struct{}, ticket *list.Element, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.peers[address]
	switch {
	case q == nil && len(p.peers) >= maxPeers:
		return nil, nil, &BusyError{}
	case q == nil:
		p.peers[address] = &queue{taken: 1}
		return nil, nil, nil
	case q.taken < p.each:
		// Nobody waits: a place that becomes free goes to whoever is first in line.
		q.taken++
		return nil, nil, nil
	case !wait:
		return nil, nil, &BusyError{}
	}
	turn = make(chan struct{})
	return turn, q.waiting.PushBack(turn), nil
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

// free hands the place to whoever is first in line. A nil place is none.
func (p *place) free() {
	if p == nil {
		return
	}
	p.places.mu.Lock()
	defer p.places.mu.Unlock()
	q := p.places.peers[p.address]
	if first := q.waiting.Front(); first != nil {
		close(q.waiting.Remove(first).(chan struct{}))
		return
	}
	if q.taken--; q.taken == 0 {
		delete(p.places.peers, p.address)
	}
}
