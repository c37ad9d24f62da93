package cache

import (
	"io"

	"dicom-qr-gateway/internal/spool"
)

// Item is an instance of the cache that stays readable until Release, whatever the cache removes meanwhile. It is for one goroutine.
type Item struct {
	cache    *Cache
	in       *instance
	next     int    // chunk
	rest     []byte // of the chunk that is read
	buffer   *[chunkSize]byte
	released bool
}

// Entry returns what is known of the instance.
func (i *Item) Entry() spool.Entry { return i.in.entry }

// Size returns the number of bytes of the data set.
func (i *Item) Size() int64 { return i.in.size }

// Release ends the use of the item. It may be called more than once.
func (i *Item) Release() {
	if i.released {
		return
	}
	i.cache.mu.Lock()
	if i.in.pins--; i.in.pins == 0 && i.in.gone {
		i.cache.free(i.in)
	}
	i.cache.mu.Unlock()
	if i.buffer != nil {
		buffers.Put(i.buffer)
	}
	i.released, i.rest, i.buffer = true, nil, nil
}

// chunk returns the next bytes, valid until its next call; io.EOF at the end.
func (i *Item) chunk() ([]byte, error) {
	if i.released {
		return nil, spool.ErrStale
	}
	if i.next == len(i.in.chunks) {
		return nil, io.EOF
	}
	part := i.in.chunks[i.next]
	i.next++
	if part.data == nil {
		if i.buffer == nil {
			i.buffer = buffers.Get().(*[chunkSize]byte)
		}
		return i.cache.file.Get(part.block, i.buffer[:])
	}
	return part.data[:min(len(part.data), payload)], nil
}

// Read reads the data set.
func (i *Item) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(i.rest) == 0 {
		var err error
		if i.rest, err = i.chunk(); err != nil {
			return 0, err
		}
	}
	n := copy(p, i.rest)
	i.rest = i.rest[n:]
	return n, nil
}

// WriteTo writes the rest of the data set, without a copy between if it is in memory.
func (i *Item) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for {
		if len(i.rest) == 0 {
			var err error
			if i.rest, err = i.chunk(); err == io.EOF { //nolint:errorlint // chunk returns it as it is
				return written, nil
			} else if err != nil {
				return written, err
			}
		}
		n, err := w.Write(i.rest)
		written += int64(n)
		i.rest = i.rest[n:]
		if err != nil {
			return written, err
		}
	}
}
