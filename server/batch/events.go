package batch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/problem"
)

const (
	eventType = "text/event-stream"
	// heartbeat is below the 15 s that the contract promises.
	heartbeat = 10 * time.Second
	// pace is the time between two events with the counters of a job.
	pace = time.Second
	// writeTimeout limits how long one event takes to reach the caller.
	writeTimeout = 30 * time.Second
)

// FollowJob answers with the events of a job.
func (h *Handlers) FollowJob(ctx context.Context, r api.FollowJobRequestObject) (api.FollowJobResponseObject, error) {
	request := from(ctx)
	if request.OnlyHead {
		if _, err := h.Service.Job(ctx, access.From(ctx), r.Job); err != nil {
			return nil, problemOf(ctx, err)
		}
	}
	return &eventStream{ctx: ctx, service: h.Service, job: r.Job, request: request}, nil
}

// eventStream is the 200 of the events of a job.
type eventStream struct {
	ctx     context.Context
	service Service
	job     string
	request *Request

	mu      sync.Mutex // events and comments are written by two goroutines
	w       http.ResponseWriter
	cancel  context.CancelFunc
	begun   bool
	broken  bool      // the caller no longer accepts events
	last    uint64    // id of the last event
	pending *jobs.Job // with counters that were not sent yet; nil: none
	written time.Time // when something was sent
}

// VisitFollowJobResponse follows the job until it is finished or the caller leaves. After an error nothing has been answered.
func (s *eventStream) VisitFollowJobResponse(w http.ResponseWriter) error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.w, s.cancel = w, cancel
	if s.request.OnlyHead {
		s.begin()
		return nil
	}
	err := s.follow(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.begun { // the caller follows on with the id of the last event
		zerolog.Ctx(ctx).Debug().Msg("events broken off")
		return nil
	}
	return err
}

func (s *eventStream) follow(ctx context.Context) error {
	defer s.beat()()
	for event, err := range s.service.Events(ctx, access.From(ctx), s.job, s.request.After) {
		if err != nil {
			return s.failed(ctx, err)
		}
		if !s.event(&event) {
			break
		}
	}
	return nil
}

// failed returns the problem for an error of the events.
func (s *eventStream) failed(ctx context.Context, err error) error {
	select {
	case <-s.request.Leaving:
		return problem.ErrDraining
	default:
		return problemOf(ctx, err)
	}
}

// event sends an event. It reports whether to go on.
func (s *eventStream) event(e *jobs.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Sequence == 0 {
		return true // the present state, which the caller did not ask for
	}
	s.last = e.Sequence
	switch {
	case e.Kind == jobs.EventFinished:
		s.send("finished", jobOf(e.Job))
		return false
	case e.Item == nil:
		s.pending = nil
		s.send("job", jobOf(e.Job))
	default:
		s.pending = e.Job
		s.send(string(e.Kind), reportOf(e.Item))
	}
	return !s.broken
}

// send writes an event. It is called with the lock.
func (s *eventStream) send(kind string, data any) {
	line, _ := json.Marshal(data) // never fails for these types
	s.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", s.last, kind, line))
}

// begin writes the header. It is called with the lock, or before another goroutine writes.
func (s *eventStream) begin() {
	if s.begun {
		return
	}
	s.begun = true
	h := s.w.Header()
	h.Set("Content-Type", eventType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would buffer the events
	s.w.WriteHeader(http.StatusOK)
}

// write sends text to the caller. If the caller is gone or does not read, it ends the stream. It is called with the lock.
func (s *eventStream) write(text string) {
	if s.broken {
		return
	}
	s.begin()
	connection := http.NewResponseController(s.w)
	_ = connection.SetWriteDeadline(time.Now().Add(writeTimeout)) // test writers have no deadlines
	_, err := io.WriteString(s.w, text)
	if err == nil {
		err = connection.Flush()
	}
	s.written = time.Now()
	if err != nil {
		s.broken = true
		s.cancel()
	}
}

// beat sends counters and comments until the function that it returns has returned. It begins the answer if no event comes at once.
func (s *eventStream) beat() (stop func()) {
	ended := make(chan struct{})
	var beating sync.WaitGroup
	s.written = time.Now()
	beating.Go(func() {
		ticker := time.NewTicker(pace)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case <-s.request.Leaving:
				s.cancel()
				<-ended
				return
			case <-ticker.C:
				s.tick()
			}
		}
	})
	return func() {
		close(ended)
		beating.Wait()
	}
}

func (s *eventStream) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.pending != nil:
		job := jobOf(s.pending)
		s.pending = nil
		s.send("job", job)
	case !s.begun:
		s.write(": following\n\n")
	case time.Since(s.written) >= heartbeat:
		s.write(": still following\n\n")
	}
}
