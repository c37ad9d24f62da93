package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxPending and maxPendingBytes limit the records that wait while the sink fails. Operations are refused meanwhile, so only
	// alerts, and the operations that run when it begins to fail, can reach them.
	maxPending      = 1000
	maxPendingBytes = 8 << 20
	// patience is how many timeouts a record of several parts may take, and others may wait for it.
	patience = 6
	// defaultTimeout is above the seconds that a busy disk may take, and below the patience of callers.
	defaultTimeout = 5 * time.Second
)

// ErrFull reports that a record was lost because too many records wait for the sink, or too long ones.
var ErrFull = errors.New("too many records wait for the sink")

// ErrBlocked reports that the sink did not take a record in time.
var ErrBlocked = errors.New("the sink blocks")

var (
	errClosed = errors.New("the log is closed")
	errSlow   = errors.New("the sink is too slow for the record")
)

// Options are the settings of a Log.
type Options struct {
	// Sync syncs a file after each record, or once for the records of several goroutines, before Write returns.
	Sync bool
	// Timeout limits how long Write, Ready and Reopen wait for the sink; zero: 5 s. While the sink takes parts of a long record,
	// they wait on, six times as long at most.
	Timeout time.Duration
	// Torn is called if the file ends in the middle of a line, which the process that wrote it did not finish. The next record
	// then begins on a line of its own. nil: not called.
	Torn func()
}

// Log writes records to one sink: a file to which it appends, or a stream. A record of at most 64 KiB is one write, so that lines
// stay whole if other processes append to the file. A longer one is several writes, one after the other: it is never in memory as a
// whole. A record that could not be written is kept as the bytes of its line, and is written before the next one, from its
// beginning. A sink that blocks fails after a timeout, and at once while it has blocked for longer. It is safe for concurrent use.
type Log struct {
	timeout time.Duration
	sink    sink         // of the goroutine that writes
	since   atomic.Int64 // when its current call of the sink began, in nanoseconds of the monotonic clock; zero: none
	part    atomic.Int64 // when the sink last took a part of a long record; zero: never

	mu        sync.Mutex
	writing   bool     // the goroutine runs
	pending   []*entry // to be written, in order
	kept      int      // of pending, those whose Write has returned
	keptBytes int      // of their lines
	asks      []*ask
	closed    bool
}

// ask is what the goroutine does once, and then writes what is pending.
type ask struct {
	do     func() error
	result chan error
}

// Open returns a Log that appends to the file at path. If there is no file, it creates one that only its owner can read.
func Open(path string, o Options) (*Log, error) {
	l := newLog(o)
	l.sink = sink{path: path, sync: o.Sync, onTorn: o.Torn}
	if err := l.ask(context.Background(), l.sink.open); err != nil {
		return nil, err
	}
	return l, nil
}

// To returns a Log that writes to a stream. Others may write lines to it too if it is an output.Shared.
func To(w io.Writer, o Options) *Log {
	l := newLog(o)
	l.sink = sink{out: w}
	return l
}

func newLog(o Options) *Log {
	l := &Log{timeout: o.Timeout}
	if l.timeout == 0 {
		l.timeout = defaultTimeout
	}
	return l
}

// Write appends r. If that fails, the record is kept for the next Write or Ready, unless the error is ErrFull. The sink may block
// while it reads r, so r must not change even then.
func (l *Log) Write(r *Record) error { return l.write(context.Background(), r) }

// write is Write that does not wait longer than until ctx is done.
func (l *Log) write(ctx context.Context, r *Record) error {
	e := newEntry(r)
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return errClosed
	}
	l.pending = append(l.pending, e)
	if l.isBlocked() { // the goroutine runs, and will write it
		l.mu.Unlock()
		return l.keep(e, ErrBlocked)
	}
	l.start()
	l.mu.Unlock()
	err, done := l.wait(ctx, e.result)
	switch {
	case !done:
		return l.keep(e, ErrBlocked)
	case err != nil:
		return l.keep(e, err)
	}
	e.release()
	return nil
}

// Ready writes the records that wait. It returns an error if the sink cannot take more, as far as that is known without writing.
func (l *Log) Ready() error { return l.ask(context.Background(), func() error { return nil }) }

// Reopen continues in the file that the path now names, because the old file may have been renamed. For a stream it does nothing.
func (l *Log) Reopen() error {
	return l.ask(context.Background(), l.sink.reopen)
}

// Close writes the records that wait, until ctx is done. If that fails, the error holds the number of lost records. Later calls of
// all methods fail.
func (l *Log) Close(ctx context.Context) error {
	err := l.ask(ctx, func() error { return nil })
	l.mu.Lock()
	if n := len(l.pending); n > 0 && err != nil {
		err = fmt.Errorf("%d records lost: %w", n, err)
	}
	l.mu.Unlock()
	if !errors.Is(err, ErrBlocked) { // otherwise the call that blocks uses the file
		err = errors.Join(err, l.ask(ctx, l.sink.close))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed, l.pending = true, nil
	return err
}

// ask has the goroutine call do and write what is pending, and returns the error of both.
func (l *Log) ask(ctx context.Context, do func() error) error {
	a := &ask{do: do, result: make(chan error, 1)}
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return errClosed
	case l.isBlocked():
		l.mu.Unlock()
		return ErrBlocked
	}
	l.asks = append(l.asks, a)
	l.start()
	l.mu.Unlock()
	if err, done := l.wait(ctx, a.result); done {
		return err
	}
	return ErrBlocked
}

// wait returns the result, or false once ctx is done or the timeout is over. It continues while the sink takes parts of a record.
func (l *Log) wait(ctx context.Context, result <-chan error) (err error, done bool) { //nolint:revive // the error is a value here
	began := now()
	timer := time.NewTimer(l.timeout)
	defer timer.Stop()
	for {
		select {
		case err := <-result:
			return err, true
		case <-timer.C:
		case <-ctx.Done():
			return nil, false
		}
		part := l.part.Load()
		if part == 0 {
			return nil, false
		}
		rest := min(part+int64(l.timeout), began+patience*int64(l.timeout)) - now()
		if rest <= 0 {
			return nil, false
		}
		timer.Reset(time.Duration(rest))
	}
}

// isBlocked reports whether the sink has blocked for longer than the timeout, so that it is not worth waiting for.
func (l *Log) isBlocked() bool {
	since := l.since.Load()
	return since != 0 && now()-since > int64(l.timeout)
}

// keep keeps the record of e, whose Write returns err, unless the sink has it by now.
func (l *Log) keep(e *entry, err error) error {
	size := e.size()
	e.encoder = nil // the sink may still read its buffer
	l.mu.Lock()
	e.awaited = false
	switch {
	case e.written:
		l.mu.Unlock()
		return nil
	case l.kept == maxPending || size > maxPendingBytes-l.keptBytes:
		e.lost = true
		l.pending = slices.DeleteFunc(l.pending, func(other *entry) bool { return other == e })
		l.mu.Unlock()
		return errors.Join(ErrFull, err)
	}
	e.kept = size
	l.kept++
	l.keptBytes += size
	l.mu.Unlock()
	compact := e.compact()
	l.mu.Lock()
	e.line = compact
	l.mu.Unlock()
	return err
}

// start starts the goroutine, if it does not run. It is called with the lock.
func (l *Log) start() {
	if !l.writing {
		l.writing = true
		go l.run()
	}
}

// run does what is asked and writes what is pending. If the sink fails, the records that are kept wait for the next start.
func (l *Log) run() {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.writing = false }()
	for {
		asks, batch := l.asks, slices.Clone(l.pending)
		l.asks = nil
		l.mu.Unlock()
		results := make([]error, len(asks))
		for i, a := range asks {
			results[i] = l.timed(a.do)
		}
		written, err := l.flush(batch)
		l.mu.Lock()
		l.settle(batch, written, err)
		for i, a := range asks {
			a.result <- cmp.Or(results[i], err)
		}
		if len(l.asks) == 0 && (len(l.pending) == 0 || err != nil && !slices.ContainsFunc(l.pending, func(e *entry) bool { return e.awaited })) {
			return
		}
	}
}

// flush writes the records of batch and returns how many the sink has.
func (l *Log) flush(batch []*entry) (int, error) {
	if err := l.timed(l.sink.reach); err != nil {
		return 0, err
	}
	for i, e := range batch {
		l.mu.Lock()
		line, lost := e.line, e.lost
		l.mu.Unlock()
		if lost {
			continue
		}
		if err := l.append(line); err != nil {
			return i, err
		}
	}
	if len(batch) == 0 {
		return 0, nil
	}
	if err := l.timed(l.sink.commit); err != nil {
		return 0, err
	}
	return len(batch), nil
}

// append writes a line to the sink.
func (l *Log) append(line line) error {
	if whole, ok := line.(oneLine); ok {
		return l.timed(func() error { return l.sink.append(whole) })
	}
	began := now()
	return l.timed(func() error {
		return l.sink.line(func(write func(part []byte) error) error {
			return line.parts(func(part []byte) error {
				if now()-began > patience*int64(l.timeout) {
					return errSlow
				}
				if err := write(part); err != nil {
					return err
				}
				at := now()
				l.part.Store(at)
				l.since.Store(at)
				runtime.Gosched() // operations wait less than a whole record
				return nil
			})
		})
	})
}

// settle removes the records that the sink has, and answers those who wait. It is called with the lock.
func (l *Log) settle(batch []*entry, written int, err error) {
	for i, e := range batch {
		result := err
		if i < written {
			e.written, result = true, nil
			if e.kept > 0 {
				l.kept--
				l.keptBytes -= e.kept
			}
		}
		if e.awaited {
			e.awaited = false
			e.result <- result
		}
	}
	l.pending = slices.DeleteFunc(l.pending, func(e *entry) bool { return e.written })
}

// timed notes when a call of the sink begins, and that it has ended.
func (l *Log) timed(call func() error) error {
	l.since.Store(now())
	defer l.since.Store(0)
	return call()
}

var epoch = time.Now()

// now returns the time of the monotonic clock. It is never zero.
func now() int64 { return int64(time.Since(epoch)) + 1 }
