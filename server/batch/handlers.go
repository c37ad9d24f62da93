// Package batch is the HTTP side of jobs: it reads what a caller files as JSON or CSV, and writes jobs, their items and their events.
package batch

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/problem"
)

// Service keeps jobs and works on them; *jobs.Service implements it. The methods are safe for concurrent use.
type Service interface {
	File(ctx context.Context, p principal.Principal, o jobs.Order) (job *jobs.Job, replayed bool, err error)
	Jobs(ctx context.Context, p principal.Principal, page jobs.Page) (list []jobs.Job, more bool, err error)
	Job(ctx context.Context, p principal.Principal, id string) (*jobs.Job, error)
	Items(ctx context.Context, p principal.Principal, id string, s jobs.Selection) (page []jobs.ItemReport, total int, err error)
	Events(ctx context.Context, p principal.Principal, id string, after uint64) iter.Seq2[jobs.Event, error]
	Cancel(ctx context.Context, p principal.Principal, id string) (*jobs.Job, error)
	Retry(ctx context.Context, p principal.Principal, id string) (*jobs.Job, error)
	Delete(ctx context.Context, p principal.Principal, id string) error
}

// ServiceOf returns the jobs as a Service; nil for nil.
func ServiceOf(s *jobs.Service) Service {
	if s == nil {
		return nil
	}
	return s
}

// Handlers implements the operations of the contract below /jobs.
type Handlers struct {
	Service Service
	// Permit returns the problem if the caller may not use the PACS with the name, or there is none.
	Permit func(ctx context.Context, pacs string) error
}

// Request is what was read from a request before its handler runs.
type Request struct {
	Order    *Order // of POST /jobs
	Page     Page
	Prefers  MediaType       // of GET /jobs/{job}
	After    uint64          // of events: the last one that the caller has, or jobs.Now
	BaseURL  string          // of the gateway
	OnlyHead bool            // the method is HEAD
	Leaving  <-chan struct{} // closed when the gateway shuts down, which ends streams of events
}

type requestKey struct{}

// With returns a context that carries the request.
func With(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

func from(ctx context.Context) *Request { return ctx.Value(requestKey{}).(*Request) }

const listLimit, itemsLimit = 20, 100 // of a page, unless the request says otherwise

// FileJob files a job.
func (h *Handlers) FileJob(ctx context.Context, _ api.FileJobRequestObject) (api.FileJobResponseObject, error) {
	request := from(ctx)
	o := request.Order
	if err := h.Permit(ctx, o.PACS); err != nil {
		return nil, err
	}
	caller := access.From(ctx)
	job, replayed, err := h.Service.File(ctx, caller, o.Order)
	if err != nil {
		return nil, o.problemOf(ctx, err)
	}
	answer := api.FileJob202JSONResponse{
		Body:    jobOf(job),
		Headers: api.FileJob202ResponseHeaders{Location: request.BaseURL + "/jobs/" + job.ID, XCorrelationID: caller.CorrelationID},
	}
	if replayed {
		answer.Headers.IdempotencyReplayed = new("true")
	}
	return answer, nil
}

// ListJobs answers with jobs of the caller.
func (h *Handlers) ListJobs(ctx context.Context, _ api.ListJobsRequestObject) (api.ListJobsResponseObject, error) {
	caller, page := access.From(ctx), from(ctx).Page
	if page.Limit == 0 {
		page.Limit = listLimit
	}
	list, more, err := h.Service.Jobs(ctx, caller, jobs.Page{Offset: page.Offset, Limit: page.Limit})
	if err != nil {
		return nil, problemOf(ctx, err)
	}
	answer := api.ListJobs200JSONResponse{
		Body:    api.JobList{Jobs: make([]api.Job, len(list)), More: more},
		Headers: api.ListJobs200ResponseHeaders{XCorrelationID: caller.CorrelationID},
	}
	for i := range list {
		answer.Body.Jobs[i] = jobOf(&list[i])
	}
	return answer, nil
}

// GetJob answers with a job and its items.
func (h *Handlers) GetJob(ctx context.Context, r api.GetJobRequestObject) (api.GetJobResponseObject, error) {
	caller, request := access.From(ctx), from(ctx)
	if request.Prefers == CSV {
		result := &resultAnswer{
			job: r.Job, page: request.Page,
			read: func(offset int) ([]jobs.ItemReport, error) {
				items, _, err := h.Service.Items(ctx, caller, r.Job, jobs.Selection{Offset: offset, Limit: jobs.MaxPage})
				return items, err
			},
		}
		if err := result.begin(); err != nil {
			return nil, problemOf(ctx, err)
		}
		return result, nil
	}
	selection := jobs.Selection{Offset: request.Page.Offset, Limit: request.Page.Limit, State: request.Page.State}
	job, err := h.Service.Job(ctx, caller, r.Job)
	if err != nil {
		return nil, problemOf(ctx, err)
	}
	if selection.Limit == 0 {
		selection.Limit = itemsLimit
	}
	items, total, err := h.Service.Items(ctx, caller, r.Job, selection)
	if err != nil {
		return nil, problemOf(ctx, err)
	}
	return pageAnswer{pageOf(job, items, total), caller.CorrelationID}, nil
}

// pageAnswer is the 200 of a job as JSON. It depends on Accept, as the generated answer does not say.
type pageAnswer struct {
	page          api.JobPage
	correlationID string
}

// VisitGetJobResponse writes the answer.
func (a pageAnswer) VisitGetJobResponse(w http.ResponseWriter) error {
	w.Header().Add("Vary", "Accept")
	return api.GetJob200JSONResponse{
		Body: a.page, Headers: api.GetJob200ResponseHeaders{XCorrelationID: a.correlationID},
	}.VisitGetJobResponse(w)
}

// DeleteJob deletes a finished job.
func (h *Handlers) DeleteJob(ctx context.Context, r api.DeleteJobRequestObject) (api.DeleteJobResponseObject, error) {
	caller := access.From(ctx)
	if err := h.Service.Delete(ctx, caller, r.Job); err != nil {
		return nil, problemOf(ctx, err)
	}
	return api.DeleteJob204Response{Headers: api.DeleteJob204ResponseHeaders{XCorrelationID: caller.CorrelationID}}, nil
}

// CancelJob cancels a job. One that is cancelled stays as it is, so that a caller can repeat a request without a response.
func (h *Handlers) CancelJob(ctx context.Context, r api.CancelJobRequestObject) (api.CancelJobResponseObject, error) {
	caller := access.From(ctx)
	job, err := h.Service.Cancel(ctx, caller, r.Job)
	if is[*jobs.ConflictError](err) {
		if known, failed := h.Service.Job(ctx, caller, r.Job); failed == nil && known.State == jobs.JobCancelled {
			job, err = known, nil
		}
	}
	if err != nil {
		return nil, problemOf(ctx, err)
	}
	return api.CancelJob200JSONResponse{
		Body: jobOf(job), Headers: api.CancelJob200ResponseHeaders{XCorrelationID: caller.CorrelationID},
	}, nil
}

// RetryJob starts another run of what failed, if the caller may still use the PACS.
func (h *Handlers) RetryJob(ctx context.Context, r api.RetryJobRequestObject) (api.RetryJobResponseObject, error) {
	caller := access.From(ctx)
	job, err := h.Service.Job(ctx, caller, r.Job)
	if err != nil {
		return nil, problemOf(ctx, err)
	}
	if err := h.Permit(ctx, job.PACS); err != nil {
		return nil, err
	}
	if job, err = h.Service.Retry(ctx, caller, r.Job); err != nil {
		return nil, problemOf(ctx, err)
	}
	return api.RetryJob202JSONResponse{
		Body: jobOf(job), Headers: api.RetryJob202ResponseHeaders{XCorrelationID: caller.CorrelationID},
	}, nil
}

// problemOf returns the problem for an error of the service.
func problemOf(ctx context.Context, err error) error {
	p := &problem.Problem{Cause: err}
	var (
		conflict    *jobs.ConflictError
		unavailable *jobs.UnavailableError
	)
	switch {
	case is[*jobs.NotFoundError](err):
		p.Code = api.ProblemCodeJobNotFound
	case is[*jobs.GoneError](err):
		p.Code = api.ProblemCodeEventsGone
	case errors.As(err, &conflict):
		p.Code = api.ProblemCode(conflict.Kind)
	case is[*jobs.LimitError](err):
		p.Code, p.RetryAfter = api.ProblemCodeTooManyJobs, problem.RetryAfter
	case errors.As(err, &unavailable):
		zerolog.Ctx(ctx).Warn().Err(unavailable.Err).Msg("the storage for jobs does not answer")
		p.Code, p.RetryAfter = api.ProblemCodeJobsUnavailable, problem.RetryAfter
	default:
		return err
	}
	return p
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// problemOf returns the problem for an error of filing the order.
func (o *Order) problemOf(ctx context.Context, err error) error {
	invalid, ok := errors.AsType[*jobs.InvalidError](err)
	if !ok {
		return problemOf(ctx, err)
	}
	faults := make([]api.Fault, len(invalid.Faults))
	for i, f := range invalid.Faults {
		faults[i] = o.fault(f.Item, f.Field, f.Detail)
	}
	return problem.Invalid(faults)
}

// instant returns the time as an answer has it, without fractions of a second; nil for zero.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC().Truncate(time.Second))
}
