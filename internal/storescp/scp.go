package storescp

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/messageid"
)

const (
	// connectionsPerAssociation times Options.MaxAssociations is how many connections may be open, with an association or without. Further
	// ones are closed.
	connectionsPerAssociation = 4
	// associationIdle is how long an association may be without a request. Some PACS keep theirs open from one C-MOVE to the next.
	associationIdle = 5 * time.Minute
)

// SCP is a storage SCP. It is safe for concurrent use.
type SCP struct {
	options Options
	book    *book
	hosts   *hosts

	mu           sync.Mutex
	closed       bool
	listeners    map[net.Listener]struct{}
	connections  map[*connection]struct{}
	byAddress    map[netip.Addr]int
	associations int                // accepted ones
	accepted     map[netip.Addr]int // the same by address
	wait         sync.WaitGroup
}

// New returns an SCP that listens nowhere yet.
func New(o Options) *SCP {
	if o.LookupHost == nil {
		o.LookupHost = net.DefaultResolver.LookupHost
	}
	if o.Background == nil {
		o.Background = context.Background()
	}
	return &SCP{
		options: o,
		book:    newBook(o.Grace, cmp.Or(o.MessageIDs, &messageid.Allocator{})),
		hosts:   &hosts{lookup: o.LookupHost, timeout: o.Timeouts.Connection, byName: map[string]*host{}},

		listeners: map[net.Listener]struct{}{}, connections: map[*connection]struct{}{}, byAddress: map[netip.Addr]int{},
		accepted: map[netip.Addr]int{},
	}
}

// AETitles returns the titles that the SCP answers to; none for nil.
func (s *SCP) AETitles() []string {
	if s == nil {
		return nil
	}
	return s.options.AETitles
}

// Listen accepts connections at a TCP address until Close, and returns the address with the port.
func (s *SCP) Listen(ctx context.Context, address string) (netip.AddrPort, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	s.wait.Go(func() { _ = s.Serve(l) })
	return addressOf(l.Addr()), nil
}

// Serve accepts connections on l until Close, and then returns net.ErrClosed. It owns l.
func (s *SCP) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = l.Close()
		return net.ErrClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	const longest = time.Second
	pause := time.Duration(0)
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.begin(conn)
		case errors.Is(err, net.ErrClosed):
			return net.ErrClosed
		default: // such as too many open files, which passes
			pause = min(max(2*pause, 5*time.Millisecond), longest)
			time.Sleep(pause)
		}
	}
}

// begin serves a connection on a goroutine of its own, or closes it if there are too many, or too many of one address.
func (s *SCP) begin(conn net.Conn) {
	c := &connection{scp: s, conn: conn, address: addressOf(conn.RemoteAddr())}
	c.server = c.newServer()
	most := connectionsPerAssociation * s.options.MaxAssociations
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.connections) >= most || s.byAddress[c.address.Addr()] >= share(most) {
		_ = conn.Close()
		return
	}
	s.connections[c] = struct{}{}
	s.byAddress[c.address.Addr()]++
	s.wait.Go(c.serve)
}

func (s *SCP) end(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.connections, c)
	decrement(s.byAddress, c.address.Addr())
	if c.accepted {
		s.associations--
		decrement(s.accepted, c.address.Addr())
	}
}

func decrement(counts map[netip.Addr]int, address netip.Addr) {
	if counts[address]--; counts[address] == 0 {
		delete(counts, address)
	}
}

// share returns how many connections or associations one address may have if most is the limit for all: others are served too.
func share(most int) int { return max(most*3/4, 1) }

// admit counts an association, or rejects it if there are too many, or too many of one address.
func (s *SCP) admit(c *connection) *dicomnet.RejectError {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.associations >= s.options.MaxAssociations || s.accepted[c.address.Addr()] >= share(s.options.MaxAssociations) {
		return &dicomnet.RejectError{Result: 2, Source: 3, Reason: 2}
	}
	s.associations++
	s.accepted[c.address.Addr()]++
	c.accepted = true
	return nil
}

// Close stops listening, aborts all associations, ends all leases, and waits until nothing runs any more. It does nothing for nil.
func (s *SCP) Close() {
	if s == nil {
		return
	}
	s.book.close()
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.connections {
		s.wait.Go(c.close)
	}
	s.mu.Unlock()
	s.wait.Wait()
}

// addressOf returns the address of a peer without a zone, and IPv4 as IPv4, as those of PACS are.
func addressOf(remote net.Addr) netip.AddrPort {
	address, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(address.Addr().Unmap().WithZone(""), address.Port())
}

// handshake makes the connection a DICOM TLS connection.
func (s *SCP) handshake(conn net.Conn) (net.Conn, error) {
	ctx := context.Background()
	if s.options.Timeouts.ACSE > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.options.Timeouts.ACSE)
		defer cancel()
	}
	secure := tls.Server(conn, s.options.TLS)
	return secure, secure.HandshakeContext(ctx)
}
