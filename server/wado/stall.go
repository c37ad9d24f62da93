package wado

import (
	"net/http"
	"time"
)

// stallWriter writes to a caller that must take something within a time. What it writes leaves in large parts: each is one chunk of
// HTTP/1.1.
type stallWriter struct {
	http.ResponseWriter
	controller *http.ResponseController
	stall      time.Duration
	until      time.Time // the deadline that is set
	flushed    time.Time
	err        error // of the caller
}

func newStallWriter(w http.ResponseWriter, stall time.Duration) *stallWriter {
	return &stallWriter{ResponseWriter: w, controller: http.NewResponseController(w), stall: stall}
}

func (w *stallWriter) start() {}

func (w *stallWriter) stop() {}

const (
	// maxPart limits how much a caller must take within the time. HTTP/2 sends it in frames, as the caller permits.
	maxPart = 256 << 10
	// renewEvery limits how often the deadline is set.
	renewEvery = time.Second / 4
)

// Write writes b in parts with a deadline each.
func (w *stallWriter) Write(b []byte) (int, error) {
	n := 0
	for {
		part := b[n:min(len(b), n+maxPart)]
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

func (w *stallWriter) renew() {
	if w.stall <= 0 {
		return
	}
	until := time.Now().Add(w.stall)
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
	w.err = w.controller.Flush()
	return w.err
}
