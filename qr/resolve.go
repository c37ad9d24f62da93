package qr

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// maxAddresses of a name are tried: one request shall not knock at all the doors that a name server cares to list.
const maxAddresses = 16

// resolve finds the addresses of the peer, once an operation: all of it then goes to addresses that Options.Allow has
// judged. This is the only place where names become addresses, and where those are judged.
func (s *session) resolve(ctx context.Context) error {
	if len(s.addresses) > 0 {
		return nil
	}
	addresses, err := s.permitted(ctx)
	if err != nil {
		return &dicomnet.OpError{Step: dicomnet.StepConnect, Err: err}
	}
	for _, address := range addresses[:min(len(addresses), maxAddresses)] {
		s.addresses = append(s.addresses, netip.AddrPortFrom(address, s.port()))
	}
	return nil
}

func (s *session) port() uint16 { return uint16(s.peer.Port) }

// permitted are the addresses at which the peer may be dialled. Where no entry names the peer, a name that cannot
// be resolved is answered like one that may not be dialled: what the name servers know is none of that caller's business.
func (s *session) permitted(ctx context.Context) ([]netip.Addr, error) {
	allow, host := s.gateway.options.Allow, s.peer.Host
	address, err := netip.ParseAddr(host)
	addresses := []netip.Addr{address.Unmap()}
	if err != nil {
		named := allow.names(host, s.port())
		if !named && !allow.depends(s.port()) {
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
	permitted := allow.permitted(host, s.port(), addresses)
	if len(permitted) == 0 {
		return nil, &NotAllowedError{}
	}
	return permitted, nil
}

// lookup asks the name servers, within the connection timeout.
func (s *session) lookup(ctx context.Context) (_ []netip.Addr, err error) {
	ctx, end := s.observe(ctx, StepResolve)
	defer func() { end(err) }()
	inTime := ctx
	if limit := s.gateway.options.Timeouts.Connection; limit > 0 {
		var cancel context.CancelFunc
		inTime, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	lookup := s.gateway.options.LookupHost
	if lookup == nil {
		lookup = net.DefaultResolver.LookupHost
	}
	began := time.Now()
	answers, err := lookup(inTime, s.peer.Host)
	s.resolving = time.Since(began)
	var slow net.Error
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case inTime.Err() != nil, errors.As(err, &slow) && slow.Timeout():
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
