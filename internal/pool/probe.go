package pool

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"

	"dicom-qr-gateway/dicomnet"
)

// Probe receives the result of each stage of Session.Probe, in the order of its methods and on the goroutine of the caller.
type Probe interface {
	Resolving()
	Resolved(addresses []netip.AddrPort)     // in the order in which they are tried
	Connecting()                             // after the wait for a slot, also if there was none
	Connected(address, local netip.AddrPort) // local is not valid if it is not known
	Secured(state tls.ConnectionState)       // only if the peer has TLS set
	Failed(peer dicomnet.PeerInfo)           // after an attempt that failed: what the peer said of itself, zero if nothing
}

// Probe opens a new association on which the SOP classes are proposed and reports each stage to p. It takes no idle
// association, keeps none, and does not retry a rejection: the caller wants to see every stage and the first answer of the peer. The
// caller must call End.
func (s *Session) Probe(ctx context.Context, p Probe, sopClasses ...string) error {
	if err := s.check(); err != nil {
		return err
	}
	p.Resolving()
	if err := s.resolve(ctx); err != nil {
		return err
	}
	p.Resolved(s.addresses)
	err := s.acquire(ctx)
	p.Connecting()
	if err != nil {
		return err
	}
	cfg := s.config(sopClasses)
	cfg.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := s.connect(ctx)
		if err == nil {
			local, _ := netip.ParseAddrPort(conn.LocalAddr().String())
			p.Connected(s.slot.address, local)
		}
		return conn, err
	}
	var trace dicomnet.Trace
	if cfg.Trace != nil {
		trace = *cfg.Trace
	}
	established := false
	secured, ended := trace.Secured, trace.Ended
	trace.Secured = func(ctx context.Context, state tls.ConnectionState) {
		p.Secured(state)
		if secured != nil {
			secured(ctx, state)
		}
	}
	trace.Ended = func(ctx context.Context, summary dicomnet.Summary) {
		if !established {
			p.Failed(summary.Peer)
		}
		if ended != nil {
			ended(ctx, summary)
		}
	}
	cfg.Trace = &trace
	assoc, err := s.negotiate(ctx, cfg)
	if err != nil {
		return err
	}
	s.assoc, established = assoc, true
	return nil
}
