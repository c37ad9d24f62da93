package spool

import (
	"context"
	"io"
	"iter"
	"sync/atomic"
	"time"
)

// Reader reads the instances of a log from the first on. Its methods are for one goroutine, except Close, Stalled and OnCutOff.
type Reader struct {
	log   *Log
	woken chan struct{}
	taken atomic.Int64 // when it took something, in Unix nanoseconds; 0: it waits for the log

	// The lock of the log guards these.
	sequence int // of the instance that it reads, or that comes next
	index    int // of the chunk in the instance
	reading  bool
	waiting  bool
	closed   bool
	err      error // why it was cut off
	onCutOff func(error)

	held    *chunk // pinned
	buffer  *chunk // for chunks in the file
	current *Instance
}

// Instance is an instance of a log. It is valid until the next one is asked for.
type Instance struct {
	Entry
	reader *Reader
	entry  *entry
	ctx    context.Context
	rest   []byte // of the chunk that is read
	err    error
}

// All yields the instances in order, each as soon as its writer has announced or committed it. It ends with the error that the log was
// closed with, or that the reader was cut off with. It closes the reader.
func (r *Reader) All(ctx context.Context) iter.Seq2[*Instance, error] {
	return func(yield func(*Instance, error) bool) {
		defer r.finish()
		for {
			in, err := r.next(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			if in == nil || !yield(in, nil) {
				return
			}
		}
	}
}

// Await waits until there is an instance to read, or nothing more comes. The error is the cause of ctx, or why the reader was cut off.
func (r *Reader) Await(ctx context.Context) error {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case r.err != nil:
			return r.err
		case r.sequence-l.first < len(l.entries):
			if l.entries[r.sequence-l.first].err == nil {
				return nil
			}
			r.sequence++
			continue
		case l.closed:
			return nil
		}
		if err := r.wait(ctx); err != nil {
			return err
		}
	}
}

// Close frees what only this reader wants. If it is the last one, writers fail. It may be called more than once and at any time, but
// what the reader has handed out must not be used any more.
func (r *Reader) Close() {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.closed {
		return
	}
	r.closed = true
	if r.err == nil {
		r.err = ErrNoReader
		l.readers = remove(l.readers, r)
		if len(l.readers) == 0 {
			l.kill(ErrNoReader)
		} else {
			l.collect()
		}
	}
	r.wake()
}

// OnCutOff sets what is called when the reader is cut off because it takes too little, while it may be blocked in a Write of its
// caller. The chunk in that Write stays untouched until the Write returns.
func (r *Reader) OnCutOff(call func(error)) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.onCutOff = call
}

// Stalled returns for how long the reader has taken nothing although there was something to take.
func (r *Reader) Stalled() time.Duration {
	taken := r.taken.Load()
	if taken == 0 {
		return 0
	}
	return time.Duration(time.Now().UnixNano() - taken)
}

func (r *Reader) progress() { r.taken.Store(time.Now().UnixNano()) }

// before reports whether r has taken less than other. It is called with the lock.
func (r *Reader) before(other *Reader) bool {
	return r.sequence < other.sequence || (r.sequence == other.sequence && r.index < other.index)
}

func (r *Reader) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// unpin returns the chunk that was handed out. It is called with the lock.
func (r *Reader) unpin() {
	if r.held == nil {
		return
	}
	r.held.pins--
	if r.held.pins == 0 && r.held.gone {
		r.log.spool.recycle(r.held)
	}
	r.held = nil
}

// finish ends the iteration.
func (r *Reader) finish() {
	r.Close()
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.unpin()
	r.current = nil
	if r.buffer != nil {
		chunks.Put(r.buffer)
		r.buffer = nil
	}
}

// next returns the next instance; nil at the end.
func (r *Reader) next(ctx context.Context) (*Instance, error) {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	r.unpin()
	r.current = nil
	if r.reading {
		r.reading = false
		r.sequence++
		r.index = 0
		l.collect()
	}
	for {
		switch {
		case r.err != nil:
			return nil, r.err
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case r.sequence-l.first < len(l.entries):
			e := l.entries[r.sequence-l.first]
			if e.err != nil {
				r.sequence++
				continue
			}
			e.begun, r.reading = true, true
			r.progress()
			r.current = &Instance{Entry: e.Entry, reader: r, entry: e, ctx: ctx}
			return r.current, nil
		case l.closed:
			return nil, l.err
		}
		if err := r.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// wait waits for the log. It is called with the lock, and returns with it.
func (r *Reader) wait(ctx context.Context) error {
	l := r.log
	r.waiting = true
	r.taken.Store(0)
	l.wakeWriters()
	l.mu.Unlock()
	var err error
	select {
	case <-r.woken:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	l.mu.Lock()
	r.waiting = false
	r.progress()
	return err
}

// chunk returns the next bytes of the instance, which are valid until its next call. The error is io.EOF at the end.
func (in *Instance) chunk() ([]byte, error) {
	r, l, e := in.reader, in.reader.log, in.entry
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.held != nil {
		r.unpin()
		r.index++
		r.progress()
		l.collect()
	}
	for {
		switch {
		case r.err != nil:
			return nil, r.err
		case in.ctx.Err() != nil: // a slow caller may need hours for what is spooled
			return nil, context.Cause(in.ctx)
		case r.index-e.base < len(e.chunks):
			c := e.chunks[r.index-e.base]
			c.pins++
			r.held = c
			if c.data != nil {
				return c.data[:c.used], nil
			}
			if r.buffer == nil {
				r.buffer = newChunk()
			}
			l.mu.Unlock()
			data, err := l.spool.file.Get(c.block, r.buffer.data)
			l.mu.Lock()
			return data, err
		case e.err != nil:
			return nil, e.err
		case e.complete:
			return nil, io.EOF
		case l.dead != nil:
			return nil, l.dead
		}
		if err := r.wait(in.ctx); err != nil {
			return nil, err
		}
	}
}

// Size returns the number of bytes of the data set; -1 while it arrives.
func (in *Instance) Size() int64 {
	l := in.reader.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if !in.entry.complete {
		return -1
	}
	return in.entry.size
}

// Read reads the data set. It returns io.EOF at its end only. Any other error means that the rest will never come.
func (in *Instance) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if in.reader.current != in {
		return 0, ErrStale
	}
	for len(in.rest) == 0 && in.err == nil {
		in.rest, in.err = in.chunk()
	}
	if len(in.rest) == 0 {
		return 0, in.err
	}
	n := copy(p, in.rest)
	in.rest = in.rest[n:]
	return n, nil
}

// WriteTo writes the rest of the data set, without a copy between if it is in memory. It returns nil at the end of the data set.
func (in *Instance) WriteTo(w io.Writer) (int64, error) {
	if in.reader.current != in {
		return 0, ErrStale
	}
	var written int64
	for in.err == nil {
		if len(in.rest) == 0 {
			if in.rest, in.err = in.chunk(); in.err != nil {
				break
			}
		}
		n, err := w.Write(in.rest)
		written += int64(n)
		in.rest = in.rest[n:]
		if err != nil {
			return written, err
		}
	}
	in.rest = nil
	if in.err == io.EOF { //nolint:errorlint // chunk returns it as it is
		return written, nil
	}
	return written, in.err
}
