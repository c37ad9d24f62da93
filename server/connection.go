package server

import (
	"context"
	"net"
)

// connection is a caller's, without TLS. It can keep the beginning of an answer back until the rest is there: net/http sends
// its buffer of 4 KB when that is full, and so most answers in two parts, each of which wakes the caller.
//
// net/http writes to a connection from one goroutine at a time, and so may hold be called.
type connection struct {
	net.Conn
	awaited int // bytes that come, before which nothing is to be sent
	held    []byte
}

// maxHeld is more than net/http ever has in its buffer.
const maxHeld = 16 << 10

// hold has bytes that are surely about to be written leave together. A nil connection does nothing.
func (c *connection) hold(bytes int) {
	if c != nil {
		c.awaited = bytes
	}
}

// Write sends b behind what was held, or holds it, too. The error of what was held comes with the write that sends it.
func (c *connection) Write(b []byte) (int, error) {
	if c.awaited > len(b) && len(c.held)+len(b) <= maxHeld {
		c.awaited -= len(b)
		c.held = append(c.held, b...)
		return len(b), nil
	}
	c.awaited = 0
	if len(c.held) == 0 {
		return c.Conn.Write(b)
	}
	held := len(c.held)
	both := net.Buffers{c.held, b}
	n, err := both.WriteTo(c.Conn)
	c.held = c.held[:0]
	return max(int(n)-held, 0), err
}

// CloseWrite is what net/http does before it closes a connection on which the caller may still be sending.
func (c *connection) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// listener makes connections of what comes over TCP.
type listener struct{ net.Listener }

// Accept waits for the next connection.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return &connection{Conn: tcp}, err
	}
	return c, err
}

type connectionKey struct{}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	if plain, ok := c.(*connection); ok {
		return context.WithValue(ctx, connectionKey{}, plain)
	}
	return ctx
}

// connectionOf is that of the request which ctx belongs to; nil where it cannot hold anything.
func connectionOf(ctx context.Context) *connection {
	c, _ := ctx.Value(connectionKey{}).(*connection)
	return c
}

// leastHead is no more than what stands before the body of a 200.
var leastHead = func() int {
	n := len("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n")
	for name, values := range everyAnswer {
		n += len(name) + len(": \r\n") + len(values[0])
	}
	return n
}()
