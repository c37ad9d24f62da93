package server

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/problem"
	"dicom-qr-gateway/server/schema"
)

const (
	jsonType  = "application/json"
	jsonUTF8  = jsonType + "; charset=utf-8"
	csvType   = "text/csv"
	eventType = "text/event-stream"
)

const (
	maxBody = 64 << 10
	// smallBody is what a request may hold without asking; most have a few hundred bytes.
	smallBody = 4 << 10
	// maxBodies is what all requests in progress may hold beyond that. A body counts until the request is answered, since the values
	// that are parsed from it take several times its size.
	maxBodies = 8 << 20
)

// validator checks the bodies of one operation against its schema in the contract.
type validator struct {
	schema *schema.Body
	bodies *bodies
}

// bodies reads bodies of requests.
type bodies struct {
	limit  int     // of one, in bytes
	shares *shares // of the bytes of all
}

func newValidator(body *schema.Body, shares *shares) *validator {
	return &validator{schema: body, bodies: &bodies{limit: maxBody, shares: shares}}
}

// check refuses a body that the contract does not allow. It passes the parsed value on, so that the handler sees what was
// checked.
func (v *validator) check(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if !declares(r.Header, jsonType) {
			return &problem.Problem{Code: api.ProblemCodeUnsupportedMediaType}
		}
		if isEncoded(r.Header) {
			return encodedBody()
		}
		caller := access.From(r.Context()).Identity()
		body, held, err := v.bodies.read(c, caller)
		defer v.bodies.shares.give(caller, held)
		if err != nil {
			return err
		}
		value, faults := v.schema.Check(body)
		if len(faults) > 0 {
			return problem.Invalid(faults)
		}
		r.Body = checkedBody{http.NoBody, value}
		return next(c)
	}
}

func encodedBody() error {
	return &problem.Problem{
		Code: api.ProblemCodeUnsupportedMediaType, Detail: "Send the body without a content encoding, and without the header Content-Encoding.",
	}
}

// read reads the body into a buffer that grows as its bytes arrive, whatever length the caller announced. held is what the caller
// must give back.
func (b *bodies) read(c echo.Context, caller principal.Identity) (body []byte, held int, err error) {
	r := c.Request()
	if r.ContentLength > int64(b.limit) {
		return nil, 0, b.tooLarge(c)
	}
	size := smallBody
	if n := int(r.ContentLength); n >= 0 && n < size {
		size = n + 1 // one more, to see the end
	}
	body = make([]byte, 0, size)
	for {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > b.limit:
			return nil, held, b.tooLarge(c)
		case errors.Is(err, io.EOF):
			c.Set(bodyReadKey, true)
			// From now on net/http reads only to detect that the caller disconnects. The deadline of the body must not end that.
			_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Time{})
			return body, held, nil
		case err != nil:
			closeAfter(c)
			return nil, held, problem.Invalid([]api.Fault{{Detail: "did not arrive completely and in time"}})
		case len(body) < cap(body):
			continue
		}
		more := min(cap(body), b.limit+1-cap(body))
		switch b.shares.take(caller, more) {
		case granted:
		case callerShare:
			closeAfter(c)
			return nil, held, problem.ErrCallerShare
		case exhausted:
			closeAfter(c)
			return nil, held, problem.ErrTooManyBodies
		}
		held += more
		body = append(make([]byte, 0, cap(body)+more), body...)
	}
}

// tooLarge closes the connection after the answer, so that net/http does not read the rest of the body.
func (b *bodies) tooLarge(c echo.Context) error {
	closeAfter(c)
	p := &problem.Problem{Code: api.ProblemCodePayloadTooLarge}
	if b.limit != maxBody {
		p.Detail = fmt.Sprintf("The body exceeds %d MiB.", b.limit>>20)
	}
	return p
}

// closeBeforeBody closes the connection after the answer if the body would be long to read.
func closeBeforeBody(c echo.Context) {
	if n := c.Request().ContentLength; n < 0 || n > smallBody {
		closeAfter(c)
	}
}

// closeAfter closes the connection after the answer. In HTTP/2 it does nothing: the body has its own stream, and the header field
// would end the other streams, and the answer itself for some callers.
func closeAfter(c echo.Context) {
	if c.Request().ProtoMajor == 1 {
		c.Response().Header().Set("Connection", "close")
	}
}

// checkedBody gives the generated server the value that was checked, so that it does not decode the bytes again.
type checkedBody struct {
	io.ReadCloser
	value any
}

func (b checkedBody) ValidatedValue() any { return b.value }

// declares reports whether the header declares a body of the media type in UTF-8.
func declares(h http.Header, want string) bool {
	declared := h.Get("Content-Type")
	if declared == want {
		return true
	}
	mediaType, parameters, err := mime.ParseMediaType(declared)
	if err != nil || mediaType != want {
		return false
	}
	charset, ok := parameters["charset"]
	return !ok || strings.EqualFold(charset, "utf-8")
}

// isEncoded reports whether the header declares a content encoding, such as gzip.
func isEncoded(h http.Header) bool {
	encoding := h.Get("Content-Encoding")
	return encoding != "" && !strings.EqualFold(encoding, "identity")
}
