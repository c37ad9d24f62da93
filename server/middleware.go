package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/listener"
	"dicom-qr-gateway/server/wado"
)

// All middleware, in the order in which a request passes it. The layers of a list are ordered outermost first.
//
//  1. routed: every request, also one without a route; Echo has found the route before
//  2. checks: POST /q, /qr and /echo, before the body is bound; searchChecks and retrievalChecks: DICOMweb,
//     before the query is bound; jobChecks: below /jobs, before both are bound
//  3. strict: every operation of the contract, around its handler

func (s *Server) routed() []echo.MiddlewareFunc {
	return []echo.MiddlewareFunc{
		s.observe,                        // correlation ID, logger, metrics, deadlines, problem documents, panics, log line
		s.access.CORS(s.methodsOf),       // preflight requests and the headers of CORS
		s.gate,                           // 405 and 404 for methods that the contract does not have
		s.access.Authenticate(s.refused), // 401, before the body is read
	}
}

func (s *Server) checks(v *validator) []echo.MiddlewareFunc {
	return []echo.MiddlewareFunc{
		s.workload.admit, // 503 while draining; 429 and 503 if too many requests are in progress, before the body is read
		v.check,          // 413, 415, 429, 503 and 400: reads and validates the body
		s.workload.pass,  // cancels the request if its caller leaves
		s.requireAudit,   // 503 if no audit record can be written
	}
}

func (s *Server) searchChecks(level qr.Level) []echo.MiddlewareFunc {
	return []echo.MiddlewareFunc{
		s.workload.admit,    // 503 while draining; 429 and 503 if too many requests are in progress
		s.readSearch(level), // 400 and 406: reads and removes the query
		s.workload.pass,     // cancels the request if its caller leaves
		s.requireAudit,      // 503 if no audit record can be written
	}
}

func (s *Server) retrievalChecks(kind wado.Kind) []echo.MiddlewareFunc {
	return []echo.MiddlewareFunc{
		s.workload.admit,      // 503 while draining; 429 and 503 if too many requests are in progress
		s.readRetrieval(kind), // 505, 400 and 406: reads and removes the query
		s.workload.pass,       // cancels the request if its caller leaves
		s.requireAudit,        // 503 if no audit record can be written
	}
}

func (s *Server) strict() []api.StrictMiddlewareFunc {
	layers := []api.StrictMiddlewareFunc{
		s.noteOperation, // the operation and the stream, for the log line and the metrics
		requireResponse, // 500 for a handler that returns nothing
		s.negotiate,     // POST /qr with Accept: text/event-stream goes to the handler that streams
		onConnection,    // the caller's connection, for answers that are written in one part
	}
	slices.Reverse(layers) // the generated server takes the innermost first
	return layers
}

// methodsOf returns the value of Allow for a registered route, such as /dicomweb/:pacs/studies.
func (s *Server) methodsOf(path string) (allow string, ok bool) {
	allow, ok = s.allow[path]
	return allow, ok
}

// gate refuses methods that a route does not have. Echo itself would answer OPTIONS, which the contract does not have.
func (s *Server) gate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if allow, ok := s.allow[c.Path()]; ok && !allows(allow, r.Method) {
			return echo.ErrMethodNotAllowed
		}
		if r.Method == http.MethodOptions {
			return echo.ErrNotFound
		}
		return next(c)
	}
}

// allows reports whether the value of Allow has the method.
func allows(allow, method string) bool {
	for one := range strings.SplitSeq(allow, ", ") {
		if one == method {
			return true
		}
	}
	return false
}

// refused logs and records a request without the required credentials.
func (s *Server) refused(c echo.Context, reason string) {
	ctx := c.Request().Context()
	logger := zerolog.Ctx(ctx)
	logger.Info().Str("reason", reason).Msg("refused")
	// The caller gets the same answer if the record cannot be written.
	if err := s.trail.Refused(access.From(ctx), c.Path(), reason); err != nil {
		logger.Error().Err(err).Msg("audit record not written")
	}
}

// requireAudit refuses operations if their records could not be written.
func (s *Server) requireAudit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.trail.Ready(); err != nil {
			return notRecorded(zerolog.Ctx(c.Request().Context()), api.ProblemCodeAuditUnavailable, err)
		}
		return next(c)
	}
}

// requireResponse returns an error if a handler returns neither a response nor an error, which would otherwise be answered with an
// empty 200.
func requireResponse(next api.StrictHandlerFunc, _ string) api.StrictHandlerFunc {
	return func(c echo.Context, request any) (any, error) {
		response, err := next(c, request)
		if err == nil && response == nil {
			return nil, errNoResponse
		}
		return response, err
	}
}

// negotiate passes a retrieve to the handler that streams if the caller prefers events.
func (s *Server) negotiate(next api.StrictHandlerFunc, _ string) api.StrictHandlerFunc {
	return func(c echo.Context, request any) (any, error) {
		retrieve, ok := request.(api.RetrieveRequestObject)
		if !ok || !prefersEvents(c.Request().Header.Values("Accept")) {
			return next(c, request)
		}
		return s.handlers.RetrieveEvents(c.Request().Context(), retrieve)
	}
}

// onConnection gives the answer of a query or search the connection on which it is sent.
func onConnection(next api.StrictHandlerFunc, _ string) api.StrictHandlerFunc {
	return func(c echo.Context, request any) (any, error) {
		response, err := next(c, request)
		if err != nil {
			return response, err
		}
		var connection *listener.Connection
		// TLS has its own buffer, and the body that would follow a held header is not sent to HEAD.
		if r := c.Request(); r.TLS == nil && r.Method != http.MethodHead {
			connection = listener.Of(r.Context())
		}
		switch answer := response.(type) {
		case queryAnswer:
			answer.connection = connection
			return answer, nil
		case *searchAnswer:
			answer.connection = connection
		}
		return response, nil
	}
}
