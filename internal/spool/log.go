package spool

import (
	"context"
	"sync"

	"dicom-qr-gateway/dicomnet/part10"
)

const (
	// maxUnread caps the instances of a log that wait for readers, whatever their size: each has attributes in memory.
	maxUnread = 50_000
	// maxKept caps the instances that are kept for readers that come later.
	maxKept = 2000
	// entryCost is the memory that the attributes of an instance take, about.
	entryCost = 512
)

// Entry is what is known of an instance before its data set is read.
type Entry struct {
	part10.Meta
	StudyInstanceUID, SeriesInstanceUID string
}

// Log holds the instances of one retrieval in the order in which they become available. Several writers and several readers may use
// it at once. It frees what all readers have taken, but keeps the first megabytes for later readers while memory suffices.
type Log struct {
	spool *Spool

	mu      sync.Mutex
	entries []*entry // those that readers see and have not all taken
	first   int      // the sequence number of entries[0]
	readers []*Reader
	blocked []*Writer
	memory  int64 // of published chunks
	keep    bool  // keep what all readers have taken, for later readers
	freed   bool  // something that a new reader needs is gone
	closed  bool  // nothing more comes
	err     error // with which readers end; set if closed
	dead    error // why nothing can be written any more
}

// entry is an instance in a log. The lock of the log guards it.
type entry struct {
	Entry
	chunks   []*chunk // those that are not freed
	base     int      // how many are
	size     int64
	sequence int // in the log; -1: readers do not see it
	complete bool
	err      error // why it stays incomplete; readers that have not begun it skip it
	begun    bool  // by a reader
}

// NewLog returns a Log for one retrieval. Its owner must call Close when nothing more comes, and Discard in the end.
func (s *Spool) NewLog() *Log { return &Log{spool: s, keep: true} }

// Append adds an instance. Readers see it from Announce or Commit on. The writer is for one goroutine, which must call Commit or Abort.
// When ctx is done, a Write that waits fails.
func (l *Log) Append(ctx context.Context, e Entry) *Writer {
	return &Writer{log: l, ctx: ctx, entry: &entry{Entry: e, sequence: -1}, woken: make(chan struct{}, 1)}
}

// Close ends the log: nothing more comes. Readers end with err, after the instances that they see already.
func (l *Log) Close(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed, l.err = true, err
	l.wakeAll()
}

// Discard frees everything. Readers that are not at the end fail with err, which must not be nil, and so do writers.
func (l *Log) Discard(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.readers {
		r.err = err
		r.wake()
	}
	l.readers = nil
	l.kill(err)
}

// kill frees everything and makes writers fail. It is called with the lock, and without readers.
func (l *Log) kill(err error) {
	if l.dead == nil {
		l.dead = err
	}
	for _, e := range l.entries {
		l.freeChunks(e, len(e.chunks))
	}
	l.forget(len(l.entries))
	l.wakeAll()
}

// Reader returns a reader that begins with the first instance. It is false if the first instance has been freed, or all readers have
// left.
func (l *Log) Reader() (*Reader, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.freed || l.dead != nil {
		return nil, false
	}
	r := &Reader{log: l, woken: make(chan struct{}, 1)}
	r.progress()
	l.readers = append(l.readers, r)
	return r, true
}

// show makes readers see an instance. It is called with the lock.
func (l *Log) show(e *entry) {
	if e.sequence >= 0 || l.dead != nil {
		return
	}
	e.sequence = l.first + len(l.entries)
	l.entries = append(l.entries, e)
	l.spool.memory.Add(entryCost)
	l.notify(e)
}

// charge counts memory of chunks. It is called with the lock.
func (l *Log) charge(bytes int64) {
	l.memory += bytes
	l.spool.memory.Add(bytes)
}

// refund is the opposite of charge.
func (l *Log) refund(bytes int64) {
	l.memory -= bytes
	l.spool.release(bytes)
}

// publish adds a chunk to an instance; its memory is counted already. It is called with the lock.
func (l *Log) publish(e *entry, c *chunk) {
	e.chunks = append(e.chunks, c)
	e.size += int64(c.used)
	switch {
	case l.dead != nil || (e.sequence >= 0 && e.sequence < l.first): // no reader will read it
		l.freeChunks(e, len(e.chunks))
	case e.sequence >= 0:
		l.notify(e)
	}
}

// fits reports whether the log may use this many more bytes of memory. If necessary it frees what all readers have taken. It is called
// with the lock.
func (l *Log) fits(bytes int64) bool {
	if l.within(bytes) || !l.keep {
		return l.within(bytes)
	}
	l.keep = false
	l.collect()
	return l.within(bytes)
}

func (l *Log) within(bytes int64) bool {
	return l.memory+bytes <= l.spool.settings.MemoryEach && l.spool.memory.Load()+bytes <= l.spool.settings.Memory
}

// collect frees what all readers have taken. It is called with the lock.
func (l *Log) collect() {
	if len(l.readers) == 0 || (l.keep && len(l.entries) < maxKept && !l.spool.tight()) {
		return
	}
	sequence, index := l.readers[0].sequence, l.readers[0].index
	for _, r := range l.readers[1:] {
		if r.sequence < sequence || (r.sequence == sequence && r.index < index) {
			sequence, index = r.sequence, r.index
		}
	}
	whole := min(sequence-l.first, len(l.entries))
	for _, e := range l.entries[:whole] {
		l.freeChunks(e, len(e.chunks))
	}
	l.forget(whole)
	if len(l.entries) > 0 && l.first == sequence && index > l.entries[0].base {
		l.freeChunks(l.entries[0], index-l.entries[0].base)
	}
	l.wakeWriters()
}

// forget removes the first entries. It is called with the lock.
func (l *Log) forget(n int) {
	if n == 0 {
		return
	}
	clear(l.entries[:n])
	l.entries = l.entries[n:]
	l.first += n
	l.freed, l.keep = true, false
	l.spool.release(int64(n) * entryCost)
}

// freeChunks frees the first chunks of an instance. It is called with the lock.
func (l *Log) freeChunks(e *entry, n int) {
	if n == 0 {
		return
	}
	for i, c := range e.chunks[:n] {
		e.chunks[i] = nil
		c.gone = true
		l.refund(c.cost())
		if c.pins == 0 {
			l.spool.recycle(c)
		}
	}
	e.chunks = e.chunks[n:]
	e.base += n
	if e.sequence >= 0 {
		l.freed, l.keep = true, false
	}
}

// recycle frees a chunk that is not in use.
func (s *Spool) recycle(c *chunk) {
	switch {
	case c.data == nil:
		s.file.Free(c.block)
	case c.pooled:
		chunks.Put(c)
	}
}

// notify wakes readers that wait for an instance, or for the next one. It is called with the lock.
func (l *Log) notify(e *entry) {
	woke := false
	for _, r := range l.readers {
		if r.waiting && r.sequence == e.sequence {
			r.waiting = false // it has something to take now
			r.progress()
			r.wake()
			woke = true
		}
	}
	if woke {
		l.wakeWriters() // they no longer wait for each other, but for this reader
	}
}

func (l *Log) wakeWriters() {
	for _, w := range l.blocked {
		w.wake()
	}
}

// wakeAll is called with the lock.
func (l *Log) wakeAll() {
	for _, r := range l.readers {
		r.wake()
	}
	l.wakeWriters()
}

// awaited reports whether all readers have taken everything that is there, and one waits for more of an instance.
func (l *Log) awaited(e *entry) bool {
	found := false
	for _, r := range l.readers {
		if !r.waiting {
			return false
		}
		found = found || r.sequence == e.sequence
	}
	return found
}

// slow reports whether a reader leaves something untaken, or there is no reader. It is called with the lock.
func (l *Log) slow() bool {
	for _, r := range l.readers {
		if !r.waiting {
			return true
		}
	}
	return len(l.readers) == 0
}

// cutOff ends the slowest reader, and all that have taken nothing for the patience of the spool. It is called with the lock, and returns
// functions to call without it.
func (l *Log) cutOff(err error) (calls []func(error)) {
	slowest := -1
	for i, r := range l.readers {
		if !r.waiting && (slowest < 0 || r.before(l.readers[slowest])) {
			slowest = i
		}
	}
	kept := l.readers[:0]
	for i, r := range l.readers {
		if i != slowest && (r.waiting || r.Stalled() < l.spool.settings.Patience) {
			kept = append(kept, r)
			continue
		}
		r.err = err
		r.wake()
		l.spool.cutOff.Add(1)
		if r.onCutOff != nil {
			calls = append(calls, r.onCutOff)
		}
	}
	clear(l.readers[len(kept):])
	l.readers = kept
	if len(kept) == 0 {
		l.kill(err)
	} else {
		l.collect()
	}
	return calls
}

func remove[T comparable](list []T, item T) []T {
	for i := range list {
		if list[i] == item {
			copy(list[i:], list[i+1:])
			clear(list[len(list)-1:])
			return list[:len(list)-1]
		}
	}
	return list
}
