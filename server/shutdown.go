package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"dicom-qr-gateway/server/problem"
)

// endTimeout limits what remains after the operations were cancelled: C-CANCEL, release or abort, and the answers.
const endTimeout = 3 * time.Second

// auditTimeout is the least time for the last audit records, after the operations have ended.
const auditTimeout = 500 * time.Millisecond

// drain waits until no operation runs, or cancels the rest after DRAIN_TIMEOUT. Meanwhile requests are answered, and /ready shows
// proxies that this gateway takes no new operations.
func (s *Server) drain(cancel context.CancelCauseFunc) {
	idle := s.workload.drain()
	s.associations.Drain()
	s.log.Info().Float64("drain_timeout", s.drainTimeout.Seconds()).Msg("draining")
	timeout := time.NewTimer(s.drainTimeout)
	defer timeout.Stop()
	select {
	case <-idle:
	case <-timeout.C:
		s.log.Info().Msg("cancelling the remaining operations")
	}
	cancel(problem.ErrDraining)
}

// finish closes the connections, idle ones first, and waits for the associations. It returns an error if an operation has not
// ended, or its answer has not been handed over to net/http. A caller that does not finish its request is not an error.
func (s *Server) finish(ctx context.Context, h *http.Server, fresh *freshConnections) error {
	ctx, stop := context.WithTimeout(ctx, endTimeout)
	defer stop()
	fresh.close()
	open := h.Shutdown(ctx)
	associated := s.associations.Wait(ctx)
	if open == nil && associated == nil {
		return nil
	}
	unanswered := s.workload.count() // counted before Close ends them
	closed := h.Close()
	if associated == nil && unanswered == 0 {
		s.log.Info().Msg("closed connections that callers kept open")
		return nil
	}
	return errors.Join(open, associated, closed)
}

// freshConnections are connections on which no complete request header has arrived. http.Server.Shutdown waits for them because a
// request may be arriving; but most of them were opened in advance. They are closed at once: a request that is just arriving gets
// what it would get a moment later, a closed connection.
type freshConnections struct {
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

// follow is the ConnState callback of the server.
func (f *freshConnections) follow(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(f.open, c)
	case f.closed:
		_ = c.Close()
	default:
		if f.open == nil {
			f.open = map[net.Conn]struct{}{}
		}
		f.open[c] = struct{}{}
	}
}

// close closes them, and those that are opened later.
func (f *freshConnections) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for c := range f.open {
		_ = c.Close()
	}
	f.open = nil
}
