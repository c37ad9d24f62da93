package qr

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// attemptDelay is what one address gets before the next is tried beside it, so that one that does not answer does not use
// up the time of all (RFC 8305 section 5; net.Dialer waits as long).
const attemptDelay = 300 * time.Millisecond

// queue takes an association that is kept, or waits for a place at the peer's first address, unless the operation has one
// from its last association: whoever has begun is not sent to the end of the line.
func (s *session) queue(ctx context.Context) (err error) {
	if s.place != nil {
		return nil
	}
	if s.place = s.gateway.places.reuse(s.addresses, s.kind); s.place != nil {
		return nil
	}
	ctx, end := s.observe(ctx, StepQueue)
	defer func() { end(err) }()
	s.place, err = s.take(ctx, s.addresses[0], s.kind)
	if err != nil {
		return &dicomnet.OpError{Step: dicomnet.StepConnect, Err: err}
	}
	return nil
}

func (s *session) take(ctx context.Context, address netip.AddrPort, want kind) (*place, error) {
	return s.gateway.places.take(ctx, address, want, s.gateway.options.QueueTimeout)
}

// connect gives the first connection that comes about, and leaves the operation with the place for it. The address of the
// place at hand is tried first, then the others in their order: the next one when those before it failed or attemptDelay is
// over. Where all fail, the error is the first, or a *BusyError where there is no place at an address that was left.
//
// An address without a free place is not passed over in favour of the next one, for the two may be the same machine; but
// nothing that is under way waits for it.
func (s *session) connect(ctx context.Context) (net.Conn, error) {
	held := s.place
	s.place = nil
	r := &race{dial: s.gateway.options.DialContext}
	if r.dial == nil {
		r.dial = dialer.DialContext
	}
	for _, address := range s.addresses {
		if address != held.address {
			r.left = append(r.left, address)
		}
	}
	for {
		won := r.run(ctx, held, s.gateway.places.tryTake)
		if won.err == nil {
			s.place = won.place
			return won.conn, nil
		}
		if len(r.left) == 0 || ctx.Err() != nil {
			return nil, r.first
		}
		var err error
		if held, err = s.take(ctx, r.left[0], kind{}); err != nil {
			s.crowded = true
			return nil, &BusyError{}
		}
		r.left = slices.Delete(r.left, 0, 1)
	}
}

// race dials addresses beside each other. An attempt has a place, and frees it where it does not win.
type race struct {
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	left     []netip.AddrPort // not tried yet
	attempts chan attempt
	running  int
	first    error // of all that failed
}

// dialer sends no probes to keep a connection alive: each wait for a peer has a deadline of its own.
var dialer = net.Dialer{KeepAlive: -1}

type attempt struct {
	place *place
	conn  net.Conn
	err   error
}

// run begins with the place at hand, and goes on with those addresses that are left at which try gives one. It ends with
// the attempt that wins, or with the last one that failed.
func (r *race) run(ctx context.Context, p *place, try func(netip.AddrPort) *place) attempt {
	if len(r.left) == 0 {
		return r.alone(ctx, p)
	}
	r.attempts = make(chan attempt)
	ctx, cancel := context.WithCancel(ctx)
	defer r.finish(cancel)
	r.start(ctx, p)
	next := func() {
		if p := try(r.left[0]); p != nil {
			r.left = r.left[1:]
			r.start(ctx, p)
		}
	}
	for {
		var delay <-chan time.Time
		if len(r.left) > 0 {
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
			a.place.free()
			if r.first == nil {
				r.first = a.err
			}
			if len(r.left) > 0 && ctx.Err() == nil {
				next()
			}
			if r.running == 0 {
				return a
			}
		}
	}
}

// alone is for the last address, most often the only one: it has nobody to race against.
func (r *race) alone(ctx context.Context, p *place) attempt {
	conn, err := r.dial(ctx, "tcp", p.address.String())
	if err != nil {
		p.free()
		if r.first == nil {
			r.first = err
		}
	}
	return attempt{p, conn, err}
}

func (r *race) start(ctx context.Context, p *place) {
	r.running++
	go func() {
		conn, err := r.dial(ctx, "tcp", p.address.String())
		r.attempts <- attempt{p, conn, err}
	}()
}

// finish ends what has not won.
func (r *race) finish(cancel context.CancelFunc) {
	cancel()
	for ; r.running > 0; r.running-- {
		late := <-r.attempts
		if late.err == nil {
			_ = late.conn.Close()
		}
		late.place.free()
	}
}

// orBusy is err, or what stands behind it where a caller was left waiting for a place while the connection timeout ran.
func (s *session) orBusy(ctx context.Context, err error) error {
	if err == nil || !s.crowded || ctx.Err() != nil {
		return err
	}
	s.crowded = false
	return &dicomnet.OpError{Step: dicomnet.StepConnect, Err: &BusyError{}}
}
