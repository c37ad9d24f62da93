package pool

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// maxAddresses caps the addresses that are dialled for one operation.
const maxAddresses = 16

// resolve finds the addresses of the peer, once an operation, so that the whole operation goes to addresses that
// Options.Allow has permitted. No other function turns names into addresses or judges them.
func (s *Session) resolve(ctx context.Context) error {
	if len(s.addresses) > 0 {
		return nil
	}
	addresses, err := s.permitted(ctx)
	if err != nil {
		step := StepResolve
		if _, notAllowed := errors.AsType[*NotAllowedError](err); notAllowed {
			step = dicomnet.StepConnect
		}
		return &dicomnet.OpError{Step: step, Err: err}
	}
	for _, address := range addresses[:min(len(addresses), maxAddresses)] {
		s.addresses = append(s.addresses, netip.AddrPortFrom(address, s.peer.port()))
	}
	return nil
}

// permitted returns the addresses at which the peer may be dialled. If no entry names the peer, a name without an address
// gives the same error as one that is not permitted: a caller must not learn from it which names DNS has. A named PACS is
// permitted: its address is the operator's.
func (s *Session) permitted(ctx context.Context) ([]netip.Addr, error) {
	allow, host, port := s.pool.options.Allow, s.peer.Host, s.peer.port()
	if s.peer.Settings != nil {
		allow = nil
	}
	address, err := netip.ParseAddr(host)
	addresses := []netip.Addr{address.Unmap()}
	if err != nil {
		named := allow.permitsName(host, port)
		if !named && !allow.hasAddresses(port) {
			return nil, &NotAllowedError{}
		}
		addresses, err = s.lookup(ctx)
		if err != nil && !named && ctx.Err() == nil {
			return nil, &NotAllowedError{}
		}
		if err != nil {
			return nil, err
		}
	}
	permitted := allow.permitted(host, port, addresses)
	if len(permitted) == 0 {
		return nil, &NotAllowedError{}
	}
	return permitted, nil
}

// lookup resolves the host name within the connection timeout.
func (s *Session) lookup(ctx context.Context) (_ []netip.Addr, err error) {
	ctx, end := s.observe(ctx, StepResolve)
	defer func() { end(err) }()
	bounded := ctx
	if limit := s.pool.timeouts(&s.peer).Connection; limit > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	lookup := s.pool.options.LookupHost
	if lookup == nil {
		lookup = net.DefaultResolver.LookupHost
	}
	began := time.Now()
	answers, err := lookup(bounded, s.peer.Host)
	s.resolving = time.Since(began)
	var slow net.Error
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case bounded.Err() != nil, errors.As(err, &slow) && slow.Timeout():
		return nil, &dicomnet.TimeoutError{Timer: dicomnet.TimerConnection}
	default:
		return nil, &dicomnet.ConnectError{Err: err}
	}
	var addresses []netip.Addr
	for _, answer := range answers {
		if address, err := netip.ParseAddr(answer); err == nil && !slices.Contains(addresses, address.Unmap()) {
			addresses = append(addresses, address.Unmap())
		}
	}
	if len(addresses) == 0 {
		return nil, &dicomnet.ConnectError{Err: &net.DNSError{Err: "no address", Name: s.peer.Host, IsNotFound: true}}
	}
	return addresses, nil
}
