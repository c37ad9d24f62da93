// Package budget limits the memory that operations keep of what PACS send: over all of them, for each caller, and for each
// operation.
//
// Each operation has a small allowance of its own, which is enough for most. One that needs more reserves a whole share for as
// long as it grows, so that operations that grow never wait for each other in a circle. Once it has all that it needs, it settles
// for what it keeps. Shares are granted to callers in turn, and no caller gets the last one.
package budget

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// Allowance is what every operation may keep without a reservation, in bytes: a few hundred studies.
	Allowance = 128 << 10
	// shares is how many operations may grow beyond their allowance at once.
	shares = 4
	// minShare is the least share that is useful: two messages of the size that is accepted from a peer.
	minShare = 2 * messageRoom
	// messageRoom is what reading a message of that size takes.
	messageRoom = 4 << 20
	// step is how much a settled operation reserves at a time.
	step = 64 << 10
)

// TooLargeError reports that an operation needs more than its share.
type TooLargeError struct{ Max int64 } // in bytes

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the answer needs more than %d MiB of memory", e.Max>>20)
}

// BusyError reports that other operations did not free memory in time.
type BusyError struct{}

func (*BusyError) Error() string { return "other operations use all memory for answers" }

// Budget is the memory that all operations share. It is safe for concurrent use. A nil Budget limits nothing.
type Budget struct {
	limit, share int64
	wait         time.Duration

	mu       sync.Mutex
	reserved int64
	callers  map[any]*caller // those with a reservation or a waiting operation
	turns    list.List       // of the callers with waiting operations, the next one first
}

// caller is what the operations of one caller have reserved, and those that wait.
type caller struct {
	key      any
	reserved int64
	waiting  list.List     // of *waiter
	turn     *list.Element // in Budget.turns; nil while none waits
}

// waiter is an operation that waits for memory.
type waiter struct {
	bytes int64
	ready chan struct{} // closed when the bytes are reserved
}

// New returns a Budget of limit bytes, at least 32 MiB. An operation waits for others to free memory for at most wait.
func New(limit int64, wait time.Duration) *Budget {
	share := max(limit/shares, minShare)
	return &Budget{limit: share * shares, share: share, wait: wait, callers: map[any]*caller{}}
}

// Reserved returns how many bytes operations have reserved.
func (b *Budget) Reserved() int64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reserved
}

// Account returns the account of a new operation of a caller, which is any comparable value. The operation must close it.
func (b *Budget) Account(caller any) *Account {
	if b == nil {
		return nil
	}
	return &Account{budget: b, caller: caller}
}

// permits reports whether the caller may reserve more. It is called with the lock.
func (b *Budget) permits(c *caller, bytes int64) bool {
	return b.reserved+bytes <= b.limit && c.reserved+bytes <= b.limit-b.share
}

// reserve reserves bytes for an operation of the caller. Unless patient is set it does not wait.
func (b *Budget) reserve(ctx context.Context, key any, bytes int64, patient bool) error {
	b.mu.Lock()
	c := b.callers[key]
	if c == nil {
		c = &caller{key: key}
		b.callers[key] = c
	}
	if b.turns.Len() == 0 && b.permits(c, bytes) {
		b.grant(c, bytes)
		b.mu.Unlock()
		return nil
	}
	if !patient || b.wait <= 0 {
		b.forget(c)
		b.mu.Unlock()
		return &BusyError{}
	}
	w := &waiter{bytes: bytes, ready: make(chan struct{})}
	ticket := c.waiting.PushBack(w)
	if c.turn == nil {
		c.turn = b.turns.PushBack(c)
	}
	b.serve() // those before may be at the limit of their caller
	b.mu.Unlock()
	return b.await(ctx, c, ticket)
}

// await waits until the bytes of the ticket are reserved.
func (b *Budget) await(ctx context.Context, c *caller, ticket *list.Element) error {
	w := ticket.Value.(*waiter)
	timer := time.NewTimer(b.wait)
	defer timer.Stop()
	var err error
	select {
	case <-w.ready:
		return nil
	case <-timer.C:
		err = &BusyError{}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.ready: // at the same moment
		c.reserved -= w.bytes
		b.reserved -= w.bytes
	default:
		b.leave(c, ticket)
	}
	b.serve()
	b.forget(c)
	return err
}

// grant is called with the lock.
func (b *Budget) grant(c *caller, bytes int64) {
	c.reserved += bytes
	b.reserved += bytes
}

// leave takes a waiter from the queue of its caller. It is called with the lock.
func (b *Budget) leave(c *caller, ticket *list.Element) {
	c.waiting.Remove(ticket)
	if c.waiting.Len() == 0 {
		b.turns.Remove(c.turn)
		c.turn = nil
	}
}

// serve grants what waits, one operation of each caller in turn. A caller at its limit is passed over. It is called with the lock.
func (b *Budget) serve() {
	for passed := 0; passed < b.turns.Len(); {
		turn := b.turns.Front()
		c := turn.Value.(*caller)
		first := c.waiting.Front()
		w := first.Value.(*waiter)
		b.turns.MoveToBack(turn)
		if !b.permits(c, w.bytes) {
			passed++
			continue
		}
		passed = 0
		b.grant(c, w.bytes)
		b.leave(c, first)
		close(w.ready)
	}
}

// release returns bytes that an operation of the caller has reserved.
func (b *Budget) release(key any, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.callers[key]
	c.reserved -= bytes
	b.reserved -= bytes
	b.serve()
	b.forget(c)
}

// forget drops a caller that neither has nor waits for anything. It is called with the lock.
func (b *Budget) forget(c *caller) {
	if c.reserved == 0 && c.waiting.Len() == 0 {
		delete(b.callers, c.key)
	}
}
