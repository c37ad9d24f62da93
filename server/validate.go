package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/problem"
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
	schema      *openapi3.Schema
	options     []openapi3.SchemaValidationOption
	ordersDates bool // the operation does not ignore dates
	bodies      *shares
}

func newValidator(spec *openapi3.T, path string, bodies *shares) (*validator, error) {
	item := spec.Paths.Find(path)
	if item == nil || item.Post == nil || item.Post.RequestBody == nil {
		return nil, fmt.Errorf("the contract has no body for POST %s", path)
	}
	content := item.Post.RequestBody.Value.Content.Get(jsonType)
	if content == nil {
		return nil, fmt.Errorf("the contract has no JSON body for POST %s", path)
	}
	return &validator{
		schema:      content.Schema.Value,
		ordersDates: path != "/echo",
		bodies:      bodies,
		options: []openapi3.SchemaValidationOption{
			openapi3.VisitAsRequest(),
			openapi3.MultiErrors(),
			openapi3.WithStringFormatValidators(stringFormats()),
		},
	}, nil
}

// check refuses a body that the contract does not allow. It passes the parsed value on, so that the handler sees what was
// checked.
func (v *validator) check(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if !declaresJSON(r.Header) {
			return &problem.Problem{Code: api.ProblemCodeUnsupportedMediaType}
		}
		if isEncoded(r.Header) {
			return &problem.Problem{
				Code: api.ProblemCodeUnsupportedMediaType, Detail: "Send the body without a content encoding, and without the header Content-Encoding.",
			}
		}
		caller := access.From(r.Context()).Identity()
		body, held, err := v.readBody(c, caller)
		defer v.bodies.give(caller, held)
		if err != nil {
			return err
		}
		value, faults := parseJSON(body)
		if value == nil && len(faults) > 0 {
			return problem.Invalid(faults)
		}
		v.dropNulls(value)
		if err := v.schema.VisitJSON(value, v.options...); err != nil {
			faults = append(faults, schemaFaults(err)...)
		}
		faults = append(faults, pacsForm(value)...)
		if v.ordersDates {
			faults = append(faults, dateOrder(value)...)
		}
		if len(faults) > 0 {
			return problem.Invalid(faults)
		}
		r.Body = checkedBody{http.NoBody, value}
		return next(c)
	}
}

// dropNulls removes the optional fields whose value is null, which means that they are not given.
func (v *validator) dropNulls(body any) {
	fields, _ := body.(map[string]any)
	for name, value := range fields {
		if value == nil && v.schema.Properties[name] != nil && !slices.Contains(v.schema.Required, name) {
			delete(fields, name)
		}
	}
}

// readBody reads the body into a buffer that grows as its bytes arrive, whatever length the caller announced. held is what the caller
// must give back.
func (v *validator) readBody(c echo.Context, caller principal.Identity) (body []byte, held int, err error) {
	r := c.Request()
	if r.ContentLength > maxBody {
		return nil, 0, tooLarge(c)
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
		case len(body) > maxBody:
			return nil, held, tooLarge(c)
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
		more := min(cap(body), maxBody+1-cap(body))
		switch v.bodies.take(caller, more) {
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
func tooLarge(c echo.Context) error {
	closeAfter(c)
	return &problem.Problem{Code: api.ProblemCodePayloadTooLarge}
}

// closeAfter closes the connection after the answer. In HTTP/2 it does nothing: the body has its own stream, and the header field
// would end the other streams, and the answer itself for some callers.
func closeAfter(c echo.Context) {
	if c.Request().ProtoMajor == 1 {
		c.Response().Header().Set("Connection", "close")
	}
}

// addressFields are the fields for which pacs stands. The last one is optional.
var addressFields = []string{"pacs_ip", "pacs_port", "pacs_ae_title", "c_find_ae_title", "pacs_tls"}

// pacsForm checks that a request either names its PACS or brings its address.
func pacsForm(value any) []api.Fault {
	fields, isObject := value.(map[string]any)
	if !isObject {
		return nil
	}
	_, named := fields["pacs"]
	var given, missing []api.Fault
	for _, name := range addressFields {
		if _, ok := fields[name]; ok {
			given = append(given, api.Fault{Pointer: "/" + name, Detail: "must not be given together with pacs"})
		} else if name != "pacs_tls" {
			missing = append(missing, api.Fault{Pointer: "/" + name, Detail: "is required"})
		}
	}
	switch {
	case named:
		return given
	case len(given) == 0:
		return []api.Fault{{Pointer: "/pacs", Detail: "is required, or else pacs_ip, pacs_port, pacs_ae_title and c_find_ae_title"}}
	}
	return missing
}

// dateOrder checks that a range of dates is one.
func dateOrder(value any) []api.Fault {
	fields, _ := value.(map[string]any)
	from, _ := fields["study_date_from"].(string)
	to, _ := fields["study_date_to"].(string)
	if validDate(from) && validDate(to) && to < from {
		return []api.Fault{{Pointer: "/study_date_to", Detail: "must not be before study_date_from"}}
	}
	return nil
}

// checkedBody gives the generated server the value that was checked, so that it does not decode the bytes again.
type checkedBody struct {
	io.ReadCloser
	value any
}

func (b checkedBody) ValidatedValue() any { return b.value }
