package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/problem"
)

// writeTimeout limits how long one answer or event takes to reach the caller.
const writeTimeout = 30 * time.Second

var correlationKey = http.CanonicalHeaderKey(access.CorrelationHeader)

// commonHeader holds the header fields of every answer that does not set its own. Answers share the slices.
var commonHeader = http.Header{
	"X-Content-Type-Options":  {"nosniff"},
	"Referrer-Policy":         {"no-referrer"},
	"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
	"Cache-Control":           {"no-store"},
}

// minHeadLength is a lower bound of the length of the head of a 200.
var minHeadLength = func() int {
	n := len("HTTP/1.1 200 OK\r\nContent-Type: " + jsonUTF8 + "\r\nContent-Length: 1\r\n\r\n")
	for name, values := range commonHeader {
		n += len(name) + len(": \r\n") + len(values[0])
	}
	return n
}()

// observe is the outermost middleware. It gives a request its correlation ID and its logger, turns errors and panics
// into problem documents, and writes the log line.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		r, w := c.Request(), c.Response()
		caller := principal.Principal{CorrelationID: access.CorrelationID(r.Header), Address: c.RealIP()}
		correlation := []string{caller.CorrelationID}
		r.Header[correlationKey] = correlation
		ctx, request := s.telemetry.Request(access.With(r.Context(), caller), r, caller.CorrelationID)
		fields := s.log.With().Str("correlation_id", caller.CorrelationID)
		if id := request.TraceID(); id != "" {
			fields = fields.Str("trace_id", id)
		}
		ctx = fields.Logger().WithContext(ctx)
		c.SetRequest(r.WithContext(ctx))

		h := w.Header()
		h[correlationKey] = correlation
		maps.Copy(h, commonHeader)
		if len(r.TransferEncoding) > 0 {
			// RFC 9112 section 6.1 requires it if the request has a Content-Length too, since a proxy may then have seen another
			// end of the body. net/http removes that field, so whether the request had it is not known here.
			h.Set("Connection", "close")
		}
		s.limitTime(c, start)

		err := guarded(next, c)
		if errors.Is(err, http.ErrAbortHandler) {
			logRequest(c, time.Since(start))
			request.End(s.answerOf(c, true))
			panic(http.ErrAbortHandler)
		}
		if err != nil {
			s.answer(c, err)
		}
		logRequest(c, time.Since(start))
		request.End(s.answerOf(c, false))
		return nil
	}
}

// limitTime sets the deadlines of the connection for one request: to read the body, and to write the answer.
func (s *Server) limitTime(c echo.Context, start time.Time) {
	r, w := c.Request(), c.Response()
	connection := http.NewResponseController(w)
	if r.ContentLength != 0 {
		// Errors are those of test writers without deadlines.
		_ = connection.SetReadDeadline(start.Add(s.limits.body))
	}
	w.Before(func() {
		declareUTF8(w.Header())
		until := time.Now().Add(s.limits.write)
		if read, _ := c.Get(bodyReadKey).(bool); r.ContentLength != 0 && !read {
			until = until.Add(s.limits.body) // net/http reads the body before it sends the answer
		}
		_ = connection.SetWriteDeadline(until)
		if s.workload.isDraining() {
			w.Header().Set("Connection", "close") // a caller that reuses its connection would come back to this gateway
		}
	})
}

// declareUTF8 adds the character set to the Content-Type of a JSON answer that the generated server wrote. JSON needs none (RFC
// 8259 section 11), but some clients take text of an undeclared character set for ISO 8859-1, such as PowerShell 5.
//
// A problem document keeps its media type as RFC 9457 registers it: clients compare it, and its bytes are ASCII.
func declareUTF8(h http.Header) {
	if v := h["Content-Type"]; len(v) == 1 && v[0] == jsonType {
		h["Content-Type"] = jsonUTF8Header
	}
}

// jsonUTF8Header is shared by answers.
var jsonUTF8Header = []string{jsonUTF8}

// guarded calls next and returns a panic as an error.
func guarded(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panicError(c.Request().Context(), value)
		}
	}()
	return next(c)
}

// panicError logs where a panic arose and returns the error to answer with. It does not log the text of a value that is not
// the runtime's own: that may hold data of the request or the answer.
func panicError(ctx context.Context, value any) error {
	if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return http.ErrAbortHandler
	}
	event := zerolog.Ctx(ctx).Error().Str("panic", fmt.Sprintf("%T", value)).Bytes("stack", debug.Stack())
	if fault, ok := value.(runtime.Error); ok {
		event.Str("reason", fault.Error())
	}
	event.Msg("panic")
	return &problem.Problem{Code: api.ProblemCodeInternalError}
}

// answer writes the problem document for err if nothing has been answered yet.
func (s *Server) answer(c echo.Context, err error) {
	ctx := c.Request().Context()
	if _, isProblem := errors.AsType[*problem.Problem](err); c.Response().Committed && !isProblem {
		// The answer was being written, so err is that of the connection.
		zerolog.Ctx(ctx).Debug().Msg("the caller did not take the answer")
		return
	}
	var p *problem.Problem
	if refused, ok := errors.AsType[*echo.HTTPError](err); ok {
		p = s.routerProblem(c, refused)
	} else {
		p = problem.Of(ctx, err)
	}
	c.Set(codeKey, p.Code)
	c.Set(faultsKey, p.Faults)
	logCause(ctx, p)
	if c.Response().Committed {
		return
	}
	if err := p.Write(c.Response(), access.From(ctx).CorrelationID); err != nil {
		zerolog.Ctx(ctx).Debug().Msg("the caller did not take the answer")
	}
}

// routerProblem returns the problem for a request that the router refused.
func (s *Server) routerProblem(c echo.Context, refused *echo.HTTPError) *problem.Problem {
	switch refused.Code {
	case http.StatusNotFound, http.StatusBadRequest: // the generated server refuses an empty part of the path with 400
		return &problem.Problem{Code: api.ProblemCodeRouteNotFound}
	case http.StatusMethodNotAllowed:
		return methodNotAllowed(s.allow[c.Path()])
	}
	return &problem.Problem{Code: api.ProblemCodeInternalError, Cause: refused}
}

// methodNotAllowed returns the problem for a method that the route, which has those of allow, does not have.
func methodNotAllowed(allow string) *problem.Problem {
	p := &problem.Problem{Code: api.ProblemCodeMethodNotAllowed, Allow: allow}
	switch allow {
	case http.MethodPost:
		p.Detail = "This route supports only POST. Use POST, with the request as JSON in the body."
	case http.MethodGet + ", " + http.MethodHead:
		p.Detail = "This route supports only GET and HEAD. Use GET."
	}
	return p
}

// logCause logs the errors of dicomnet and of the spool at warn, because they hold neither patient data nor free text of a PACS. Of other
// errors it logs only the type.
func logCause(ctx context.Context, p *problem.Problem) {
	if p.Cause == nil {
		return
	}
	logger := zerolog.Ctx(ctx)
	op, isOp := errors.AsType[*dicomnet.OpError](p.Cause)
	full, isFull := errors.AsType[*spool.FullError](p.Cause)
	panicked, isPanic := errors.AsType[*receive.PanicError](p.Cause)
	switch {
	case isPanic:
		event := logger.Error().Str("panic", panicked.Type).Bytes("stack", panicked.Stack)
		if panicked.Reason != "" {
			event.Str("reason", panicked.Reason)
		}
		event.Msg("panic")
	case isFull:
		logger.Warn().Str("code", string(p.Code)).Str("error", full.Error()).Msg("failed")
	case isOp:
		logger.Warn().Str("code", string(p.Code)).Str("error", telemetry.ErrorText(op)).Msg("failed")
	case p.Code == api.ProblemCodeInternalError:
		logger.Error().Str("error_type", fmt.Sprintf("%T", p.Cause)).Msg("internal error")
		logger.Debug().Err(p.Cause).Msg("internal error")
	}
}

// logRequest writes the log line of a request that is over, at warn if it is an operation that failed.
func logRequest(c echo.Context, took time.Duration) {
	ctx, f := c.Request().Context(), factsOf(c)
	level := zerolog.InfoLevel
	if isOperation(c.Path()) && max(c.Response().Status, f.outcome) >= http.StatusInternalServerError {
		level = zerolog.WarnLevel
	}
	event := zerolog.Ctx(ctx).WithLevel(level).
		Str("method", c.Request().Method).
		Str("route", c.Path()).
		Str("client", c.RealIP()).
		Int("status", c.Response().Status).
		Float64("duration_ms", telemetry.Milliseconds(took))
	if caller := access.From(ctx); caller.Name() != principal.Anonymous {
		event.Str("caller", caller.Name())
		if credentials := caller.Credentials(); credentials != "" {
			event.Str("credentials", credentials)
		}
	}
	if f.operation != (operation{}) {
		event.Str("operation", f.operation.name)
		if f.operation.pacs != "" {
			event.Str("pacs", f.operation.pacs)
		}
		if f.operation.peer != "" {
			event.Str("peer", f.operation.peer)
		}
	}
	if f.outcome != 0 {
		event.Int("outcome_status", f.outcome)
	}
	if f.code != "" {
		event.Str("code", string(f.code))
	}
	if len(f.pointers) > 0 {
		event.Strs("pointers", f.pointers)
	}
	event.Msg("request")
}
