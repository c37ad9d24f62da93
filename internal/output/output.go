// Package output writes lines to an output that may fail or block, such as the standard output of a process. It keeps lines
// whole, and it lets programs write without waiting for the output.
package output

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Shared is a writer for several writers of lines. Each Write is one or more whole lines, and is passed on by itself. If a write
// ends in the middle of a line, the next one begins with a line break. It is safe for concurrent use.
type Shared struct {
	mu   sync.Mutex
	w    io.Writer
	torn bool // the last write ended in the middle of a line
}

// NewShared returns a Shared that writes to w.
func NewShared(w io.Writer) *Shared { return &Shared{w: w} }

// Write writes lines. It waits for other writes.
func (s *Shared) Write(lines []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(); err != nil {
		return 0, err
	}
	return s.write(lines)
}

// Line calls write, which writes one line in parts to w, and returns its error. No other line comes between the parts: all other
// writes wait until write returns, so it must limit its time. w must not be used later. If write returns in the middle of the line,
// the next one begins with a line break.
func (s *Shared) Line(write func(w io.Writer) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(); err != nil {
		return err
	}
	return write(held{s})
}

// held writes to a Shared for the holder of its lock.
type held struct{ *Shared }

func (h held) Write(part []byte) (int, error) { return h.write(part) }

// begin ends a torn line.
func (s *Shared) begin() error {
	if !s.torn {
		return nil
	}
	_, err := s.w.Write([]byte{'\n'})
	s.torn = err != nil
	return err
}

func (s *Shared) write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	if n > 0 {
		s.torn = b[n-1] != '\n'
	}
	return n, err
}

const (
	// maxQueued limits the bytes of the lines that wait, beside those that are being written: more than ten thousand lines of
	// requests.
	maxQueued = 4 << 20
	// maxChunk limits one write to the output, unless a line is longer, so that other writers get their turn.
	maxChunk = 64 << 10
	// maxIdle limits the memory that an empty queue keeps.
	maxIdle = 64 << 10
	// gathering is how long the first line waits for others, which saves a busy gateway a write and a goroutine for each request.
	// Lines that fill a chunk do not wait.
	gathering = 5 * time.Millisecond
)

// Queue is a writer of lines that never waits for its output. It gathers lines for a few milliseconds. One goroutine at a time
// then writes them, whole and in order, and ends when none is left. Lines beyond the capacity of the queue, and lines that the output did not take, are dropped and
// counted. It is safe for concurrent use.
type Queue struct {
	w      io.Writer
	notice func(lines uint64) []byte

	mu      sync.Mutex
	queued  []byte        // whole lines
	spare   []byte        // an empty buffer, for queued
	writing bool          // the goroutine runs, or timer starts it
	timer   *time.Timer   // starts the goroutine; nil until the first line
	idle    chan struct{} // closed when the goroutine ends; nil: no caller waits

	dropped  atomic.Uint64
	reported uint64 // how many of dropped the output has a notice of; of the goroutine
}

// NewQueue returns a Queue before w. notice returns the line that says how many lines were dropped. It is written at their place,
// once the output takes lines again. A nil notice, or an empty line, means that none is written.
func NewQueue(w io.Writer, notice func(lines uint64) []byte) *Queue {
	return &Queue{w: w, notice: notice}
}

// Write queues one or more whole lines, or drops them. It does not fail.
func (q *Queue) Write(lines []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queued)+len(lines) > maxQueued {
		q.dropped.Add(count(lines))
		return len(lines), nil
	}
	q.queued = append(q.queued, lines...)
	if !q.writing {
		q.writing = true
		q.startLater()
	}
	if len(q.queued) >= maxChunk {
		q.startNow()
	}
	return len(lines), nil
}

// startLater starts the goroutine once more lines may have come. It is called with the lock.
func (q *Queue) startLater() {
	if q.timer == nil {
		q.timer = time.AfterFunc(gathering, q.run)
		return
	}
	q.timer.Reset(gathering)
}

// startNow starts the goroutine if it waits for more lines. It is called with the lock.
func (q *Queue) startNow() {
	if q.timer.Stop() {
		go q.run()
	}
}

// Dropped returns the number of lines dropped so far.
func (q *Queue) Dropped() uint64 { return q.dropped.Load() }

// Flush waits until all lines are written or dropped. After the timeout it returns false. The output may still block then.
func (q *Queue) Flush(timeout time.Duration) bool {
	q.mu.Lock()
	if !q.writing {
		q.mu.Unlock()
		return true
	}
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	idle := q.idle
	q.startNow()
	q.mu.Unlock()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-idle:
		return true
	case <-timer.C:
		return false
	}
}

// run writes what is queued until nothing is, or only lines that can wait for more.
func (q *Queue) run() {
	var batch []byte
	for {
		q.mu.Lock()
		if batch != nil && cap(batch) <= maxIdle {
			q.spare = batch[:0]
		}
		if len(q.queued) == 0 {
			q.writing = false
			if q.idle != nil {
				close(q.idle)
				q.idle = nil
			}
			q.mu.Unlock()
			return
		}
		if batch != nil && len(q.queued) < maxChunk && q.idle == nil {
			q.startLater()
			q.mu.Unlock()
			return
		}
		batch, q.queued, q.spare = q.queued, q.spare, nil
		dropped := q.dropped.Load() // all after the lines of the batch
		q.mu.Unlock()
		q.write(batch, dropped)
	}
}

// write writes the lines of a batch, and behind them the notice of the lines that were dropped by then.
func (q *Queue) write(batch []byte, dropped uint64) {
	works := true
	for len(batch) > 0 {
		chunk := batch[:chunkOf(batch)]
		batch = batch[len(chunk):]
		n, err := q.w.Write(chunk)
		if works = err == nil; !works {
			lost := count(chunk[n:])
			q.dropped.Add(lost)
			dropped += lost
		}
	}
	if !works || dropped == q.reported || q.notice == nil {
		return
	}
	if line := q.notice(dropped - q.reported); len(line) > 0 {
		if _, err := q.w.Write(line); err != nil {
			return // the next batch tries again
		}
	}
	q.reported = dropped
}

// chunkOf returns the length of the whole lines at the beginning of lines that fit in one write, at least one line.
func chunkOf(lines []byte) int {
	if len(lines) <= maxChunk {
		return len(lines)
	}
	if end := bytes.LastIndexByte(lines[:maxChunk], '\n'); end >= 0 {
		return end + 1
	}
	if end := bytes.IndexByte(lines, '\n'); end >= 0 {
		return end + 1
	}
	return len(lines)
}

// count returns the number of lines, with one that has no line break.
func count(lines []byte) uint64 {
	n := bytes.Count(lines, []byte{'\n'})
	if len(lines) > 0 && lines[len(lines)-1] != '\n' {
		n++
	}
	return uint64(n)
}
