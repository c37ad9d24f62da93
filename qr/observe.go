package qr

import (
	"context"
	"crypto/tls"
	"net"

	"dicom-qr-gateway/dicomnet"
)

const (
	// StepQueue is the wait for a free place at the peer.
	StepQueue dicomnet.Step = "queue"
	// StepReuse takes an association that was kept. It fails where the peer ended that in this very moment.
	StepReuse dicomnet.Step = "reuse"
)

// Step is a part of an operation that takes time of its own: resolve (of a name), queue, reuse, or else connect, tls and
// associate, echo, find, one move a study, release. Steps of one operation do not overlap, but release runs behind the
// answer; that of an association which was kept is no operation's.
type Step struct {
	Name dicomnet.Step
	Peer Peer
}

// Observer is called when a step begins, on the goroutine of the operation. The context that it gives takes the place of
// ctx during the step; the function is called once, at the end, with what made the step fail, or nil.
type Observer func(ctx context.Context, s Step) (during context.Context, end func(err error))

// observe begins a step for Options.Observe.
func (s *session) observe(ctx context.Context, name dicomnet.Step) (during context.Context, end func(err error)) {
	if s.gateway.options.Observe == nil {
		return ctx, unobserved
	}
	return s.gateway.options.Observe(ctx, Step{Name: name, Peer: s.peer})
}

func unobserved(error) {}

// negotiate is dicomnet.Dial, of which connect, tls and associate are observed.
func (s *session) negotiate(ctx context.Context, address string, cfg dicomnet.Config) (*dicomnet.Association, error) {
	if s.gateway.options.Observe == nil {
		assoc, err := dicomnet.Dial(ctx, address, cfg)
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
	assoc, err := dicomnet.Dial(ctx, address, cfg)
	trace.Connected, trace.Secured = connected, secured // the association outlives the operation
	if err = s.orBusy(ctx, err); err != nil {
		end(failure(ctx, dicomnet.StepAssociate, err))
		return nil, err
	}
	end(nil)
	return assoc, nil
}

// release ends the association.
func (s *session) release(ctx context.Context, assoc *dicomnet.Association) {
	_, end := s.observe(ctx, dicomnet.StepRelease)
	// What ended badly has told so where it did; the answer does not wait for it.
	end(assoc.Close())
}
