package pool

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// attemptDelay is the time for which one address is tried alone before the next is tried beside it, so that one address that
// does not answer does not use up the time of all (RFC 8305 section 5; net.Dialer waits equally long).
const attemptDelay = 300 * time.Millisecond

// acquire takes an idle association, or waits until the operation may run and has a slot at the first address of the peer. A session that holds a slot from
// its previous association keeps it: an operation that has begun does not queue again.
func (s *Session) acquire(ctx context.Context) (err error) {
	if s.slot != nil {
		return nil
	}
	if s.slot = s.pool.slots.takeIdle(&s.operation, s.addresses, s.kind); s.slot != nil {
		return nil
	}
	ctx, end := s.observe(ctx, StepQueue)
	defer func() { end(err) }()
	s.slot, err = s.acquireAt(ctx, s.addresses[0], s.kind)
	if err != nil {
		return &dicomnet.OpError{Step: dicomnet.StepConnect, Err: err}
	}
	return nil
}

func (s *Session) acquireAt(ctx context.Context, address netip.AddrPort, want kind) (*slot, error) {
	return s.pool.slots.acquire(ctx, &s.operation, address, want, s.pool.options.QueueTimeout)
}

// connect returns the first connection that is established and leaves its slot in the session. It dials the address of the
// held slot first, then the others in their order: each when those before it failed or attemptDelay is over. If all fail, it
// returns the first error, or a *BusyError if there was no slot at an address that was still to be tried.
//
// An address without a free slot is not skipped in favour of the next, since both may be the same machine; but an attempt
// that is running does not wait for it.
func (s *Session) connect(ctx context.Context) (net.Conn, error) {
	held := s.slot
	s.slot = nil
	if held.revoked() {
		held.release()
		s.busy = true
		return nil, &BusyError{}
	}
	r := &race{dial: s.pool.options.DialContext}
	if r.dial == nil {
		r.dial = dialer.DialContext
	}
	for _, address := range s.addresses {
		if address != held.address {
			r.remaining = append(r.remaining, address)
		}
	}
	for {
		winner := r.run(ctx, held, func(address netip.AddrPort) *slot {
			return s.pool.slots.tryAcquire(&s.operation, address)
		})
		if winner.err == nil {
			s.slot = winner.slot
			return winner.conn, nil
		}
		if len(r.remaining) == 0 || ctx.Err() != nil {
			return nil, r.first
		}
		var err error
		if held, err = s.acquireAt(ctx, r.remaining[0], kind{}); err != nil {
			s.busy = true
			return nil, &BusyError{}
		}
		r.remaining = slices.Delete(r.remaining, 0, 1)
	}
}

// race dials addresses in parallel. Each attempt holds a slot and releases it unless it wins.
type race struct {
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	remaining []netip.AddrPort // not tried yet
	attempts  chan attempt
	running   int
	first     error // of all attempts that failed
}

// dialer sends no keep-alive probes: each wait for a peer has a deadline of its own.
var dialer = net.Dialer{KeepAlive: -1}

type attempt struct {
	slot *slot
	conn net.Conn
	err  error
}

// run starts with the held slot and goes on with the remaining addresses at which try returns a slot. It returns the attempt
// that wins, or the last one that failed.
func (r *race) run(ctx context.Context, held *slot, try func(netip.AddrPort) *slot) attempt {
	if len(r.remaining) == 0 {
		return r.dialLast(ctx, held)
	}
	r.attempts = make(chan attempt)
	ctx, cancel := context.WithCancel(ctx)
	defer r.finish(cancel)
	r.start(ctx, held)
	next := func() {
		if acquired := try(r.remaining[0]); acquired != nil {
			r.remaining = r.remaining[1:]
			r.start(ctx, acquired)
		}
	}
	for {
		var delay <-chan time.Time
		if len(r.remaining) > 0 {
			delay = time.After(attemptDelay)
		}
		select {
		case <-delay:
			next()
		case a := <-r.attempts:
			r.running--
			if a.err == nil {
				return a
			}
			a.slot.release()
			if r.first == nil {
				r.first = a.err
			}
			if len(r.remaining) > 0 && ctx.Err() == nil {
				next()
			}
			if r.running == 0 {
				return a
			}
		}
	}
}

// dialLast dials the last address, most often the only one, on the caller's goroutine.
func (r *race) dialLast(ctx context.Context, held *slot) attempt {
	conn, err := r.dialIn(ctx, held)
	if err != nil {
		held.release()
		if r.first == nil {
			r.first = err
		}
	}
	return attempt{held, conn, err}
}

// dialIn opens the connection of the slot.
func (r *race) dialIn(ctx context.Context, held *slot) (net.Conn, error) {
	conn, err := r.dial(ctx, "tcp", held.address.String())
	if err == nil && !held.attach(conn) {
		return nil, &BusyError{Reason: ShareLost}
	}
	return conn, err
}

func (r *race) start(ctx context.Context, held *slot) {
	r.running++
	go func() {
		conn, err := r.dialIn(ctx, held)
		r.attempts <- attempt{held, conn, err}
	}()
}

// finish cancels the attempts that did not win and waits for them.
func (r *race) finish(cancel context.CancelFunc) {
	cancel()
	for ; r.running > 0; r.running-- {
		late := <-r.attempts
		if late.err == nil {
			_ = late.conn.Close()
		}
		late.slot.release()
	}
}

// orBusy returns err, or a *BusyError if the connection timeout ran out while connect waited for a slot.
func (s *Session) orBusy(ctx context.Context, err error) error {
	if err == nil || !s.busy || ctx.Err() != nil {
		return err
	}
	s.busy = false
	return &dicomnet.OpError{Step: dicomnet.StepConnect, Err: &BusyError{}}
}
