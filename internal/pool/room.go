package pool

import (
	"context"
	"slices"
)

// room is a caller of Pool.Room that waits.
type room struct {
	limit int // of the associations with the peer
	ready chan struct{}
}

// Room waits until batch work with the peer may begin: no interactive operation waits for the peer, and a slot is free. It bounds the batch
// work with a peer: at most a third of its associations, and at least one, may be in use by it. The caller does one piece of work, in
// sessions for which it calls Session.Batch, and then calls leave once. The error is the cause of the end of ctx.
func (p *Pool) Room(ctx context.Context, peer Peer) (leave func(), err error) {
	share := p.Share(peer)
	r := &room{limit: p.limit(&peer), ready: make(chan struct{})}
	mu := &p.slots.mu
	mu.Lock()
	share.rooms = append(share.rooms, r)
	share.openRooms()
	if len(share.rooms) > 0 {
		share.wake()
	}
	mu.Unlock()
	leave = func() {
		mu.Lock()
		defer mu.Unlock()
		share.places--
		share.openRooms()
	}
	select {
	case <-r.ready:
		return leave, nil
	case <-ctx.Done():
	}
	mu.Lock()
	at := slices.Index(share.rooms, r)
	if at >= 0 {
		share.rooms = slices.Delete(share.rooms, at, at+1)
	}
	mu.Unlock()
	if at < 0 {
		leave()
	}
	return nil, context.Cause(ctx)
}

// openRooms lets callers of Room go on, in their order, as long as there is room.
func (s *Share) openRooms() {
	for len(s.rooms) > 0 && s.hasRoom(s.rooms[0].limit) {
		s.places++
		close(s.rooms[0].ready)
		s.rooms = slices.Delete(s.rooms, 0, 1)
	}
}

// hasRoom reports whether another piece of batch work may begin with a peer that accepts as many associations; zero: any number.
func (s *Share) hasRoom(limit int) bool {
	if s.waiting > 0 || s.pressed || s.places >= s.batchCap(limit) {
		return false
	}
	free := s.limit
	if limit > 0 {
		free = min(free, limit)
	}
	busy := s.used - s.idle + max(s.places-s.batch, 0) // what has a place and no slot yet takes one
	return busy < free
}
