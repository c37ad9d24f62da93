package server

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/server/dicomweb"
)

// What the log line and the metrics of a request need beside its answer is in the store of its echo.Context, under these
// keys. Only the middleware in this package writes to the store; handlers do not see it.
const (
	operationKey = "operation" // *operation, set by noteOperation before the handler runs
	codeKey      = "code"      // api.ProblemCode of the problem that was answered, set by answer
	faultsKey    = "faults"    // []api.Fault of that problem
	streamKey    = "stream"    // stream, set by noteOperation after the handler returned it
	bodyReadKey  = "body read" // true once the whole body was read, set by readBody
)

// operation says what a request does at a PACS.
type operation struct {
	name string // C-FIND, C-MOVE, C-ECHO or RETRIEVE
	peer string // host:port; "" if the request names a PACS that is not configured
	pacs string // the name of a named PACS
}

// label returns the peer of metrics.
func (o operation) label() string { return cmp.Or(o.pacs, o.peer) }

// noteOperation is the strict middleware that stores what a request does at a PACS, and the stream with which it is answered.
func (s *Server) noteOperation(next api.StrictHandlerFunc, _ string) api.StrictHandlerFunc {
	return func(c echo.Context, request any) (any, error) {
		if o := s.operationOf(c, request); o != nil {
			c.Set(operationKey, o)
		}
		response, err := next(c, request)
		if stream, ok := response.(stream); ok && err == nil {
			c.Set(streamKey, stream)
		}
		return response, err
	}
}

// stream is an answer that begins before its outcome is known.
type stream interface {
	// ended returns the status that the plain answer would have, and the code of the problem or ""; zero of a stream that has not begun.
	ended() (outcome int, code api.ProblemCode)
}

// operationOf returns nil for a request that does not connect to a PACS.
func (s *Server) operationOf(c echo.Context, request any) *operation {
	var o operation
	var name, host string
	var port int
	switch r := request.(type) {
	case api.QueryRequestObject:
		o.name, name, host, port = "C-FIND", r.Body.PACS, r.Body.PACSIP, r.Body.PACSPort
	case api.RetrieveRequestObject:
		o.name, name, host, port = "C-MOVE", r.Body.PACS, r.Body.PACSIP, r.Body.PACSPort
	case api.EchoRequestObject:
		o.name, name, host, port = "C-ECHO", r.Body.PACS, r.Body.PACSIP, r.Body.PACSPort
	default:
		if name = c.Param("pacs"); name == "" {
			return nil
		}
		o.name = "C-FIND"
		if c.Request().Context().Value(retrievalKey{}) != nil {
			o.name = "RETRIEVE"
		}
	}
	if host != "" {
		o.peer = address(host, port)
	} else if peer, known := s.handlers.pacs.Lookup(name); known { // any other name is the caller's
		o.peer, o.pacs = peer.Address(), name
	}
	return &o
}

// facts are the stored values of a request that is over.
type facts struct {
	operation operation       // zero if nothing was done at a PACS
	code      api.ProblemCode // "" if the answer is not a problem
	pointers  []string        // of the faults of a 400, for the log
	outcome   int             // status that the plain answer would have, of a stream that has begun; 0 of any other answer
}

func factsOf(c echo.Context) facts {
	var f facts
	if o, ok := c.Get(operationKey).(*operation); ok {
		f.operation = *o
	}
	f.code, _ = c.Get(codeKey).(api.ProblemCode)
	if faults, ok := c.Get(faultsKey).([]api.Fault); ok {
		f.pointers = loggedPointers(c.Path(), faults)
	}
	if stream, ok := c.Get(streamKey).(stream); ok {
		if outcome, code := stream.ended(); outcome != 0 {
			f.code, f.outcome = code, outcome
		}
	}
	return f
}

// maxLoggedPointers limits the length of a log line.
const maxLoggedPointers = 20

// loggedPointers returns the pointers of the first faults. The name of an unknown field is a part of its pointer and comes from
// the caller, so it is logged only if it looks like the name of a field, not like a number or the name of a patient; that of a
// parameter of a search only if the standard has it.
func loggedPointers(route string, faults []api.Fault) []string {
	logged := fieldPointer.MatchString
	if strings.HasPrefix(route, "/dicomweb/") {
		logged = dicomweb.Known
	}
	pointers := make([]string, 0, min(len(faults), maxLoggedPointers))
	for _, fault := range faults[:cap(pointers)] {
		pointer := fault.Pointer
		if !logged(pointer) {
			pointer = "/?"
		}
		pointers = append(pointers, pointer)
	}
	return pointers
}

// fieldPointer matches the pointers of fields, of items of their lists, and of the whole body.
var fieldPointer = regexp.MustCompile(`^(/[A-Za-z_]{1,32}(/\d{1,4}(/[a-z_]{1,32}(/\d{1,4})?)?)?)?$`)

// isOperation reports whether the route is that of an operation at a PACS.
func isOperation(route string) bool {
	return route == "/q" || route == "/qr" || route == "/echo" || strings.HasPrefix(route, "/dicomweb/")
}
