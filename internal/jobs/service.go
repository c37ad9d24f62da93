package jobs

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"dicom-qr-gateway/internal/principal"
)

// Service files jobs and works on them. It is safe for concurrent use.
type Service struct {
	options Options
	store   *store
	views   *views
	stats   atomic.Pointer[Stats]
}

// New returns a Service. It does nothing until Run is called, except that its other methods answer.
func New(o Options) *Service {
	o.setDefaults()
	s := &Service{options: o}
	s.store = &store{options: &s.options}
	const unused, idle = 32, time.Minute
	s.views = &views{store: s.store, limit: unused, idle: idle, all: map[string]*view{}}
	s.store.replaced = s.views.end
	s.stats.Store(&Stats{})
	return s
}

// Run works on items until ctx ends, and then until those that run have ended, at most for Options.DrainTimeout. The other methods fail
// after it has returned.
func (s *Service) Run(ctx context.Context) error {
	defer s.views.close()
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { s.dispatcher(ctx) })
	parts.Go(func() { s.observe(ctx) })
	const look = time.Second // for PACS that were added
	workers := map[string]chan struct{}{}
	for ctx.Err() == nil {
		for _, peer := range s.options.PACS.List() {
			if ended := workers[peer.Name]; ended != nil {
				select {
				case <-ended:
				default:
					continue
				}
			}
			ended := make(chan struct{})
			workers[peer.Name] = ended
			parts.Go(func() {
				defer close(ended)
				(&worker{service: s, name: peer.Name, bell: make(chan struct{}, 1)}).run(ctx)
			})
		}
		sleep(ctx, look)
	}
	return nil
}

// authorized returns the view of a job that the caller may see. The caller of authorized must leave it.
func (s *Service) authorized(ctx context.Context, p principal.Principal, id string) (*view, error) {
	if !validID(id) {
		return nil, &NotFoundError{}
	}
	owner := callerOf(p).owner()
	v, err := s.views.get(ctx, owner, id)
	if err == nil && v == nil && p.Admin() {
		if owner, err = s.store.ownerOf(ctx, id); err == nil && owner != "" {
			v, err = s.views.get(ctx, owner, id)
		}
	}
	switch {
	case err != nil:
		return nil, unavailable(ctx, err)
	case v == nil:
		return nil, &NotFoundError{}
	}
	if err := v.sync(ctx); err != nil {
		s.views.leave(v)
		return nil, unavailable(ctx, err)
	}
	if deleted, err := s.deleted(ctx, v); err != nil || deleted {
		s.views.leave(v)
		if err != nil {
			return nil, unavailable(ctx, err)
		}
		s.views.forget(id)
		return nil, &NotFoundError{}
	}
	return v, nil
}

// deleted reports whether another gateway has deleted the job of the view since the view began.
func (s *Service) deleted(ctx context.Context, v *view) (bool, error) {
	r, err := s.store.record(ctx, v.record.Caller.owner(), v.record.ID)
	return err == nil && r == nil, err
}

// bounded bounds a request to JetStream.
func (s *Service) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.options.Timeout, &UnavailableError{Err: context.DeadlineExceeded})
}

// job describes the job of a view.
func (s *Service) job(v *view) *Job {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.replay.job(s.options.Now(), s.options.Location, s.options.Retention)
}

// Job returns one job. The error is a *NotFoundError or an *UnavailableError.
func (s *Service) Job(ctx context.Context, p principal.Principal, id string) (*Job, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	v, err := s.authorized(ctx, p, id)
	if err != nil {
		return nil, err
	}
	defer s.views.leave(v)
	return s.job(v), nil
}

// Cancel cancels a job: no item of it begins any more, and those that run are stopped. A job that is cancelled already stays as it is.
// The error is a *NotFoundError, a *ConflictError or an *UnavailableError.
func (s *Service) Cancel(ctx context.Context, p principal.Principal, id string) (*Job, error) {
	return s.change(ctx, p, id, RequestCancel, func(j *Job) (kind, event string, run int, err error) {
		if !j.FinishedAt.IsZero() {
			return "", "", 0, &ConflictError{Kind: AlreadyEnded}
		}
		return dispatchCancel, kindCancel, j.Run, nil
	})
}

// Retry begins another run with the items of a finished job that are failed, partial or cancelled. The error is a *NotFoundError, a
// *ConflictError or an *UnavailableError.
func (s *Service) Retry(ctx context.Context, p principal.Principal, id string) (*Job, error) {
	return s.change(ctx, p, id, RequestRetry, func(j *Job) (kind, event string, run int, err error) {
		switch {
		case j.FinishedAt.IsZero():
			return "", "", 0, &ConflictError{Kind: NotFinished}
		case j.Counts.Failed+j.Counts.Partial+j.Counts.Cancelled == 0:
			return "", "", 0, &ConflictError{Kind: NothingToRetry}
		}
		return dispatchRetry, kindRetry, j.Run + 1, nil
	})
}

// Delete removes a finished job and everything that is known about it. The error is a *NotFoundError, a *ConflictError or an
// *UnavailableError.
func (s *Service) Delete(ctx context.Context, p principal.Principal, id string) error {
	_, err := s.change(ctx, p, id, RequestDelete, func(j *Job) (kind, event string, run int, err error) {
		if j.FinishedAt.IsZero() {
			return "", "", 0, &ConflictError{Kind: NotFinished}
		}
		return dispatchDelete, "", j.Run, nil
	})
	return err
}

// change commits a request by its dispatch message, and carries out what the caller sees at once.
func (s *Service) change(
	ctx context.Context, p principal.Principal, id string, request RequestKind, decide func(*Job) (kind, event string, run int, err error),
) (*Job, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	v, err := s.authorized(ctx, p, id)
	if err != nil {
		return nil, err
	}
	defer s.views.leave(v)
	kind, event, run, err := decide(s.job(v))
	if err != nil {
		return nil, err
	}
	if kind == dispatchRetry {
		if err := s.store.reopen(ctx, v.record); err != nil {
			return nil, unavailable(ctx, err)
		}
	}
	d := &dispatch{Kind: kind, Record: v.record, Run: run}
	if _, _, err := s.store.put(ctx, d.message(), true); err != nil {
		return nil, unavailable(ctx, err)
	}
	// The request is carried out from now on, even if its caller leaves.
	committed, end := s.bounded(context.WithoutCancel(ctx))
	defer end()
	if kind == dispatchDelete {
		err = s.remove(committed, v.record)
	} else {
		err = s.mark(committed, v, event, run)
	}
	j := s.job(v)
	s.options.Watch.Requested(request, j, p)
	if err != nil {
		return nil, unavailable(committed, err)
	}
	return j, nil
}
