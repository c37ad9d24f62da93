package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Connection is the connection of a caller, below TLS. Without TLS, it can hold back the beginning of an answer until the rest is
// written: net/http sends its buffer of 4 KB when that is full, and so sends most answers in two parts, each of which wakes the caller.
//
// net/http writes to a connection from one goroutine at a time; Hold must be called from the same goroutine.
type Connection struct {
	net.Conn
	listener *Listener
	address  netip.Addr // without the port; the network of an IPv6 address, unless it is exempt
	exempt   bool       // the limit of one address does not apply
	socket   bool       // Conn is one of the system
	closed   sync.Once

	// Guarded by Listener.mu:
	caller         *caller // that has this connection; nil: not counted
	index          int     // in Listener.open
	state          state
	working        int         // requests that must not be cut off
	order          *order      // nil: in none
	before, behind *Connection // in order
	since          time.Time   // in order; later if idle, by idleGrace

	depart atomic.Pointer[context.CancelFunc] // of the request that runs; nil: none
	gone   atomic.Bool                        // the caller left while a request ran

	patience atomic.Int64 // in which a write must make progress; zero: the deadline of the connection counts

	awaited int // bytes still to be written before anything is sent
	held    []byte
}

// maxHeld is larger than net/http's buffer.
const maxHeld = 16 << 10

// Hold sends the next bytes, which must be about to be written, together. A nil connection does nothing.
func (c *Connection) Hold(bytes int) {
	if c != nil {
		c.awaited = bytes
	}
}

// Write sends b after the held bytes, or holds it too. An error of held bytes is returned by the write that sends them.
func (c *Connection) Write(b []byte) (int, error) {
	if c.awaited > len(b) && len(c.held)+len(b) <= maxHeld {
		c.awaited -= len(b)
		c.held = append(c.held, b...)
		return len(b), nil
	}
	c.awaited = 0
	held := len(c.held)
	if held == 0 && c.patience.Load() == 0 {
		return c.Conn.Write(b)
	}
	parts := net.Buffers{b}
	if held > 0 {
		parts = net.Buffers{c.held, b}
	}
	n, err := c.send(&parts)
	c.held = c.held[:0]
	return max(int(n)-held, 0), err
}

// send writes the parts. As long as Patience applies, the deadline moves on whenever the caller has taken something.
func (c *Connection) send(parts *net.Buffers) (written int64, err error) {
	for {
		patience := time.Duration(c.patience.Load())
		if patience > 0 {
			// An error is that of a connection that is closed, which the write returns too.
			_ = c.SetWriteDeadline(time.Now().Add(patience))
			if c.patience.Load() == 0 { // CutOff came in between
				_ = c.SetWriteDeadline(past)
			}
		}
		n, err := parts.WriteTo(c.Conn)
		written += n
		if err == nil || n == 0 || patience == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
	}
}

// Patience sets how long a write may take without progress, in place of a deadline for a whole write. Zero ends that, and the deadline
// of the connection counts again. A nil connection does nothing.
func (c *Connection) Patience(d time.Duration) {
	if c != nil {
		c.patience.Store(int64(d))
	}
}

// CutOff ends the write that runs, and those to come. A nil connection does nothing. It may be called from any goroutine.
func (c *Connection) CutOff() {
	if c != nil {
		c.patience.Store(0)
		_ = c.SetWriteDeadline(past)
	}
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// CloseWrite is called by net/http before it closes a connection on which the caller may still be sending.
func (c *Connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the connection, which then counts no longer.
func (c *Connection) Close() error {
	c.closed.Do(func() { c.listener.remove(c) })
	return c.Conn.Close()
}

// Work marks the connection as one that must not be closed for a new one, until Rest is called as often. A nil connection does
// nothing.
func (c *Connection) Work() { c.work(1) }

// Rest takes back one call of Work.
func (c *Connection) Rest() { c.work(-1) }

func (c *Connection) work(more int) {
	if c == nil {
		return
	}
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.working += more
	c.place()
}

type connectionKey struct{}

// With is a ConnContext of net/http, which offers no other way from a request to its connection.
func With(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	if accepted, ok := c.(*Connection); ok {
		return context.WithValue(ctx, connectionKey{}, accepted)
	}
	return ctx
}

// Of returns the connection of the request with ctx; nil if it was not accepted by a Listener.
func Of(ctx context.Context) *Connection {
	c, _ := ctx.Value(connectionKey{}).(*Connection)
	return c
}
