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
	// Exempt reports whether the limit of one address does not apply to it, as for a proxy through which many callers come. It gets the
	// address of a connection, also of one that counts with its network. nil: never.
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

type state int

const (
	fresh  state = iota // no request header has arrived completely, perhaps not even the TLS handshake
	active              // a request arrives, runs, or is being answered
	idle                // between requests
)

// New returns a Listener that accepts the connections of l.
func New(l net.Listener, o Options) *Listener {
	return &Listener{Listener: l, limit: o.Max, share: o.Max - o.Max/4, exempt: o.Exempt, callers: map[netip.Addr]*caller{}}
}

// Affordable returns limit, or half of the files that this process may have open if that is less: the other half is for associations.
// A limit of zero is none, as in [Options].
func Affordable(limit int) int {
	files := openFiles()
	if files == 0 {
		return limit
	}
	affordable := max(files/2, 1)
	if limit == 0 {
		return affordable
	}
	return min(limit, affordable)
}

// Accept waits for the next connection, which is a *Connection.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &Connection{Conn: conn, listener: l}
		c.address, c.exempt = l.callerOf(conn)
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

// callerOf returns the address with which the connection counts: that of its peer, or its network if the limit of one address applies
// to it. exempt reports that the limit does not, as for a connection without an address.
func (l *Listener) callerOf(conn net.Conn) (address netip.Addr, exempt bool) {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, true
	}
	address = tcp.AddrPort().Addr().Unmap().WithZone("")
	if l.exempt != nil && l.exempt(address) {
		return address, true
	}
	return principal.Network(address), false
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
		from = &caller{exempt: c.exempt}
	}
	if full := l.limit > 0 && len(l.open) >= l.limit; full || l.limit > 0 && !from.exempt && from.connections >= l.share {
		if !from.exempt && from.connections >= l.share {
			yielding = from.yielding()
		} else {
			yielding = yieldingOf(l.callers)
		}
		if yielding == nil {
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
	c.place()
	return yielding, true
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
	c.leave()
	last := l.open[len(l.open)-1]
	l.open[c.index], last.index = last, c.index
	l.open[len(l.open)-1] = nil
	l.open = l.open[:len(l.open)-1]
	if c.caller.connections--; c.caller.connections == 0 {
		delete(l.callers, c.address)
	}
	c.caller = nil
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
		c.state = active
		c.place()
	case http.StateIdle:
		c.state = idle
		c.place()
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
