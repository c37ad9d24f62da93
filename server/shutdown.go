package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// endTimeout bounds what is left to do after the operations were cancelled:
// C-CANCEL, release or abort, and the answers.
const endTimeout = 4 * time.Second

// drain keeps answering while operations run: /ready tells proxies to go elsewhere.
func (s *Server) drain(cancel context.CancelCauseFunc) {
	idle := s.workload.drain()
	s.gateway.Drain()
	s.log.Info().Float64("drain_timeout", s.config.DrainTimeout.Duration().Seconds()).Msg("draining")
	timeout := time.NewTimer(s.config.DrainTimeout.Duration())
	defer timeout.Stop()
	select {
	case <-idle:
	case <-timeout.C:
		s.log.Info().Msg("cancelling what still runs")
	}
	cancel(errDraining)
}

// finish closes the connections, those first on which nothing is answered, and waits for the associations. It fails where an
// operation has not ended, or its answer has not been handed over to net/http; a caller that never ends its request is none.
func (s *Server) finish(ctx context.Context, h *http.Server, fresh *freshConnections) error {
	ctx, stop := context.WithTimeout(ctx, endTimeout)
	defer stop()
	fresh.close()
	open := h.Shutdown(ctx)
	associated := s.gateway.Wait(ctx)
	if open == nil && associated == nil {
		return nil
	}
	unanswered := s.workload.count() // before they are ended
	closed := h.Close()
	if associated == nil && unanswered == 0 {
		s.log.Info().Msg("closed what callers kept open")
		return nil
	}
	return errors.Join(open, associated, closed)
}

// freshConnections are those on which no whole request header has come yet. http.Server.Shutdown waits for them, as one may
// be under way; but most were opened ahead. A request that is just arriving meets what it would meet a moment later.
type freshConnections struct {
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

// follow is to be told of each new state of each connection.
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

// close ends them, and those that come later.
func (f *freshConnections) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for c := range f.open {
		_ = c.Close()
	}
	f.open = nil
}
