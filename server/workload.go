package server

import (
	"sync"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/server/problem"
)

// workload counts the running operations, limits their number, and refuses new ones once it is drained.
type workload struct {
	slots chan struct{} // one for each operation past the checks; the capacity is the limit

	mu       sync.Mutex
	running  int // includes operations whose request is still being read or checked
	draining bool
	idle     chan struct{} // closed when drained and nothing runs
}

func newWorkload(limit int) *workload {
	return &workload{slots: make(chan struct{}, limit), idle: make(chan struct{})}
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

// drain refuses new operations. The channel is closed when none is left. It must be called once only.
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

// admit refuses operations while the gateway drains.
func (l *workload) admit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !l.begin() {
			return problem.ErrDraining
		}
		defer l.end()
		return next(c)
	}
}

// limit refuses operations beyond the limit. It follows the checks of a request, so that a slow or faulty request takes no slot.
func (l *workload) limit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		select {
		case l.slots <- struct{}{}:
			defer func() { <-l.slots }()
			return next(c)
		default:
			return problem.ErrTooManyOperations
		}
	}
}

// count returns the number of operations that have passed the checks and have not yet handed their answer over to net/http.
func (l *workload) count() int { return len(l.slots) }
