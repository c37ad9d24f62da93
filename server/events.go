package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/mediatype"
	"dicom-qr-gateway/server/problem"
)

// heartbeatInterval is below the 15 s that the contract promises.
const heartbeatInterval = 10 * time.Second

// eventStream answers /qr with server-sent events. It runs the retrieve while it answers. The answer begins when the studies
// to be moved are known, so a failure before that is an ordinary problem document.
type eventStream struct {
	ctx       context.Context
	retrieval retrieval
	heartbeat time.Duration

	mu       sync.Mutex // callbacks and heartbeat both write
	w        http.ResponseWriter
	begun    bool
	broken   bool // the caller no longer accepts events
	cancel   context.CancelFunc
	stopBeat func()

	// outcome and code say how a stream that has begun ended, once VisitRetrieveResponse has returned: the status that the
	// plain answer would have, and the code of the problem or "".
	outcome int
	code    api.ProblemCode
}

var _ api.RetrieveResponseObject = (*eventStream)(nil)

func newEventStream(ctx context.Context, r retrieval) *eventStream {
	s := &eventStream{ctx: ctx, retrieval: r, heartbeat: heartbeatInterval}
	r.task.events = s
	return s
}

// VisitRetrieveResponse runs the retrieve. After an error nothing has been answered.
func (s *eventStream) VisitRetrieveResponse(w http.ResponseWriter) error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.w, s.cancel, s.stopBeat = w, cancel, func() {}

	answer, err := s.run(ctx)
	s.stopBeat() // no comment follows the last event
	switch {
	case err != nil && !s.begun:
		return err
	case err != nil:
		p := problem.Of(ctx, err)
		s.code, s.outcome = p.Code, p.Status()
		logCause(ctx, p)
		s.send("error", p.Document(access.From(ctx).CorrelationID))
	default:
		defer answer.release()
		s.outcome = answer.status
		s.stream("result", func(j *jsonWriter) {
			answer.write(j)
			j.number(`,"http_status":`, &answer.status)
			j.text("}")
		})
	}
	return nil
}

// run returns a panic as an error, so that a stream that has begun gets its last event.
func (s *eventStream) run(ctx context.Context) (answer *retrieveAnswer, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panicError(ctx, value)
		}
	}()
	return s.retrieval.run(ctx)
}

func (s *eventStream) ended() (outcome int, code api.ProblemCode) { return s.outcome, s.code }

func (s *eventStream) matched(studies []qr.Study, warnings []qr.Warning) {
	h := s.w.Header()
	h.Set("Content-Type", eventType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would buffer the events
	s.w.WriteHeader(http.StatusOK)
	s.begun = true
	total := len(studies)
	s.stream("matched", func(j *jsonWriter) {
		j.text(`{"operation":"`, string(api.MatchedEventOperationCMOVE), `"`)
		j.number(`,"total_count":`, &total)
		j.member(`,"patient_id":`, s.retrieval.filter.PatientID)
		j.studies(studies)
		j.value(`,"warnings":`, warningsOf(warnings))
		j.text("}")
	})
	s.startBeat()
}

func (s *eventStream) moving(p qr.SubOperations) {
	s.send("progress", api.ProgressEvent{
		StudyInstanceUID: p.StudyInstanceUID,
		StudyIndex:       p.Index,
		StudyCount:       p.Total,
		Remaining:        p.Remaining,
		Completed:        p.Completed,
		Failed:           p.Failed,
		Warning:          p.Warning,
		CompletedTotal:   p.CompletedTotal,
		FailedTotal:      p.FailedTotal,
	})
}

func (s *eventStream) retrieved(r qr.Retrieval) {
	s.stream("retrieved", func(j *jsonWriter) { j.retrieval(&r) })
}

func (s *eventStream) send(event string, data any) {
	// Marshal does not fail for these types.
	line, _ := json.Marshal(data)
	s.write(fmt.Sprintf("event: %s\ndata: %s\n\n", event, line))
}

// stream sends an event whose data may be long. JSON has no line breaks, so an event has two lines.
func (s *eventStream) stream(event string, data func(j *jsonWriter)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := newJSONWriter(eventPart{s})
	defer j.close()
	j.text("event: ", event, "\ndata: ")
	data(j)
	j.text("\n\n")
	_ = j.flush() // the stream is broken then
}

// eventPart writes to the stream, whose lock is held.
type eventPart struct{ *eventStream }

// Write sends a part of an event.
func (e eventPart) Write(part []byte) (int, error) {
	if e.locked(part); e.broken {
		return 0, errBroken
	}
	return len(part), nil
}

var errBroken = errors.New("the caller no longer accepts events")

// write sends text to the caller.
func (s *eventStream) write(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locked([]byte(text))
}

// locked sends text to the caller. If the caller is gone or does not read, it cancels the retrieve. It is called with the lock.
func (s *eventStream) locked(text []byte) {
	if s.broken {
		return
	}
	connection := http.NewResponseController(s.w)
	_ = connection.SetWriteDeadline(time.Now().Add(writeTimeout)) // test writers have no deadlines
	_, err := s.w.Write(text)
	if err == nil {
		err = connection.Flush()
	}
	if err != nil {
		s.broken = true
		s.cancel()
	}
}

// startBeat sends a comment at each interval until stopBeat, which waits for it to end.
func (s *eventStream) startBeat() {
	stop := make(chan struct{})
	var beat sync.WaitGroup
	beat.Go(func() {
		ticker := time.NewTicker(s.heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.write(": still moving\n\n")
			case <-stop:
				return
			}
		}
	})
	s.stopBeat = func() {
		close(stop)
		beat.Wait()
	}
}

// prefersEvents reports whether Accept prefers events to JSON.
func prefersEvents(fields []string) bool { return mediatype.Prefers(fields, eventType, jsonType) }
