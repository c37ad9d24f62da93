package wado

import (
	"cmp"
	"net/http"
	"os"
	"sync"
	"time"

	"dicom-qr-gateway/server/listener"
)

// Line is the connection to the caller of an answer.
type Line struct {
	http.ResponseWriter
	// Stall is how long the caller may take nothing before it is cut off. Zero: for ever.
	Stall time.Duration
	// Connection is that of a caller with HTTP/1.1; nil: not known, or shared by several answers.
	Connection *listener.Connection
	// TLS says that the connection is encrypted.
	TLS bool
}

// stallWriter writes to a caller that must take something within a time. What it writes leaves in large parts: each is one chunk of
// HTTP/1.1.
type stallWriter struct {
	Line
	controller *http.ResponseController
	watch      *time.Timer // of a write to a shared connection; nil: there was none
	flushed    time.Time
	err        error // of the caller

	mu      sync.Mutex // guards the deadlines against a cut-off at the beginning and the end
	started bool
	stopped bool
	cut     error // why the caller was cut off; nil: it was not
}

func newStallWriter(l Line) *stallWriter {
	return &stallWriter{Line: l, controller: http.NewResponseController(l.ResponseWriter)}
}

// start makes the deadlines apply, when the header has been written. They replace that of the server for a whole answer.
func (w *stallWriter) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started = true
	switch {
	case w.Connection == nil && w.cut != nil:
		_ = w.controller.SetWriteDeadline(time.Unix(1, 0)) // test writers have no deadlines
	case w.Connection == nil:
		_ = w.controller.SetWriteDeadline(time.Time{})
	case w.Stall > 0:
		w.Connection.Patience(w.Stall)
	}
}

// stop ends them. The connection may serve another request then.
func (w *stallWriter) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.watch != nil {
		w.watch.Stop()
	}
	w.Connection.Patience(0)
	if w.Connection != nil && w.Stall > 0 && w.cut == nil && w.err == nil {
		// The deadline of the last write may be over, but the server has the end of the answer to write.
		_ = w.Connection.SetWriteDeadline(time.Now().Add(w.Stall))
	}
}

// cutOff ends a write that runs. It may be called from any goroutine.
func (w *stallWriter) cutOff(reason error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	w.cut = reason
	if w.Connection != nil {
		w.Connection.CutOff()
		return
	}
	if w.started { // before, a problem document can still be the answer, and in HTTP/2 this would reset the stream
		_ = w.controller.SetWriteDeadline(time.Unix(1, 0))
	}
}

// callerError returns why the caller no longer takes the answer; nil: it does.
func (w *stallWriter) callerError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return cmp.Or(w.cut, w.err)
}

const (
	// maxPart is the most that is written at once: to a connection of HTTP/1.1, on which any progress counts, and else.
	maxPart, maxSharedPart = 1 << 20, 32 << 10
	// largePart is the size from which net/http sends a part in two: what its buffer of httpBuffer still takes, and the rest.
	largePart, httpBuffer = 16 << 10, 4 << 10
)

// Write writes b in parts with a deadline each.
func (w *stallWriter) Write(b []byte) (int, error) {
	most := maxPart
	if w.Connection == nil {
		most = maxSharedPart
	}
	n := 0
	for {
		part := b[n:min(len(b), n+most)]
		if len(part) >= largePart && !w.TLS {
			w.Connection.Hold(httpBuffer + 1)
		}
		done := w.limit()
		m, err := w.ResponseWriter.Write(part)
		done()
		n += m
		if err != nil {
			w.err = err
			return n, err
		}
		if n >= len(b) {
			return n, nil
		}
	}
}

// limit limits the time of a write to a connection that does not look for progress itself, until done is called. A deadline does not serve:
// one of HTTP/2 ends a stream when it is over, whether or not a write runs.
func (w *stallWriter) limit() (done func()) {
	if w.Stall <= 0 || w.Connection != nil {
		return func() {}
	}
	if w.watch == nil {
		w.watch = time.AfterFunc(w.Stall, func() { w.cutOff(os.ErrDeadlineExceeded) })
	} else {
		w.watch.Reset(w.Stall)
	}
	return func() { w.watch.Stop() }
}

// flushEvery limits how often a stream of small instances is flushed.
const flushEvery = 100 * time.Millisecond

// flushPart sends what is buffered, unless that was done a moment ago.
func (w *stallWriter) flushPart() error {
	now := time.Now()
	if now.Sub(w.flushed) < flushEvery {
		return nil
	}
	w.flushed = now
	done := w.limit()
	if err := w.controller.Flush(); err != nil {
		w.err = err
	}
	done()
	return w.err
}
