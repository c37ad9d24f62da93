package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"dicom-qr-gateway/server/listener"
	"dicom-qr-gateway/server/problem"
)

// endTimeout limits what remains after the operations were cancelled: C-CANCEL, release or abort, and the answers.
const endTimeout = 3 * time.Second

// auditTimeout is the least time for the last audit records, after the operations have ended.
const auditTimeout = 500 * time.Millisecond

var errBackground = errors.New("work on jobs has not ended")

// work begins the work in the background. The channel is closed when it has ended.
func (s *Server) work(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	if s.background == nil {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		s.background(ctx)
	}()
	return done
}

// ended waits for the end of the work in the background, but not longer than latest.
func ended(worked <-chan struct{}, latest time.Time) error {
	timeout := time.NewTimer(time.Until(latest))
	defer timeout.Stop()
	select {
	case <-worked:
		return nil
	case <-timeout.C:
	}
	select {
	case <-worked: // both were ready
		return nil
	default:
		return errBackground
	}
}

// drain waits until no operation runs and the work in the background has ended, or cancels the rest after DRAIN_TIMEOUT. Meanwhile
// requests are answered, and /ready shows proxies that this gateway takes no new operations.
func (s *Server) drain(cancel context.CancelCauseFunc, worked <-chan struct{}) {
	idle := s.workload.drain()
	s.associations.Drain()
	s.log.Info().Float64("drain_timeout", s.drainTimeout.Seconds()).Msg("draining")
	timeout := time.NewTimer(s.drainTimeout)
	defer timeout.Stop()
	for idle != nil || worked != nil {
		select {
		case <-idle:
			idle = nil
		case <-worked:
			worked = nil
		case <-timeout.C:
			s.log.Info().Msg("cancelling the remaining operations")
			idle, worked = nil, nil
		}
	}
	cancel(problem.ErrDraining)
}

// finish closes the connections, idle ones first, and waits for the associations. It returns an error if an operation has not
// ended, or its answer has not been handed over to net/http. A caller that does not finish its request is not an error.
func (s *Server) finish(ctx context.Context, h *http.Server, l *listener.Listener) error {
	ctx, stop := context.WithTimeout(ctx, endTimeout)
	defer stop()
	l.CloseFresh()
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
