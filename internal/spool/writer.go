package spool

import (
	"context"
	"time"
)

// patienceBytes is how many bytes of one instance may make a writer wait for as long as the patience of the spool. Peers have about
// as many in their socket buffers when they begin to wait for the response to a C-STORE.
const patienceBytes = 4 << 20

// Writer takes the data set of one instance. It is for one goroutine.
type Writer struct {
	log   *Log
	ctx   context.Context
	entry *entry
	fill  *chunk // not published
	woken chan struct{}
	slow  time.Duration // the time that readers made it wait
	since int64         // the size of the instance from which slow counts
	ended bool
}

// Write adds bytes. If memory and file are full, it waits for readers; if the readers take too little for 5 s, they are cut off, and
// without any left Write fails with a *FullError. Once all readers have left it fails with ErrNoReader.
func (w *Writer) Write(p []byte) (int, error) {
	written := 0
	for {
		space, err := w.Space()
		if err != nil {
			return written, err
		}
		n := copy(space, p[written:])
		written += n
		if err := w.Take(n); err != nil {
			return written, err
		}
		if written == len(p) {
			return written, nil
		}
	}
}

// Space returns memory for the next bytes, at least one. It waits and fails as Write does. Take adds what the caller wrote to it.
func (w *Writer) Space() ([]byte, error) {
	if w.fill == nil {
		if err := w.acquire(); err != nil {
			return nil, err
		}
	}
	return w.fill.data[w.fill.used:payload], nil
}

// Take adds the first n bytes of the memory that Space has returned, which must not be used afterwards. It fails as Write does.
func (w *Writer) Take(n int) error {
	if w.fill.used += n; w.fill.used == payload {
		return w.flush()
	}
	return nil
}

// Announce lets readers begin before the instance is complete.
func (w *Writer) Announce() {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.log.show(w.entry)
}

// Commit completes the instance and lets readers begin. The instance is lost if it fails.
func (w *Writer) Commit() error {
	if w.fill != nil && w.fill.used > 0 {
		w.fill = w.fill.shrunk()
		if err := w.flush(); err != nil {
			w.Abort(err)
			return err
		}
	}
	w.end()
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead != nil {
		l.freeUnseen(w.entry)
		return l.dead
	}
	w.entry.complete = true
	if w.entry.sequence >= 0 {
		l.notify(w.entry)
	} else {
		l.show(w.entry)
	}
	return nil
}

// Abort ends an instance that will never be complete. It reports whether a reader has begun to read the instance; that reader fails
// with err. Otherwise readers never see the instance. After Commit it does nothing.
func (w *Writer) Abort(err error) (begun bool) {
	if w.ended {
		return false
	}
	w.end()
	if err == nil {
		err = errAborted
	}
	l, e := w.log, w.entry
	l.mu.Lock()
	defer l.mu.Unlock()
	e.err = err
	if e.begun {
		l.notify(e)
		return true
	}
	l.freeUnseen(e)
	if e.sequence >= 0 {
		l.notify(e)
	}
	return false
}

// freeUnseen frees the chunks of an instance that no reader has begun to read.
func (l *Log) freeUnseen(e *entry) {
	freed, keep := l.freed, l.keep
	l.freeChunks(e, len(e.chunks))
	l.freed, l.keep = freed, keep // new readers do not miss it
	l.wakeWriters()
}

// end frees what is not published.
func (w *Writer) end() {
	w.ended = true
	if w.fill != nil {
		w.log.spool.recycle(w.fill)
		w.fill = nil
	}
}

// flush publishes the filled chunk: in memory if it fits, else in the file, else in memory beyond the limit; acquire then waits.
func (w *Writer) flush() error {
	l, c := w.log, w.fill
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead != nil {
		return l.dead
	}
	if !l.fits(c.cost()) && l.spool.file.Room() && !l.awaited(w.entry) {
		l.mu.Unlock()
		block, err := l.spool.file.Put(c.data[:c.used])
		l.mu.Lock()
		if err == nil {
			l.spool.spilled.Add(int64(c.used))
			l.publish(w.entry, &chunk{used: c.used, block: block})
			c.used = 0
			return nil
		}
	}
	l.charge(c.cost())
	w.fill = nil
	l.publish(w.entry, c)
	return nil
}

// acquire waits until the instance may have another chunk in memory.
func (w *Writer) acquire() error {
	l := w.log
	l.mu.Lock()
	err := l.dead
	ready := w.ready()
	l.mu.Unlock()
	if err == nil && !ready {
		err = w.wait()
	}
	if err == nil {
		w.fill = newChunk()
	}
	return err
}

// ready reports whether the writer may go on. It is called with the lock.
func (w *Writer) ready() bool {
	l := w.log
	if len(l.entries) >= maxUnread && w.entry.size == 0 {
		return false
	}
	return l.fits(chunkSize) || l.memory == 0 || l.spool.file.Room() || l.awaited(w.entry)
}

// wait waits until the writer may go on. Readers that make it wait for too long are cut off.
func (w *Writer) wait() error {
	l, s := w.log, w.log.spool
	s.await(w)
	defer s.leave(w)
	l.mu.Lock()
	l.blocked = append(l.blocked, w)
	if w.entry.size > 0 {
		l.show(w.entry) // memory may be full of instances that readers do not see
	}
	if w.entry.size-w.since >= patienceBytes {
		w.slow, w.since = 0, w.entry.size
	}
	defer func() {
		l.blocked = remove(l.blocked, w)
		l.mu.Unlock()
	}()
	timer := time.NewTimer(s.settings.Patience)
	defer timer.Stop()
	for l.dead == nil && !w.ready() {
		var expired <-chan time.Time
		if l.slow() {
			timer.Reset(max(s.settings.Patience-w.slow, 0))
			expired = timer.C
		}
		l.mu.Unlock()
		began := time.Now()
		select {
		case <-w.woken:
			l.mu.Lock()
			if expired != nil {
				w.slow += time.Since(began)
			}
		case <-expired:
			w.slow = 0
			w.impatient()
			l.mu.Lock()
		case <-w.ctx.Done():
			l.mu.Lock()
			return context.Cause(w.ctx)
		}
	}
	return l.dead
}

// impatient cuts off readers if the writer still waits for them.
func (w *Writer) impatient() {
	l := w.log
	var calls []func(error)
	err := &FullError{Cause: l.spool.file.Refusal()}
	l.mu.Lock()
	if l.dead == nil && l.slow() && !w.ready() {
		calls = l.cutOff(err)
	}
	l.mu.Unlock()
	for _, call := range calls {
		call(err)
	}
}

func (w *Writer) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}
