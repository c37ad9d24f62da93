package jobs

import (
	"context"
	"iter"
	"math"

	"dicom-qr-gateway/internal/principal"
)

// Now is the sequence of the last event that there is.
const Now uint64 = math.MaxUint64

// Events returns the events of a job after a sequence: what has happened and what happens. After Now, the first is an EventJob with the
// state at Now. The last is an EventFinished; a job that is finished, and that is followed after its last event, has only this one. The
// events may also end with an error: a *NotFoundError, a *GoneError, an *UnavailableError or the end of ctx.
func (s *Service) Events(ctx context.Context, p principal.Principal, id string, after uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		e := &events{service: s, after: after, yield: yield}
		if err := e.run(ctx, p, id); err != nil && !e.stopped {
			yield(Event{}, err)
		}
	}
}

// events is one range over the events of a job.
type events struct {
	service *Service
	replay  *replay
	after   uint64
	last    uint64 // of the events that there were at the beginning
	yield   func(Event, error) bool
	stopped bool // yield has returned false
	chunk   int  // whose items are kept
	first   int
	items   []Item
}

func (e *events) run(ctx context.Context, p principal.Principal, id string) error {
	s := e.service
	begin, cancel := s.bounded(ctx)
	defer cancel()
	v, err := s.authorized(begin, p, id)
	if err != nil {
		return err
	}
	present := s.job(v)
	v.read(func(p *replay) { e.replay, e.last = p.clone(), p.sequence })
	s.views.leave(v)
	cancel()
	e.chunk = -1
	switch {
	case e.after == Now:
		e.after = e.last
		if !e.send(Event{Sequence: e.last, Time: s.options.Now(), Kind: EventJob, Job: present}) {
			return nil
		}
	case e.after > e.last:
		return &GoneError{}
	case e.after < e.last:
		e.replay = newReplay(v.record)
	}
	if e.after == e.last && e.replay.finished() {
		e.send(Event{Sequence: e.last, Time: present.FinishedAt, Kind: EventFinished, Job: present})
		return nil
	}
	var failed error
	err = s.store.follow(ctx, present.ID, e.replay.sequence+1, false, func(now *event, data []byte) bool {
		var more bool
		more, failed = e.apply(ctx, now, data)
		return more
	})
	if err == nil {
		err = failed
	}
	if e.stopped || err == nil {
		return nil
	}
	return unavailable(ctx, err)
}

func (e *events) send(event Event) bool {
	e.stopped = !e.yield(event, nil)
	return !e.stopped
}

// apply applies an event, and yields it if it is one that callers see. more is false when the job has finished.
func (e *events) apply(ctx context.Context, now *event, data []byte) (more bool, err error) {
	if now.kind == kindFiled && e.after > 0 && e.after < now.sequence {
		return false, &GoneError{} // a sequence of another job
	}
	changed := e.replay.apply(now)
	if now.sequence > e.after && (changed || now.kind == kindFiled) {
		seen := Event{Sequence: now.sequence, Time: now.at, Kind: kindOf(now)}
		if seen.Kind != "" {
			s := e.service
			seen.Job = e.replay.job(now.at, s.options.Location, s.options.Retention)
			if now.index >= 0 {
				if seen.Item, err = e.item(ctx, now, data); err != nil {
					return false, err
				}
			}
			if !e.send(seen) {
				return false, nil
			}
		}
	}
	if now.sequence < e.last || !e.replay.finished() {
		return true, nil
	}
	s := e.service
	e.send(Event{
		Sequence: now.sequence, Time: now.at, Kind: EventFinished, Job: e.replay.job(now.at, s.options.Location, s.options.Retention),
	})
	return false, nil
}

// kindOf returns what callers see of an event; "": nothing.
func kindOf(e *event) EventKind {
	switch e.kind {
	case kindFiled, kindCancel, kindClosed, kindRetry:
		return EventJob
	case kindWait:
		return EventWaiting
	case kindDone:
		return EventItem
	}
	return ""
}

// item returns the item of an event as it is now.
func (e *events) item(ctx context.Context, now *event, data []byte) (*ItemReport, error) {
	i := &e.replay.items[now.index]
	seen := &ItemReport{Number: now.index + 1, State: i.state, Attempts: i.attempts, EndedAt: i.ended}
	if i.state == Waiting {
		seen.NextAttemptAt = i.until
	}
	r := e.replay.record
	if c, first := r.chunk(now.index); c != e.chunk {
		request, cancel := e.service.bounded(ctx)
		defer cancel()
		items, err := e.service.store.chunk(request, r.ID, c)
		if err != nil {
			return nil, err
		}
		e.chunk, e.first, e.items = c, first, items
	}
	if at := now.index - e.first; at < len(e.items) {
		seen.Item = e.items[at]
	}
	report, err := decodeReport(data)
	if err != nil {
		return nil, err
	}
	report.fill(seen)
	return seen, nil
}
