package server

import (
	"sync"

	"github.com/labstack/echo/v4"
)

// workload counts the operations that run, of which it takes so many at once, and no more once it is drained.
type workload struct {
	atWork chan struct{} // one each; its capacity is the bound

	mu       sync.Mutex
	running  int // those whose request is still being read or checked too
	draining bool
	idle     chan struct{} // closed when drained and nothing runs
}

func newWorkload(most int) *workload {
	return &workload{atWork: make(chan struct{}, most), idle: make(chan struct{})}
}

func (l *workload) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining {
		return false
	}
	l.running++
	return true
}

func (l *workload) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	if l.draining && l.running == 0 {
		close(l.idle)
	}
}

// drain takes no more work; the channel is closed when none is left. To be
// called once.
func (l *workload) drain() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = true
	if l.running == 0 {
		close(l.idle)
	}
	return l.idle
}

func (l *workload) isDraining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.draining
}

// admit lets operations through unless the gateway drains.
func (l *workload) admit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !l.begin() {
			return errDraining
		}
		defer l.end()
		return next(c)
	}
}

// bound refuses what is over the limit. It comes after the checks of a request: one that is slow to arrive, or faulty, keeps
// nobody out.
func (l *workload) bound(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		select {
		case l.atWork <- struct{}{}:
			defer func() { <-l.atWork }()
			return next(c)
		default:
			return errTooManyOperations
		}
	}
}

// count is how many operations have passed the checks of their requests and have not handed their answer over to net/http.
func (l *workload) count() int { return len(l.atWork) }
