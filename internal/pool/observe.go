package pool

import (
	"context"
	"crypto/tls"
	"net"

	"dicom-qr-gateway/dicomnet"
)

// Steps of the pool, beside those of dicomnet.
const (
	// StepResolve is name resolution, which dicomnet counts as part of connect.
	StepResolve dicomnet.Step = "resolve"
	// StepQueue is the wait for a free slot.
	StepQueue dicomnet.Step = "queue"
	// StepReuse takes an idle association. It fails if the peer has just ended that association.
	StepReuse dicomnet.Step = "reuse"
)

// PeerStep is a part of an operation that takes time of its own: resolve (of a name), queue, reuse, or else connect, tls and
// associate, then echo, find, one move a study, release. The steps of one operation do not overlap, but release runs after
// the answer; the release of an idle association belongs to no operation.
type PeerStep struct {
	Name dicomnet.Step
	Peer Peer
}

// Observer watches the steps of one operation. Step is called on the operation's goroutine when a step begins. The returned
// context replaces ctx during the step; end is called once, at the end, with the error of the step or nil.
type Observer interface {
	Step(ctx context.Context, s PeerStep) (during context.Context, end func(err error))
}

// Observe begins a step of the operation and reports it to the session's Observer.
func (s *Session) Observe(ctx context.Context, name dicomnet.Step) (during context.Context, end func(err error)) {
	return s.observe(ctx, name)
}

func (s *Session) observe(ctx context.Context, name dicomnet.Step) (during context.Context, end func(err error)) {
	if s.observer == nil {
		return ctx, func(error) {}
	}
	return s.observer.Step(ctx, PeerStep{Name: name, Peer: s.peer})
}

// negotiate calls dicomnet.Dial and observes its connect, tls and associate. It dials under the name of the peer, against which
// certificates are checked; cfg.DialContext connects to the resolved addresses.
func (s *Session) negotiate(ctx context.Context, cfg dicomnet.Config) (*dicomnet.Association, error) {
	if s.observer == nil {
		assoc, err := dicomnet.Dial(ctx, s.peer.Address(), cfg)
		return assoc, s.orBusy(ctx, err)
	}
	_, end := s.observe(ctx, dicomnet.StepConnect)
	next := func(step dicomnet.Step) {
		end(nil)
		_, end = s.observe(ctx, step)
	}
	var trace dicomnet.Trace
	if cfg.Trace != nil {
		trace = *cfg.Trace
	}
	connected, secured := trace.Connected, trace.Secured
	trace.Connected = func(traced context.Context, remote net.Addr) {
		if connected != nil {
			connected(traced, remote)
		}
		if cfg.TLS != nil {
			next(dicomnet.StepTLS)
		} else {
			next(dicomnet.StepAssociate)
		}
	}
	trace.Secured = func(traced context.Context, state tls.ConnectionState) {
		if secured != nil {
			secured(traced, state)
		}
		next(dicomnet.StepAssociate)
	}
	cfg.Trace = &trace
	assoc, err := dicomnet.Dial(ctx, s.peer.Address(), cfg)
	trace.Connected, trace.Secured = connected, secured // the association outlives the operation
	if err = s.orBusy(ctx, err); err != nil {
		end(Failure(ctx, dicomnet.StepAssociate, err))
		return nil, err
	}
	end(nil)
	return assoc, nil
}

// release closes the association. Its errors were reported where they arose; no answer waits for it.
func (s *Session) release(ctx context.Context, assoc *dicomnet.Association) {
	_, end := s.observe(ctx, dicomnet.StepRelease)
	end(assoc.Close())
}
