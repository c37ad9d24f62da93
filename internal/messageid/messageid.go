// Package messageid gives the Message IDs (0000,0110) of PS3.7 to all operations of the process, so that two operations that are open
// at the same time never have the same one. A C-STORE that belongs to a C-MOVE carries the ID of that C-MOVE (PS3.7 section 9.1.1.1).
package messageid

import "sync"

// Allocator gives Message IDs. The zero value is ready. It is safe for concurrent use.
type Allocator struct {
	mu   sync.Mutex
	last uint16
	held map[uint16]struct{}
}

// maxHeld is the number of IDs: all but 0, which some peers treat as absent.
const maxHeld = 1<<16 - 1

// Acquire returns an ID from 1 to 65535 that is not held, and holds it until Release. It gives the IDs in turn, so that an ID returns as
// late as possible. If all of them are held, it returns one of these: the IDs are a matter of correlation, and no operation fails for them.
func (a *Allocator) Acquire() uint16 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next()
	if len(a.held) >= maxHeld {
		return a.last
	}
	for {
		if _, held := a.held[a.last]; !held {
			break
		}
		a.next()
	}
	if a.held == nil {
		a.held = map[uint16]struct{}{}
	}
	a.held[a.last] = struct{}{}
	return a.last
}

func (a *Allocator) next() {
	if a.last++; a.last == 0 {
		a.last = 1
	}
}

// Release frees an ID that Acquire returned. Further calls with it do nothing until Acquire returns it again.
func (a *Allocator) Release(id uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.held, id)
}
