// Package messageid gives the operations of the process their Message IDs (0000,0110) of PS3.7: one sequence for all associations. An
// instance that arrives because of a C-MOVE carries the ID of that C-MOVE (PS3.7 section 9.1.1.1), so no other open operation has it.
package messageid

import "sync"

// Allocator gives Message IDs, from 1 to 65535: some peers treat 0 as absent. It gives them in turn, so that an ID returns as late as
// possible. The zero value is ready. It is safe for concurrent use.
type Allocator struct {
	mu   sync.Mutex
	last uint16
	held map[uint16]struct{}
}

// maxHeld leaves IDs for the operations that hold none.
const maxHeld = 1 << 15

// Next returns an ID that is not held.
func (a *Allocator) Next() uint16 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.next()
}

// Hold returns an ID that is not held, and holds it until Release. If half of all IDs are held already, it does not hold this one: an
// operation can do without a unique ID, so it does not fail.
func (a *Allocator) Hold() uint16 {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := a.next()
	if a.held == nil {
		a.held = map[uint16]struct{}{}
	}
	if len(a.held) < maxHeld {
		a.held[id] = struct{}{}
	}
	return id
}

func (a *Allocator) next() uint16 {
	for {
		a.last++
		if _, held := a.held[a.last]; a.last != 0 && !held {
			return a.last
		}
	}
}

// Release frees an ID that Hold returned. It does nothing if the ID is not held.
func (a *Allocator) Release(id uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.held, id)
}
