package wado

import (
	"cmp"
	"net/http"
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
	until      time.Time // the deadline that is set
	flushed    time.Time
	err        error // of the caller

	mu      sync.Mutex // guards the deadlines against a cut-off at the end
	stopped bool
	cut     error // why the caller was cut off; nil: it was not
}

func newStallWriter(l Line) *stallWriter {
	return &stallWriter{Line: l, controller: http.NewResponseController(l.ResponseWriter)}
}

// start makes the deadlines apply.
func (w *stallWriter) start() {
	if w.Stall > 0 {
		w.Connection.Patience(w.Stall)
	}
}

// stop ends them. The connection may serve another request then.
func (w *stallWriter) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.Connection.Patience(0)
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
	_ = w.controller.SetWriteDeadline(time.Unix(1, 0)) // test writers have no deadlines
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
	// renewEvery limits how often the deadline is set.
	renewEvery = time.Second / 4
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
		w.renew()
		m, err := w.ResponseWriter.Write(part)
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

// renew sets the deadline of an answer whose connection does not look for progress itself.
func (w *stallWriter) renew() {
	if w.Stall <= 0 || w.Connection != nil {
		return
	}
	until := time.Now().Add(w.Stall)
	if until.Sub(w.until) < renewEvery {
		return
	}
	w.until = until
	_ = w.controller.SetWriteDeadline(until) // test writers have no deadlines
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
	w.renew()
	if err := w.controller.Flush(); err != nil {
		w.err = err
	}
	return w.err
}
