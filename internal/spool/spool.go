// Package spool holds instances between the PACS that sends them and the callers that take them, so that a slow caller does not slow
// the PACS down: in memory first, then in an encrypted file, up to limits. When they are reached, writers wait for readers.
package spool

import (
	"cmp"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"dicom-qr-gateway/internal/sealed"
)

// Settings says how much a Spool holds.
type Settings struct {
	MemoryEach int64  // bytes in memory of one retrieval; 0: 4 MiB
	Memory     int64  // bytes in memory of all retrievals; 0: 64 MiB
	Dir        string // of the file; empty: memory only
	Limit      int64  // bytes of the file; 0: 10 GiB
	// Patience is how long a reader may make writers wait before it is cut off; 0: 5 s.
	Patience time.Duration
}

const (
	chunkSize = sealed.MaxBlock
	// payload is how much of a chunk holds data. The rest is for the tag of its encryption.
	payload = chunkSize - sealed.Overhead
	// filePrefix is how the names of files of the spool begin.
	filePrefix = "dicom-qr-gateway-spool-"
)

// Spool is the memory and the file that all retrievals share. It is safe for concurrent use.
type Spool struct {
	settings Settings
	file     *sealed.File // nil: memory only
	memory   atomic.Int64 // of published chunks
	spilled  atomic.Int64
	full     atomic.Int64
	cutOff   atomic.Int64

	starved atomic.Int32 // writers that wait for memory which other retrievals have
	mu      sync.Mutex
	waiting map[*Writer]struct{} // those
}

// New returns a Spool. It removes the files that earlier processes have left in the directory.
func New(settings Settings) (*Spool, error) {
	settings.MemoryEach = cmp.Or(settings.MemoryEach, 4<<20)
	settings.Memory = cmp.Or(settings.Memory, 64<<20)
	settings.Limit = cmp.Or(settings.Limit, 10<<30)
	settings.Patience = cmp.Or(settings.Patience, 5*time.Second)
	s := &Spool{settings: settings, waiting: map[*Writer]struct{}{}}
	if settings.Dir != "" {
		var err error
		if s.file, err = sealed.Create(settings.Dir, filePrefix, settings.Limit); err != nil {
			return nil, fmt.Errorf("create the file of the spool: %w", err)
		}
	}
	return s, nil
}

// Close removes the file. No log may be in use.
func (s *Spool) Close() error { return s.file.Close() }

// Stats are figures for metrics.
type Stats struct {
	Memory  int64 // bytes held in memory
	File    int64 // bytes held in the file
	Spilled int64 // bytes that went to the file since the start
	Full    int64 // times that a PACS had to wait since the start
	CutOff  int64 // readers that were cut off since the start because writers waited for them
}

// Stats returns the present figures.
func (s *Spool) Stats() Stats {
	return Stats{Memory: s.memory.Load(), File: s.file.Used(), Spilled: s.spilled.Load(), Full: s.full.Load(), CutOff: s.cutOff.Load()}
}

// release returns bytes of memory, and wakes the writers that wait for them.
func (s *Spool) release(bytes int64) {
	s.memory.Add(-bytes)
	if s.starved.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.waiting {
		w.wake()
	}
}

// tight reports whether retrievals use so much memory that none is left for what readers have taken already.
func (s *Spool) tight() bool { return s.memory.Load() > s.settings.Memory/2 }

func (s *Spool) await(w *Writer) {
	s.full.Add(1)
	s.starved.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[w] = struct{}{}
}

func (s *Spool) leave(w *Writer) {
	s.starved.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, w)
}

// chunk is a part of an instance: in memory, or in the file.
type chunk struct {
	data   []byte // nil: in the file
	pooled bool   // data is of chunkSize, and goes back to the pool
	used   int    // bytes of data
	block  sealed.Block
	pins   int  // readers that use data at this moment
	gone   bool // nothing but pins keeps it
}

var chunks = sync.Pool{New: func() any { return &chunk{data: make([]byte, chunkSize), pooled: true} }}

func newChunk() *chunk {
	c := chunks.Get().(*chunk)
	c.used, c.gone = 0, false
	return c
}

// cost is how much memory the chunk takes.
func (c *chunk) cost() int64 { return int64(cap(c.data)) }

// shrunk returns a chunk that takes no more memory than its bytes if that is much less.
func (c *chunk) shrunk() *chunk {
	if c.used > chunkSize/8 {
		return c
	}
	small := &chunk{data: make([]byte, c.used+sealed.Overhead), used: c.used}
	copy(small.data, c.data[:c.used])
	chunks.Put(c)
	return small
}
