package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/api"
)

const (
	// writeTimeout bounds the arrival of one answer or event at the caller.
	writeTimeout = 30 * time.Second
)

var correlationKey = http.CanonicalHeaderKey(correlationHeader)

// everyAnswer are headers of every answer that does not set its own. The slices are shared.
var everyAnswer = http.Header{
	"X-Content-Type-Options":  {"nosniff"},
	"Referrer-Policy":         {"no-referrer"},
	"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
	"Cache-Control":           {"no-store"},
}

// observe is outermost: it gives a request its correlation ID and logger, turns
// errors and panics into problem documents, and writes the log line.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		r, w := c.Request(), c.Response()
		info := &requestInfo{correlationID: correlationID(r.Header), wantsEvents: prefersEvents(r.Header.Values("Accept"))}
		correlation := []string{info.correlationID}
		r.Header[correlationKey] = correlation
		ctx, request := s.telemetry.Request(withInfo(r.Context(), info), r, info.correlationID)
		fields := s.log.With().Str("correlation_id", info.correlationID)
		if id := request.TraceID(); id != "" {
			fields = fields.Str("trace_id", id)
		}
		ctx = fields.Logger().WithContext(ctx)
		c.SetRequest(r.WithContext(ctx))

		h := w.Header()
		h[correlationKey] = correlation
		maps.Copy(h, everyAnswer)

		connection := http.NewResponseController(w)
		if r.ContentLength != 0 {
			// Writers that know no deadlines are those of tests.
			_ = connection.SetReadDeadline(start.Add(s.limits.body))
		}
		w.Before(func() {
			until := time.Now().Add(s.limits.write)
			if r.ContentLength != 0 && !info.bodyRead {
				until = until.Add(s.limits.body) // net/http reads the body before it sends an answer to it
			}
			_ = connection.SetWriteDeadline(until)
			if s.workload.isDraining() {
				h.Set("Connection", "close") // or a caller that keeps its connections would come here again and again
			}
		})

		err := guarded(next, c)
		if errors.Is(err, http.ErrAbortHandler) {
			request.End(s.answerOf(c, true))
			panic(http.ErrAbortHandler)
		}
		if err != nil {
			s.answer(c, err)
		}
		logRequest(ctx, c, time.Since(start))
		request.End(s.answerOf(c, false))
		return nil
	}
}

// guarded makes an error of a panic.
func guarded(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panicError(c.Request().Context(), value)
		}
	}()
	return next(c)
}

// panicError logs where the panic arose and makes an error of it. The text of a
// value that is none of the runtime's own may hold what was asked or answered.
func panicError(ctx context.Context, value any) error {
	if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return http.ErrAbortHandler
	}
	event := zerolog.Ctx(ctx).Error().Str("panic", fmt.Sprintf("%T", value)).Bytes("stack", debug.Stack())
	if fault, ok := value.(runtime.Error); ok {
		event.Str("reason", fault.Error())
	}
	event.Msg("panic")
	return &problem{code: api.ProblemCodeInternalError}
}

// answer writes the problem document for err where nothing has been answered yet.
func (s *Server) answer(c echo.Context, err error) {
	ctx := c.Request().Context()
	info := infoOf(ctx)
	if _, told := errors.AsType[*problem](err); c.Response().Committed && !told {
		// Nothing but the writing of the answer was left to fail.
		zerolog.Ctx(ctx).Debug().Msg("the caller did not take the answer")
		return
	}
	var p *problem
	if refused, ok := errors.AsType[*echo.HTTPError](err); ok {
		p = s.problemOfEcho(c, refused)
	} else {
		p = problemOf(ctx, err)
	}
	info.code = p.code
	logCause(ctx, p)
	if c.Response().Committed {
		return
	}
	if err := p.write(c.Response(), info.correlationID); err != nil {
		zerolog.Ctx(ctx).Debug().Msg("the caller did not take the answer")
	}
}

// problemOfEcho is for the refusals of the router.
func (s *Server) problemOfEcho(c echo.Context, refused *echo.HTTPError) *problem {
	switch refused.Code {
	case http.StatusNotFound:
		return &problem{code: api.ProblemCodeRouteNotFound}
	case http.StatusMethodNotAllowed:
		return &problem{code: api.ProblemCodeMethodNotAllowed, allow: s.allow[c.Request().URL.Path]}
	}
	return &problem{code: api.ProblemCodeInternalError, cause: refused}
}

// logCause tells at info what dicomnet says, for its errors hold neither patient
// data nor free text of a PACS; of other errors only the kind.
func logCause(ctx context.Context, p *problem) {
	if p.cause == nil {
		return
	}
	logger := zerolog.Ctx(ctx)
	op, isOp := errors.AsType[*dicomnet.OpError](p.cause)
	switch {
	case isOp:
		logger.Info().Str("code", string(p.code)).Str("error", errorText(op)).Msg("failed")
	case p.code == api.ProblemCodeInternalError:
		logger.Error().Str("error_type", fmt.Sprintf("%T", p.cause)).Msg("internal error")
		logger.Debug().Err(p.cause).Msg("internal error")
	}
}

func logRequest(ctx context.Context, c echo.Context, took time.Duration) {
	info := infoOf(ctx)
	event := zerolog.Ctx(ctx).Info().
		Str("method", c.Request().Method).
		Str("route", c.Path()).
		Str("client", c.RealIP()).
		Int("status", c.Response().Status).
		Float64("duration_ms", milliseconds(took))
	if who := &info.caller; who.name() != anonymous {
		event.Str("caller", who.name())
		if credentials := who.credentials(); credentials != "" {
			event.Str("credentials", credentials)
		}
	}
	if info.operation != "" {
		event.Str("operation", info.operation).Str("peer", info.peer)
	}
	if info.outcome != 0 {
		event.Int("outcome_status", info.outcome)
	}
	if info.code != "" {
		event.Str("code", string(info.code))
	}
	event.Msg("request")
}

// gate refuses other methods of the routes that are there; Echo itself would
// answer OPTIONS, which the contract does not know.
func (s *Server) gate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if allow, ok := s.allow[r.URL.Path]; ok && !slices.Contains(strings.Split(allow, ", "), r.Method) {
			return echo.ErrMethodNotAllowed
		}
		if r.Method == http.MethodOptions {
			return echo.ErrNotFound
		}
		return next(c)
	}
}

// methodsByPath is the Allow header of each registered route.
func methodsByPath(routes []*echo.Route) map[string]string {
	methods := map[string][]string{}
	for _, route := range routes {
		methods[route.Path] = append(methods[route.Path], route.Method)
	}
	allow := make(map[string]string, len(methods))
	for path, names := range methods {
		slices.Sort(names)
		allow[path] = strings.Join(slices.Compact(names), ", ")
	}
	return allow
}
