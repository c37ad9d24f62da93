package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"time"
)

// JobEvent is something that happened to a job.
type JobEvent struct {
	// ID is the place of the event in the history of the job, for [WithLastEventID].
	ID   string
	Kind JobEventKind
	// Job is set for JobChanged and JobFinished.
	Job *Job
	// Item is set for ItemEnded and ItemWaiting.
	Item *JobItemReport
}

// JobEventKind says what a [JobEvent] is.
type JobEventKind string

// The values of [JobEventKind].
const (
	// JobChanged has the state and the counters of the job. It comes first, and when they have changed.
	JobChanged JobEventKind = "job"
	// ItemEnded has the outcome of an item.
	ItemEnded JobEventKind = "item"
	// ItemWaiting has an item that is tried again later.
	ItemWaiting JobEventKind = "waiting"
	// JobFinished comes last.
	JobFinished JobEventKind = "finished"
)

// WithLastEventID makes [Gateway.FollowJob] go on after the event with this ID; "0" begins with the first event of the job.
func WithLastEventID(id string) CallOption { return setHeader(lastEventID, id) }

const lastEventID = "Last-Event-ID"

const (
	followAttempts = 24               // about ten minutes
	followLongest  = 30 * time.Second // wait
	// silence ends a connection that has died without a word: the gateway sends a comment every 15 s.
	silence = time.Minute
)

// FollowJob yields what happens to a job until it has finished. The sequence starts with a JobChanged event and ends with JobFinished or an
// error. If the connection fails, or the gateway is not ready, it connects again and goes on after the last event, for about ten minutes;
// then the error is [ErrCutOff]. If the gateway no longer has the next event, a JobChanged event says where the job is now. Breaking out of
// the loop does not change the job.
func (g *Gateway) FollowJob(ctx context.Context, job string, options ...CallOption) iter.Seq2[*JobEvent, error] {
	return func(yield func(*JobEvent, error) bool) {
		f := follower{gateway: g, job: job}
		f.options = slices.Concat(options, []CallOption{f.editLastEventID})
		for failed := 0; ; failed++ {
			done, err := f.connect(ctx, yield)
			if done {
				return
			}
			if f.alive {
				failed = 0
			}
			var asked time.Duration
			problem, isProblem := errors.AsType[*ProblemError](err)
			switch {
			case ctx.Err() != nil:
				err = ctx.Err()
			case isProblem && problem.Code == ProblemCodeEventsGone && !f.fresh:
				f.last, f.fresh = "", true
				continue
			case !passing(err):
			case failed >= followAttempts:
				err = fmt.Errorf("%w: %w", ErrCutOff, err)
			default:
				if isProblem {
					asked = problem.RetryAfter
				}
				if err = sleep(ctx, max(asked, min(time.Second<<failed, followLongest))); err == nil {
					continue
				}
			}
			yield(nil, err)
			return
		}
	}
}

// passing reports whether a later attempt to follow can succeed: the connection failed, or the gateway or a proxy is not ready.
func passing(err error) bool {
	if problem, ok := errors.AsType[*ProblemError](err); ok {
		return refused(problem.Status)
	}
	if reply, ok := errors.AsType[*ReplyError](err); ok {
		return reply.Err == nil && (refused(reply.Status) || reply.Status == http.StatusBadGateway || reply.Status == http.StatusGatewayTimeout)
	}
	return true
}

// follower is one use of FollowJob.
type follower struct {
	gateway *Gateway
	job     string
	options []CallOption
	last    string // ID of the last event; "": none yet
	fresh   bool   // the ID of the caller is no longer used
	alive   bool   // the last connection brought something
}

func (f *follower) editLastEventID(_ context.Context, r *http.Request) error {
	r.Header.Set("Accept", "text/event-stream")
	switch {
	case f.last != "":
		r.Header.Set(lastEventID, f.last)
	case f.fresh:
		r.Header.Del(lastEventID)
	}
	return nil
}

// connect yields the events of one connection. It returns true after the last event, or when the loop was left, else why the connection
// ended.
func (f *follower) connect(ctx context.Context, yield func(*JobEvent, error) bool) (done bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.alive = false
	response, err := f.gateway.client.FollowJob(ctx, f.job, nil, f.options...)
	if err != nil {
		return false, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK || mediaType(response) != "text/event-stream" {
		return false, failure(response)
	}
	timer := time.AfterFunc(silence, cancel)
	defer timer.Stop()
	for message, err := range messages(&watched{response.Body, func() { f.alive = true; timer.Reset(silence) }}) {
		if err != nil {
			return false, err
		}
		event, err := message.jobEvent(response)
		if err != nil {
			return false, err
		}
		if event == nil {
			continue // an event of a later version
		}
		if event.ID != "" {
			f.last = event.ID
		}
		timer.Stop() // while the caller takes its time
		if !yield(event, nil) || event.Kind == JobFinished {
			return true, nil
		}
		timer.Reset(silence)
	}
	return false, ErrCutOff
}

// jobEvent decodes m. It returns the problem of an error event as an error, and nil for an event of an unknown name.
func (m message) jobEvent(response *http.Response) (*JobEvent, error) {
	event := &JobEvent{ID: m.id, Kind: JobEventKind(m.name)}
	problem := &ProblemError{}
	var data any
	switch {
	case event.Kind == JobChanged || event.Kind == JobFinished:
		event.Job = &Job{}
		data = event.Job
	case event.Kind == ItemEnded || event.Kind == ItemWaiting:
		event.Item = &JobItemReport{}
		data = event.Item
	case m.name == "error":
		data = &problem.Problem
	default:
		return nil, nil
	}
	if err := decode([]byte(m.data), data); err != nil {
		return nil, newReplyError(response, fmt.Errorf("event %s: %w", m.name, err))
	}
	if m.name == "error" {
		return nil, problem
	}
	return event, nil
}

// watched calls arrived when a read has brought something.
type watched struct {
	io.Reader
	arrived func()
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 {
		w.arrived()
	}
	return n, err
}
