package pool

import (
	"context"
	"sync"
)

// background runs functions that no operation waits for, and counts them. A sync.WaitGroup does not fit: it cannot be waited
// for with a context, and nothing may be added to it during a wait.
type background struct {
	mu      sync.Mutex
	running int
	idle    chan struct{} // closed when running is zero again
}

func (b *background) run(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running == 0 {
		b.idle = make(chan struct{})
	}
	b.running++
	go func() {
		defer b.finish()
		f()
	}()
}

func (b *background) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running--; b.running == 0 {
		close(b.idle)
	}
}

func (b *background) wait(ctx context.Context) error {
	b.mu.Lock()
	running, idle := b.running, b.idle
	b.mu.Unlock()
	if running == 0 {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
