package server

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/batch"
	"dicom-qr-gateway/server/problem"
	"dicom-qr-gateway/server/schema"
)

const (
	// maxOrder is the length of the body of a job. 10,000 items with all three keys of the usual length take half of it.
	maxOrder = 4 << 20
	// maxOrders is what all bodies of jobs in progress may hold. The values that are parsed from one take several times its size.
	maxOrders = 2 * maxOrder
	// maxFollowers is how many streams of events of jobs there may be at once.
	maxFollowers = 256
)

// jobRoutes are the routes below /jobs by operation, for their query strings.
var jobRoutes = map[string]batch.Route{
	"listJobs": batch.List, "getJob": batch.Single, "deleteJob": batch.Other, "followJob": batch.Other, "cancelJob": batch.Other, "retryJob": batch.Other,
}

// jobChecks adds the middleware of the operations below /jobs.
func (s *Server) jobChecks(order *schema.Order, checks map[string][]echo.MiddlewareFunc) {
	checks["fileJob"] = []echo.MiddlewareFunc{
		s.requireJobs,    // 501 without storage for jobs
		s.workload.admit, // 503 while draining; 429 and 503 if too many requests are in progress, before the body is read
		s.readOrder(order, &bodies{limit: maxOrder, shares: newShares(maxOrders)}), // 413, 415, 429, 503 and 400: reads the body and the query
		s.workload.pass, // cancels the request if its caller leaves
		s.requireAudit,  // 503 if no audit record can be written
	}
	for operation, route := range jobRoutes {
		admit := s.workload.admit
		if operation == "followJob" {
			admit = s.workload.follow
		}
		layers := []echo.MiddlewareFunc{s.requireJobs, admit, s.readJobRequest(route), s.workload.pass}
		if route == batch.Other && operation != "followJob" {
			layers = append(layers, s.requireAudit)
		}
		checks[operation] = layers
	}
}

// requireJobs refuses requests for jobs if there is no storage for them.
func (s *Server) requireJobs(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if s.handlers.Service == nil {
			closeBeforeBody(c)
			return &problem.Problem{Code: api.ProblemCodeJobsDisabled}
		}
		return next(c)
	}
}

// readOrder returns the middleware that reads what a caller files. It passes the result on in the context.
func (s *Server) readOrder(order *schema.Order, b *bodies) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			read := batch.ReadJSON
			switch {
			case isEncoded(r.Header):
				return encodedBody()
			case declares(r.Header, csvType):
				read = batch.ReadCSV
			case !declares(r.Header, jsonType):
				closeBeforeBody(c)
				return &problem.Problem{
					Code:   api.ProblemCodeUnsupportedMediaType,
					Detail: "Send the header Content-Type: application/json or text/csv. The body must be in UTF-8, without a content encoding.",
				}
			}
			key, err := batch.IdempotencyKey(r.Header)
			if err != nil {
				closeBeforeBody(c)
				return err
			}
			caller := access.From(r.Context()).Identity()
			body, held, err := b.read(c, caller)
			defer b.shares.give(caller, held)
			if err != nil {
				return err
			}
			filed, err := read(order, r.URL.RawQuery, body)
			if err != nil {
				return err
			}
			filed.IdempotencyKey = key
			r.URL.RawQuery = ""
			r.Body = checkedBody{http.NoBody, map[string]any{}} // the generated server has nothing to decode
			return next(s.withJobRequest(c, &batch.Request{Order: filed}))
		}
	}
}

// readJobRequest returns the middleware that reads a request below /jobs without a body.
func (s *Server) readJobRequest(route batch.Route) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			page, err := batch.ReadQuery(route, r.URL.RawQuery)
			if err != nil {
				return err
			}
			r.URL.RawQuery = ""
			request := &batch.Request{Page: page}
			switch c.Path() {
			case "/jobs/:job":
				request.Prefers = batch.Preferred(r.Header.Values("Accept"))
			case "/jobs/:job/events":
				if request.After, err = batch.LastEventID(r.Header); err != nil {
					return err
				}
			}
			return next(s.withJobRequest(c, request))
		}
	}
}

func (s *Server) withJobRequest(c echo.Context, request *batch.Request) echo.Context {
	r := c.Request()
	request.BaseURL, request.OnlyHead, request.Leaving = s.access.BaseURL(r), r.Method == http.MethodHead, s.workload.leaving
	c.SetRequest(r.WithContext(batch.With(r.Context(), request)))
	return c
}

// permit returns the problem if the caller of a job may not use its PACS.
func (h *handlers) permit(ctx context.Context, pacs string) error {
	_, err := h.peer(ctx, pacsOf{name: pacs}, "")
	return err
}

// follow refuses streams of events while the gateway drains, and those of a caller that has its share of them.
func (l *workload) follow(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if l.isDraining() {
			return problem.ErrDraining
		}
		caller := access.From(c.Request().Context()).Identity()
		switch l.followers.take(caller, 1) {
		case granted:
		case callerShare:
			return problem.ErrCallerShare
		case exhausted:
			return problem.ErrTooManyOperations
		}
		defer l.followers.give(caller, 1)
		return next(c)
	}
}
