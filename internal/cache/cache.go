// Package cache keeps instances that were retrieved, for viewers that ask for them again: in memory or in an encrypted file, the most
// recently used ones, and none for longer than a limit. It holds complete instances only.
package cache

import (
	"container/list"
	"fmt"
	"sync"
	"time"

	"dicom-qr-gateway/internal/sealed"
	"dicom-qr-gateway/internal/spool"
)

// Settings says what a Cache holds.
type Settings struct {
	Size int64         // bytes; 0: no cache
	Dir  string        // of the file; empty: in memory
	TTL  time.Duration // how long an instance is kept
}

// Key identifies an instance in the cache.
type Key struct {
	PACS           string // by which it came; any text that differs between PACS
	SOPInstanceUID string
	Policy         string // which transfer syntaxes were asked for; any text that differs between policies
}

// Mark is a digest of what a PACS lists of an instance: its attributes, and those of its series, study and patient. An archive that
// corrects or merges patients lists other values than before.
type Mark [32]byte

// Wanted is an instance that the PACS lists now.
type Wanted struct {
	SOPInstanceUID string
	Mark           Mark
}

// filePrefix is how the names of files of the cache begin.
const filePrefix = "dicom-qr-gateway-cache-"

// Stats are figures for metrics. All but Bytes and Instances count since the start.
type Stats struct {
	Bytes, Instances int64 // held now
	Hits, Misses     int64 // instances that were asked for
	Outdated         int64 // instances that were removed because the PACS lists other attributes, or because of their age
	Evicted          int64 // instances that were removed to make room
}

// Cache is safe for concurrent use. A nil Cache holds nothing.
type Cache struct {
	settings Settings
	file     *sealed.File // nil: in memory

	mu     sync.Mutex
	stats  Stats
	used   int64 // by all chunks, those of writers and of removed instances in use included
	known  map[Key]*list.Element
	recent list.List // of *instance, the most recently used first
	sweep  *time.Timer
	closed bool
	awaits map[Key][]chan struct{}
}

// instance is guarded by the lock of the cache, but entry, chunks and size do not change once it is in the cache.
type instance struct {
	key    Key
	mark   Mark
	entry  spool.Entry
	chunks []chunk
	size   int64
	cost   int64
	added  time.Time
	pins   int
	gone   bool
}

// chunk is a part of an instance.
type chunk struct {
	data  []byte // nil: in the file
	block sealed.Block
}

// New returns a Cache; nil if Size is 0. It removes the files that earlier processes have left in the directory.
func New(settings Settings) (*Cache, error) {
	if settings.Size <= 0 {
		return nil, nil //nolint:nilnil // a nil Cache is a cache that holds nothing
	}
	c := &Cache{settings: settings, known: map[Key]*list.Element{}, awaits: map[Key][]chan struct{}{}}
	if settings.Dir != "" {
		var err error
		if c.file, err = sealed.Create(settings.Dir, filePrefix, settings.Size); err != nil {
			return nil, fmt.Errorf("create the file of the cache: %w", err)
		}
	}
	return c, nil
}

// Close frees everything. No Item may be in use.
func (c *Cache) Close() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.sweep != nil {
		c.sweep.Stop()
	}
	for c.recent.Len() > 0 {
		c.remove(c.recent.Back())
	}
	return c.file.Close()
}

// Stats returns the present figures.
func (c *Cache) Stats() Stats {
	if c == nil {
		return Stats{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Bytes, s.Instances = c.used, int64(c.recent.Len())
	return s
}

// Fits reports whether the cache could hold so many bytes beside what is in use.
func (c *Cache) Fits(bytes int64) bool { return c != nil && bytes <= c.settings.Size/4*3 }

// Get returns the instances if the cache has all of them with their marks. It removes those with other marks. The caller must release
// the items.
func (c *Cache) Get(pacs, policy string, wanted []Wanted) ([]*Item, bool) {
	if c == nil || len(wanted) == 0 {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	found := make([]*list.Element, 0, len(wanted))
	for _, w := range wanted {
		element, ok := c.known[Key{pacs, w.SOPInstanceUID, policy}]
		if !ok {
			continue
		}
		if in := element.Value.(*instance); in.mark != w.Mark || now.Sub(in.added) >= c.settings.TTL {
			c.stats.Outdated++
			c.remove(element)
			continue
		}
		found = append(found, element)
	}
	if missing := len(wanted) - len(found); missing > 0 {
		c.stats.Misses += int64(missing)
		return nil, false
	}
	c.stats.Hits += int64(len(found))
	items := make([]*Item, len(found))
	for i, element := range found {
		in := element.Value.(*instance)
		in.pins++
		c.recent.MoveToFront(element)
		items[i] = &Item{cache: c, in: in}
	}
	return items, true
}

// Size returns the size of an instance, without using it.
func (c *Cache) Size(key Key) (int64, bool) {
	if c == nil {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.known[key]
	if !ok {
		return 0, false
	}
	return element.Value.(*instance).size, true
}

// Await returns a channel that is closed once the instance is in the cache. The caller must call forget when it waits no more.
func (c *Cache) Await(key Key) (stored <-chan struct{}, forget func()) {
	ready := make(chan struct{})
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[key]; ok {
		close(ready)
		return ready, func() {}
	}
	c.awaits[key] = append(c.awaits[key], ready)
	return ready, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		waiting := c.awaits[key]
		for i := range waiting {
			if waiting[i] == ready {
				waiting = append(waiting[:i:i], waiting[i+1:]...)
				break
			}
		}
		if len(waiting) > 0 {
			c.awaits[key] = waiting
		} else {
			delete(c.awaits, key)
		}
	}
}

// insert adds a complete instance. It is called with the lock.
func (c *Cache) insert(in *instance) {
	if before, ok := c.known[in.key]; ok {
		c.remove(before)
	}
	in.added = time.Now()
	c.known[in.key] = c.recent.PushFront(in)
	for _, ready := range c.awaits[in.key] {
		close(ready)
	}
	delete(c.awaits, in.key)
	if c.sweep == nil {
		c.sweep = time.AfterFunc(c.settings.TTL, c.expire)
	}
}

// expire removes what is too old, so that it is gone even if no caller asks for it.
func (c *Cache) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	now := time.Now()
	next := c.settings.TTL
	for element := c.recent.Front(); element != nil; {
		following := element.Next()
		if left := c.settings.TTL - now.Sub(element.Value.(*instance).added); left > 0 {
			next = min(next, left)
		} else {
			c.stats.Outdated++
			c.remove(element)
		}
		element = following
	}
	if c.sweep = nil; c.recent.Len() > 0 {
		const pause = time.Second // between two looks at all instances
		c.sweep = time.AfterFunc(max(next, pause), c.expire)
	}
}

// room makes room for a chunk by removing the least recently used instances. It reports whether there is. It is called with the lock.
func (c *Cache) room(bytes int64) bool {
	for c.used+bytes > c.settings.Size {
		last := c.recent.Back()
		for last != nil && last.Value.(*instance).pins > 0 { // removing it frees nothing now
			last = last.Prev()
		}
		if last == nil {
			return false
		}
		c.stats.Evicted++
		c.remove(last)
	}
	return true
}

// remove is called with the lock.
func (c *Cache) remove(element *list.Element) {
	in := c.recent.Remove(element).(*instance)
	delete(c.known, in.key)
	in.gone = true
	if in.pins == 0 {
		c.free(in)
	}
}

// free frees the chunks of an instance that is not in use. It is called with the lock.
func (c *Cache) free(in *instance) {
	for _, part := range in.chunks {
		if part.data == nil {
			c.file.Free(part.block)
		} else if len(part.data) == chunkSize {
			buffers.Put((*[chunkSize]byte)(part.data))
		}
	}
	in.chunks = nil
	c.used -= in.cost
}
