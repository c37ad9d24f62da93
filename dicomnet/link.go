package dicomnet

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"dicom-qr-gateway/dicomnet/pdu"
)

// errInterrupted is a read or write that a done context ended.
var errInterrupted = errors.New("interrupted")

// link is a transport connection that carries PDUs. Every read and every write
// has a deadline, and a context can interrupt both; what had been read of a PDU
// by then is kept, so that reading can go on. One goroutine reads and one
// writes; interrupt may be called from any.
type link struct {
	conn net.Conn
	// transport is conn without TLS.
	transport   net.Conn
	setQuickACK func(mode int) // nil: there is no such thing
	network     time.Duration

	buf          []byte // buf[r:w] is received and not yet consumed
	r, w         int
	bufferFilled bool // the last read ended where the buffer did: the next one will hardly wait
	// heard is that something came which nothing has acknowledged yet, neither we nor what we wrote.
	ackPending atomic.Bool

	received, sent         int64 // bytes
	pdusReceived, pdusSent int

	mu          sync.Mutex
	interrupted bool
}

// readBufferSize holds a PDU of the length that we advertise.
const readBufferSize = 16384 + pdu.HeaderLength

var readBuffers = sync.Pool{New: func() any { return new([readBufferSize]byte) }}

func newLink(conn net.Conn, network time.Duration) *link {
	transport := conn
	if c, ok := conn.(*tls.Conn); ok {
		transport = c.NetConn()
	}
	return &link{
		conn:        conn,
		transport:   transport,
		setQuickACK: quickACK(transport),
		network:     network,
		buf:         readBuffers.Get().(*[readBufferSize]byte)[:],
	}
}

// watch interrupts the link when ctx is done. The function returned ends that
// and takes the interruption back; once it has returned, ctx has no more bearing
// on the link. It must be called, and may be called again.
func (l *link) watch(ctx context.Context) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	interrupted := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		l.interrupt()
		close(interrupted)
	})
	stopped := false
	return func() {
		if stopped {
			return
		}
		stopped = true
		if !cancel() {
			<-interrupted
			l.resume()
		}
	}
}

func (l *link) unacknowledged() bool { return unacknowledged(l.transport) }

func (l *link) interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interrupted = true
	_ = l.conn.SetDeadline(time.Unix(1, 0))
}

// resume takes an interruption back.
func (l *link) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interrupted = false
	_ = l.conn.SetDeadline(time.Time{})
}

func (l *link) setDeadline(set func(time.Time) error, at time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.interrupted {
		return errInterrupted
	}
	return set(at)
}

// readPDU reads one PDU. Its body refers to the link's buffer until the next
// call. At most until for the whole of it, and at most the network timeout for
// each silence within it. Errors are io.EOF for an orderly end between two PDUs,
// io.ErrUnexpectedEOF within one, *TimeoutError, errInterrupted, a
// *pdu.FormatError for a header that is not acceptable, or the connection's own.
func (l *link) readPDU(until *deadline, maxData uint32) (pdu.Type, []byte, error) {
	if l.buf == nil {
		return 0, nil, net.ErrClosed
	}
	if err := l.fill(1, until); err != nil {
		return 0, nil, err
	}
	// A first byte that no PDU has is told before anything waits for five more.
	t := pdu.Type(l.buf[l.r])
	if !t.Known() {
		return t, nil, pdu.CheckHeader(t, 0, maxData)
	}
	if err := l.fill(pdu.HeaderLength, until); err != nil {
		return 0, nil, err
	}
	h := l.buf[l.r:]
	n := uint32(h[2])<<24 | uint32(h[3])<<16 | uint32(h[4])<<8 | uint32(h[5])
	if err := pdu.CheckHeader(t, n, maxData); err != nil {
		return t, nil, err
	}
	total := pdu.HeaderLength + int(n)
	if err := l.fill(total, until); err != nil {
		return 0, nil, err
	}
	body := l.buf[l.r+pdu.HeaderLength : l.r+total : l.r+total]
	l.r += total
	l.pdusReceived++
	return t, body, nil
}

// fill reads until n bytes are buffered. The buffer grows with what has come,
// never by what was announced.
func (l *link) fill(n int, until *deadline) error {
	if l.r == l.w {
		l.r, l.w = 0, 0
	}
	for l.w-l.r < n {
		if l.r > 0 && l.r+n > len(l.buf) {
			l.w = copy(l.buf, l.buf[l.r:l.w])
			l.r = 0
		}
		if l.w == len(l.buf) {
			grown := make([]byte, min(2*len(l.buf), max(n, len(l.buf)+1)))
			copy(grown, l.buf[:l.w])
			l.replaceBuffer(grown)
		}
		c := until.start()
		if l.w > l.r {
			c = c.earlier(deadlineAfter(l.network, TimerNetwork))
		}
		if err := l.readSome(c); err != nil {
			return err
		}
	}
	return nil
}

func (l *link) readSome(c deadline) error {
	if err := l.setDeadline(l.conn.SetReadDeadline, c.at); err != nil {
		return err
	}
	l.requestACK()
	k, err := l.conn.Read(l.buf[l.w:])
	l.w += k
	if k > 0 {
		l.ackPending.Store(true)
	}
	l.bufferFilled = l.w == len(l.buf)
	l.received += int64(k)
	switch {
	case k > 0 || err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return l.deadlineError(c)
	case errors.Is(err, io.EOF) && l.w > l.r:
		return io.ErrUnexpectedEOF
	}
	return err
}

// acknowledge has the kernel acknowledge at once what the peer may wait with the rest for, because Nagle's algorithm holds that
// back (all that stand on DCMTK write a message in two segments): by itself it would take its time, 40 ms a message.
func (l *link) requestACK() {
	switch {
	case l.setQuickACK == nil, l.bufferFilled:
	case l.conn != l.transport: // how often TLS reads is not known
		l.setQuickACK(ackNext)
	case l.ackPending.Swap(false):
		l.setQuickACK(ackNow)
	}
}

func (l *link) deadlineError(c deadline) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.interrupted {
		return errInterrupted
	}
	return &TimeoutError{Timer: c.timer}
}

// write writes b whole. The network timeout bounds each stretch of it, so that a
// slow peer is told from one that stopped reading.
func (l *link) write(b []byte, pdus int) error {
	const maxChunk = 64 << 10
	for len(b) > 0 {
		c := deadlineAfter(l.network, TimerNetwork)
		if err := l.setDeadline(l.conn.SetWriteDeadline, c.at); err != nil {
			return err
		}
		k, err := l.conn.Write(b[:min(len(b), maxChunk)])
		l.sent += int64(k)
		l.ackPending.Store(false)
		b = b[k:]
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return l.deadlineError(c)
		}
		if err != nil {
			return err
		}
	}
	l.pdusSent += pdus
	return nil
}

// lastWord gives, in place of a failed write, the TLS alert that the peer sent
// before it went away, where there is one: which of the two is seen first is a
// race.
func (l *link) preferTLSAlert(written error) error {
	if _, secure := l.conn.(*tls.Conn); !secure || l.setDeadline(l.conn.SetReadDeadline, time.Now().Add(time.Second)) != nil {
		return written
	}
	if _, err := l.conn.Read(l.buf[l.w:]); err != nil && isTLSAlert(err) {
		return err
	}
	return written
}

// last writes b as the last thing on the connection, with a deadline of its own.
func (l *link) writeFinal(b []byte) {
	l.resume()
	_ = l.conn.SetWriteDeadline(time.Now().Add(time.Second))
	if k, err := l.conn.Write(b); err == nil {
		l.sent += int64(k)
		l.pdusSent++
	}
}

// recycle gives the buffer back. Only the reading goroutine may call it, as its
// last use of the link.
func (l *link) releaseBuffer() {
	l.replaceBuffer(nil)
	l.r, l.w = 0, 0
}

func (l *link) replaceBuffer(b []byte) {
	if len(l.buf) == readBufferSize {
		readBuffers.Put((*[readBufferSize]byte)(l.buf))
	}
	l.buf = b
}

// decrypt takes in what TLS has read of the peer already, of which the kernel no longer knows.
func (l *link) readDecrypted() {
	if l.conn == l.transport || l.r != l.w {
		return
	}
	l.r, l.w = 0, 0
	if l.setDeadline(l.conn.SetReadDeadline, time.Unix(1, 0)) == nil {
		l.w, _ = l.conn.Read(l.buf) // a deadline that is over ends the wait, and nothing else
		l.received += int64(l.w)
		_ = l.setDeadline(l.conn.SetReadDeadline, time.Time{})
	}
}

// idleBufferSize is enough for every PDU that ends an association in order.
const idleBufferSize = 64

// shrink gives the buffer back for a small one, where nothing is in it.
func (l *link) shrinkBuffer() {
	if l.r == l.w {
		l.replaceBuffer(make([]byte, idleBufferSize))
		l.r, l.w = 0, 0
	}
}

// grow is the way back. What was received meanwhile is kept.
func (l *link) growBuffer() {
	if len(l.buf) < readBufferSize {
		b := readBuffers.Get().(*[readBufferSize]byte)[:]
		l.w = copy(b, l.buf[l.r:l.w])
		l.r = 0
		l.replaceBuffer(b)
	}
}
