// Package listener accepts the connections of callers: at most a number in total and from one address. If there are as many, one that
// does nothing gives way to a new one. It notices that a caller left while its request runs, whatever the caller sent before.
package listener

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"dicom-qr-gateway/internal/principal"
)

// Options are the limits of a Listener.
type Options struct {
	// Max is how many connections may be open at once; zero: any number. One address gets at most three quarters of them.
	Max int
	// Exempt reports whether the limit of one address does not apply to it, as for a proxy through which many callers come. nil: never.
	Exempt func(netip.Addr) bool
}

// Listener accepts connections. If too many are open, it closes one for each new one: of the address that has the most, the one on
// which nothing was completed for longest, a connection between requests or one whose request has not arrived completely. One with a
// complete request is never closed for another: if there are only such, the new one is closed.
type Listener struct {
	net.Listener
	limit   int // zero: none
	share   int // of one address
	exempt  func(netip.Addr) bool
	watched atomic.Int32 // requests that run
	sweeps  atomic.Bool  // the sweeper is running

	mu       sync.Mutex
	open     []*Connection
	callers  map[netip.Addr]*caller // exactly those with connections
	draining bool
	stats    Stats
	sweeper  *time.Timer
}

// Stats counts connections since the start, except for Open.
type Stats struct {
	Open    int    // now
	Yielded uint64 // closed for a new one
	Refused uint64 // closed because none could give way
}

// caller counts the connections of one address.
type caller struct {
	connections int
	exempt      bool
}

type state int

const (
	fresh  state = iota // no request header has arrived completely, perhaps not even the TLS handshake
	active              // a request arrives, runs, or is being answered
	idle                // between requests
)

// idleGrace is how much longer a connection that was used before may wait for a request than a new one: it shows a caller that is
// still there, and a flood of new connections that send nothing closes itself.
const idleGrace = 10 * time.Second

// New returns a Listener that accepts the connections of l.
func New(l net.Listener, o Options) *Listener {
	return &Listener{Listener: l, limit: o.Max, share: o.Max - o.Max/4, exempt: o.Exempt, callers: map[netip.Addr]*caller{}}
}

// Affordable returns limit, or half of the files that this process may have open if that is less: the other half is for associations.
func Affordable(limit int) int {
	if files := openFiles(); files > 0 {
		return max(min(limit, files/2), 1)
	}
	return limit
}

// Accept waits for the next connection, which is a *Connection.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &Connection{Conn: conn, listener: l, address: addressOf(conn)}
		_, c.socket = conn.(syscall.Conn)
		yielding, ok := l.add(c)
		if yielding != nil {
			_ = yielding.Conn.Close()
		}
		if ok {
			return c, nil
		}
		_ = conn.Close()
	}
}

// addressOf returns the address of the peer; the zero value if it has none.
func addressOf(conn net.Conn) netip.Addr {
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return principal.Network(tcp.AddrPort().Addr())
	}
	return netip.Addr{}
}

// add counts the connection. It returns the one that gives way to it, if any, which it counts no longer, and false if there are too
// many and none gives way.
func (l *Listener) add(c *Connection) (yielding *Connection, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining {
		return nil, false
	}
	from := l.callers[c.address]
	if from == nil {
		from = &caller{exempt: !c.address.IsValid() || l.exempt != nil && l.exempt(c.address)}
	}
	if full := l.limit > 0 && len(l.open) >= l.limit; full || l.limit > 0 && !from.exempt && from.connections >= l.share {
		within := from // its share
		if full && (from.exempt || from.connections < l.share) {
			within = nil
		}
		if yielding = l.yielding(within); yielding == nil {
			l.stats.Refused++
			return nil, false
		}
		l.stats.Yielded++
		l.forget(yielding)
	}
	l.callers[c.address] = from
	from.connections++
	c.caller, c.index = from, len(l.open)
	l.open = append(l.open, c)
	c.change(fresh)
	return yielding, true
}

// yielding returns the connection that gives way to a new one, of the caller, or of any if it is nil; nil if there is none.
func (l *Listener) yielding(of *caller) *Connection {
	var found *Connection
	for _, c := range l.open {
		if (of == nil || c.caller == of) && c.working.Load() == 0 && (found == nil || c.yieldsBefore(found)) {
			found = c
		}
	}
	return found
}

func (c *Connection) yieldsBefore(other *Connection) bool {
	switch {
	case c.caller.exempt != other.caller.exempt:
		return other.caller.exempt
	case c.caller.connections != other.caller.connections:
		return c.caller.connections > other.caller.connections
	default:
		return c.since.Before(other.since)
	}
}

// remove counts the connection no longer.
func (l *Listener) remove(c *Connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(c)
}

func (l *Listener) forget(c *Connection) {
	if c.caller == nil {
		return
	}
	last := l.open[len(l.open)-1]
	l.open[c.index], last.index = last, c.index
	l.open[len(l.open)-1] = nil
	l.open = l.open[:len(l.open)-1]
	if c.caller.connections--; c.caller.connections == 0 {
		delete(l.callers, c.address)
	}
	c.caller = nil
}

func (c *Connection) change(to state) {
	c.state, c.since = to, time.Now()
	if to == idle {
		c.since = c.since.Add(idleGrace)
	}
}

// Follow is the ConnState callback of net/http.
func (l *Listener) Follow(conn net.Conn, state http.ConnState) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	c, ok := conn.(*Connection)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateActive:
		c.change(active)
	case http.StateIdle:
		c.change(idle)
	case http.StateNew, http.StateHijacked, http.StateClosed:
	}
}

// CloseFresh closes the connections on which no complete request header has arrived, and accepts no more. http.Server.Shutdown waits
// for them because a request may be arriving; but most of them were opened in advance. A request that is just arriving gets what it
// would get a moment later, a closed connection.
func (l *Listener) CloseFresh() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = true
	for _, c := range l.open {
		if c.state == fresh {
			_ = c.Conn.Close()
		}
	}
}

// Stats returns the numbers of connections.
func (l *Listener) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.stats
	now.Open = len(l.open)
	return now
}
