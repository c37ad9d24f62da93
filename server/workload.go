package server

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/listener"
	"dicom-qr-gateway/server/problem"
)

// requestsPerOperation times MAX_OPERATIONS is how many requests for operations may be in progress: those whose operations run (the
// pool limits them), those that wait for their PACS, and those whose bodies arrive.
const requestsPerOperation = 4

// workload counts the requests for operations, limits their number, and refuses new ones once it is drained.
type workload struct {
	requests  *shares
	followers *shares       // streams of events of jobs
	leaving   chan struct{} // closed when new operations are refused
	passed    atomic.Int64  // requests past the checks

	mu       sync.Mutex
	running  int // includes requests that are still being read or checked
	draining bool
	idle     chan struct{} // closed when drained and nothing runs
}

func newWorkload(maxOperations int) *workload {
	return &workload{
		requests: newShares(requestsPerOperation * maxOperations), followers: newShares(maxFollowers),
		leaving: make(chan struct{}), idle: make(chan struct{}),
	}
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
	close(l.leaving)
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

// admit refuses requests for operations while the gateway drains, and those of a caller that has its share of all that are in
// progress. The body has not been read yet.
func (l *workload) admit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !l.begin() {
			return problem.ErrDraining
		}
		defer l.end()
		r := c.Request()
		caller := access.From(r.Context()).Identity()
		if refused := l.requests.take(caller, 1); refused != granted {
			closeBeforeBody(c)
			if refused == callerShare {
				return problem.ErrCallerShare
			}
			return problem.ErrTooManyOperations
		}
		defer l.requests.give(caller, 1)
		return next(c)
	}
}

// pass counts the requests that have passed the checks. It keeps their connections open, and cancels a request whose caller leaves.
func (l *workload) pass(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		l.passed.Add(1)
		defer l.passed.Add(-1)
		r := c.Request()
		connection := listener.Of(r.Context())
		connection.Work()
		defer connection.Rest()
		if r.ProtoMajor != 1 { // net/http always reads from HTTP/2 connections
			return next(c)
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		connection.Watch(cancel)
		defer connection.Unwatch()
		c.SetRequest(r.WithContext(ctx))
		err := next(c)
		if connection.Gone() {
			closeAfter(c)
		}
		return err
	}
}

// count returns the number of requests that have passed the checks and have not yet handed their answer over to net/http.
func (l *workload) count() int { return int(l.passed.Load()) }

// shares divides an amount among callers. One caller gets at most as much as it leaves to others: half if it is alone, a third if
// there are two like it. So there is always something left for a caller that has nothing yet, until there are very many callers.
type shares struct {
	limit int

	mu      sync.Mutex
	taken   int
	callers map[principal.Identity]int // exactly those that have something
}

func newShares(limit int) *shares {
	return &shares{limit: limit, callers: map[principal.Identity]int{}}
}

// refusal says why a caller gets nothing.
type refusal int

const (
	granted     refusal = iota
	callerShare         // the caller has its share
	exhausted           // too little is left, even for a caller that has nothing
)

// take gives n to the caller, or nothing.
func (s *shares) take(caller principal.Identity, n int) refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, left := s.callers[caller], s.limit-s.taken
	switch {
	case own+n <= left:
		s.callers[caller] = own + n
		s.taken += n
		return granted
	case own > 0:
		return callerShare
	default:
		return exhausted
	}
}

// give takes n back from the caller.
func (s *shares) give(caller principal.Identity, n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken -= n
	if s.callers[caller] -= n; s.callers[caller] == 0 {
		delete(s.callers, caller)
	}
}
