package qr

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// attemptDelay is what one address gets before the next is tried beside it, so that one that does not answer does not use
// up the time of all (RFC 8305 section 5; net.Dialer waits as long).
const attemptDelay = 300 * time.Millisecond

// dial is DialContext of dicomnet.Config in the two steps that a net.Dialer takes as one.
func (d *doctor) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	d.begin(StepResolve)
	addresses, err := d.resolve(ctx, d.peer.Host)
	if err != nil {
		return nil, err
	}
	d.step().Addresses = addresses
	d.passed()
	d.begin(dicomnet.StepConnect)
	conn, address, err := d.connect(ctx, addresses, strconv.Itoa(d.peer.Port))
	if err != nil {
		return nil, err
	}
	d.connected(address)
	return conn, nil
}

func (d *doctor) resolve(ctx context.Context, host string) ([]string, error) {
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{host}, nil
	}
	lookup := d.gateway.options.LookupHost
	if lookup == nil {
		lookup = net.DefaultResolver.LookupHost
	}
	addresses, err := lookup(ctx, host)
	if err == nil && len(addresses) == 0 {
		err = &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	return addresses, err
}

// connect gives the first connection that comes about, and to which address. The addresses are tried in their order, the
// next one when those before it failed or attemptDelay is over. Where all fail, the error is the first.
func (d *doctor) connect(ctx context.Context, hosts []string, port string) (net.Conn, string, error) {
	dial := d.gateway.options.DialContext
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	type attempt struct {
		conn    net.Conn
		address string
		err     error
	}
	ctx, cancel := context.WithCancel(ctx)
	attempts, running := make(chan attempt), 0
	defer func() {
		cancel()
		for ; running > 0; running-- {
			if late := <-attempts; late.err == nil {
				_ = late.conn.Close()
			}
		}
	}()
	next := func() {
		address := net.JoinHostPort(hosts[0], port)
		hosts = hosts[1:]
		running++
		go func() {
			conn, err := dial(ctx, "tcp", address)
			attempts <- attempt{conn, address, err}
		}()
	}
	next()
	var first error
	for {
		var delay <-chan time.Time
		if len(hosts) > 0 {
			delay = time.After(attemptDelay)
		}
		select {
		case <-delay:
			next()
		case a := <-attempts:
			running--
			if a.err == nil {
				return a.conn, a.address, nil
			}
			if first == nil {
				first = a.err
			}
			if len(hosts) > 0 {
				next()
			} else if running == 0 {
				return nil, "", first
			}
		}
	}
}
