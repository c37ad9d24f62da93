package server

import (
	"context"
	"crypto/tls"
	"net"

	"dicom-qr-gateway/server/access"
)

// connection is the connection of a caller without TLS. It can hold back the beginning of an answer until the rest is written:
// net/http sends its buffer of 4 KB when that is full, and so sends most answers in two parts, each of which wakes the caller.
//
// net/http writes to a connection from one goroutine at a time; hold must be called from the same goroutine.
type connection struct {
	net.Conn
	awaited int // bytes still to be written before anything is sent
	held    []byte
}

// maxHeld is larger than net/http's buffer.
const maxHeld = 16 << 10

// hold sends the next bytes, which must be about to be written, together. A nil connection does nothing.
func (c *connection) hold(bytes int) {
	if c != nil {
		c.awaited = bytes
	}
}

// Write sends b after the held bytes, or holds it too. An error of held bytes is returned by the write that sends them.
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

// CloseWrite is called by net/http before it closes a connection on which the caller may still be sending.
func (c *connection) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// listener wraps accepted TCP connections in a connection.
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

// withConnection is the ConnContext of the server. net/http offers no other way from a request to its connection.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	if _, secure := c.(*tls.Conn); secure {
		return access.WithConnection(ctx)
	}
	if plain, ok := c.(*connection); ok {
		return context.WithValue(ctx, connectionKey{}, plain)
	}
	return ctx
}

// connectionOf returns the connection of the request with ctx; nil if it cannot hold answers back.
func connectionOf(ctx context.Context) *connection {
	c, _ := ctx.Value(connectionKey{}).(*connection)
	return c
}

// minHeadLength is a lower bound of the length of the head of a 200.
var minHeadLength = func() int {
	n := len("HTTP/1.1 200 OK\r\nContent-Type: " + jsonUTF8 + "\r\nContent-Length: 1\r\n\r\n")
	for name, values := range commonHeader {
		n += len(name) + len(": \r\n") + len(values[0])
	}
	return n
}()
