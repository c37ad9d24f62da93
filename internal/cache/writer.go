package cache

import (
	"sync"

	"dicom-qr-gateway/internal/sealed"
	"dicom-qr-gateway/internal/spool"
)

const (
	chunkSize = sealed.MaxBlock
	payload   = chunkSize - sealed.Overhead
)

var buffers = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// Writer stores one instance. It is for one goroutine, which must call Commit or Abort. A nil Writer stores nothing.
type Writer struct {
	cache *Cache
	in    *instance // nil: there is no room
	fill  *[chunkSize]byte
	used  int
}

// Add begins to store an instance that a PACS sends.
func (c *Cache) Add(key Key, mark Mark, e spool.Entry) *Writer {
	if c == nil {
		return nil
	}
	return &Writer{cache: c, in: &instance{key: key, mark: mark, entry: e}}
}

// Write never fails: what has no room is not stored.
func (w *Writer) Write(p []byte) (int, error) {
	if w == nil {
		return len(p), nil
	}
	for rest := p; len(rest) > 0 && w.in != nil; {
		if w.fill == nil {
			w.fill = buffers.Get().(*[chunkSize]byte)
		}
		n := copy(w.fill[w.used:payload], rest)
		w.used += n
		rest = rest[n:]
		if w.used == payload {
			w.flush()
		}
	}
	return len(p), nil
}

// flush stores the chunk that is filled, or gives up.
func (w *Writer) flush() {
	c, in, n := w.cache, w.in, w.used
	cost := int64(n)
	if c.file != nil || n == payload {
		cost = sealed.Size(n)
	}
	c.mu.Lock()
	// One instance does not replace all others.
	if c.closed || in.size+int64(n) > c.settings.Size/2 || !c.room(cost) {
		c.mu.Unlock()
		w.Abort()
		return
	}
	c.used += cost
	c.mu.Unlock()
	in.cost += cost
	in.size += int64(n)
	w.used = 0
	switch {
	case c.file != nil:
		block, err := c.file.Put(w.fill[:n])
		if err != nil {
			w.Abort()
			return
		}
		in.chunks = append(in.chunks, chunk{block: block})
		return
	case n < payload:
		in.chunks = append(in.chunks, chunk{data: append(make([]byte, 0, n), w.fill[:n]...)})
		return
	}
	in.chunks = append(in.chunks, chunk{data: w.fill[:]})
	w.fill = nil
}

// Commit completes the instance. From now on the cache may return it.
func (w *Writer) Commit() {
	if w == nil {
		return
	}
	if w.in != nil && w.used > 0 {
		w.flush()
	}
	if in := w.in; in != nil {
		w.cache.mu.Lock()
		if w.cache.closed {
			w.cache.free(in)
		} else {
			w.cache.insert(in)
		}
		w.cache.mu.Unlock()
		w.in = nil
	}
	w.Abort()
}

// Abort forgets the instance. After Commit it does nothing.
func (w *Writer) Abort() {
	if w == nil {
		return
	}
	if w.in != nil {
		w.cache.mu.Lock()
		w.cache.free(w.in)
		w.cache.mu.Unlock()
		w.in = nil
	}
	if w.fill != nil {
		buffers.Put(w.fill)
		w.fill = nil
	}
	w.used = 0
}
