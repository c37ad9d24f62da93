package jobs

import (
	"context"
	"errors"
	"iter"

	"dicom-qr-gateway/internal/principal"
)

// Service files jobs and works on them. It is safe for concurrent use.
type Service struct{ options Options }

// New returns a Service. It does nothing until Run is called, except that its other methods answer.
func New(o Options) *Service { return &Service{options: o} }

var errTodo = errors.New("not implemented")

// Run works on items until ctx ends, and then until those that run have ended, at most for Options.DrainTimeout.
func (s *Service) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// File files a job: whole or not at all. replayed reports that it was filed before with the same idempotency key. The error is an
// *InvalidError, a *LimitError, a *ConflictError or an *UnavailableError.
func (s *Service) File(ctx context.Context, p principal.Principal, o Order) (job *Job, replayed bool, err error) {
	return nil, false, &UnavailableError{Err: errTodo}
}

// Jobs returns a page of the jobs of the caller, the newest first; all jobs for an administrator. more reports whether others follow.
func (s *Service) Jobs(ctx context.Context, p principal.Principal, page Page) (list []Job, more bool, err error) {
	return nil, false, &UnavailableError{Err: errTodo}
}

// Job returns one job. The error is a *NotFoundError or an *UnavailableError.
func (s *Service) Job(ctx context.Context, p principal.Principal, id string) (*Job, error) {
	return nil, &UnavailableError{Err: errTodo}
}

// Items returns a page of the items of a job, in the order of filing, and how many the selection has in all.
func (s *Service) Items(ctx context.Context, p principal.Principal, id string, sel Selection) (page []ItemReport, total int, err error) {
	return nil, 0, &UnavailableError{Err: errTodo}
}

// Events returns the events of a job after a sequence: first the present state of the job, then what has happened and what happens. It
// ends after an EventFinished, or with an error: a *NotFoundError, a *GoneError, an *UnavailableError or the end of ctx.
func (s *Service) Events(ctx context.Context, p principal.Principal, id string, after uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) { yield(Event{}, &UnavailableError{Err: errTodo}) }
}

// Cancel cancels a job: no item of it begins any more, and those that run are stopped.
func (s *Service) Cancel(ctx context.Context, p principal.Principal, id string) (*Job, error) {
	return nil, &UnavailableError{Err: errTodo}
}

// Retry begins another run with the items of a finished job that are failed, partial or cancelled.
func (s *Service) Retry(ctx context.Context, p principal.Principal, id string) (*Job, error) {
	return nil, &UnavailableError{Err: errTodo}
}

// Delete removes a finished job and everything that is known about it.
func (s *Service) Delete(ctx context.Context, p principal.Principal, id string) error {
	return &UnavailableError{Err: errTodo}
}

// Stats returns what was known some seconds ago. It never blocks.
func (s *Service) Stats() Stats { return Stats{} }
