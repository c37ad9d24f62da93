package dicomtest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Pipe returns the two ends of a connection in memory. In contrast to net.Pipe, each direction has a buffer of capacity bytes (0: no
// limit), as sockets have, so that a writer does not wait for the reader. Deadlines work, also in a testing/synctest bubble.
func Pipe(capacity int) (net.Conn, net.Conn) {
	ab, ba := newStream(capacity), newStream(capacity)
	return &pipeEnd{read: ba, write: ab}, &pipeEnd{read: ab, write: ba}
}

// stream is one direction.
type stream struct {
	mu       sync.Mutex
	changed  *sync.Cond
	buf      []byte
	capacity int
	closed   bool // by either end
}

func newStream(capacity int) *stream {
	s := &stream{capacity: capacity}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// deadline wakes those who wait for a stream when it expires. The mutex of the stream guards it.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) set(s *stream, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = at
	if wait := time.Until(at); !at.IsZero() && wait > 0 { // Broadcast suffices for a deadline in the past
		d.timer = time.AfterFunc(wait, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.changed.Broadcast()
		})
	}
	s.changed.Broadcast()
}

func (d *deadline) expired() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

type pipeEnd struct {
	read, write                 *stream
	readDeadline, writeDeadline deadline
}

func (e *pipeEnd) Read(b []byte) (int, error) {
	s := e.read
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case e.readDeadline.expired():
			return 0, os.ErrDeadlineExceeded
		case len(s.buf) > 0:
			n := copy(b, s.buf)
			s.buf = s.buf[n:]
			s.changed.Broadcast()
			return n, nil
		case s.closed:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (e *pipeEnd) Write(b []byte) (n int, err error) {
	s := e.write
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(b) > 0 {
		free := len(b)
		if s.capacity > 0 {
			free = min(free, s.capacity-len(s.buf))
		}
		switch {
		case s.closed:
			return n, io.ErrClosedPipe
		case e.writeDeadline.expired():
			return n, os.ErrDeadlineExceeded
		case free > 0:
			s.buf = append(s.buf, b[:free]...)
			b, n = b[free:], n+free
			s.changed.Broadcast()
		default:
			s.changed.Wait()
		}
	}
	return n, nil
}

func (e *pipeEnd) Close() error {
	for _, s := range []*stream{e.read, e.write} {
		s.mu.Lock()
		s.closed = true
		s.changed.Broadcast()
		s.mu.Unlock()
	}
	_ = e.SetDeadline(time.Time{})
	return nil
}

func (e *pipeEnd) SetDeadline(t time.Time) error {
	_ = e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}

func (e *pipeEnd) SetReadDeadline(t time.Time) error {
	e.readDeadline.set(e.read, t)
	return nil
}

func (e *pipeEnd) SetWriteDeadline(t time.Time) error {
	e.writeDeadline.set(e.write, t)
	return nil
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

func (*pipeEnd) LocalAddr() net.Addr  { return pipeAddr{} }
func (*pipeEnd) RemoteAddr() net.Addr { return pipeAddr{} }
