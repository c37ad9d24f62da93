// Package problem makes the answers to requests that did not succeed: problem documents (RFC 9457). One table gives each code its
// status, title and detail, one table gives each error its code, and one table gives each failed step of an operation its hint.
package problem

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"dicom-qr-gateway/gen/api"
)

// Problem is an answer that is not a success. As an error it carries the cause, which only the log shows.
type Problem struct { //nolint:errname // RFC 9457 calls it a problem.
	Code         api.ProblemCode
	HTTPStatus   int    // replaces the status of the code; 0: that of the code
	Detail       string // replaces the detail of the code; "": that of the code
	Hint         string // what to check, for 502 and 504; other codes have a fixed one or none
	Faults       []api.Fault
	DICOM        *api.DICOMFault
	Warnings     []api.Warning
	Steps        []api.EchoStep
	Missing      []string // SOP Instance UIDs
	Allow        string   // the methods of the route, for 405
	Authenticate string   // the authentication scheme, for 401
	RetryAfter   int      // seconds, for 429 and 503; 0: no Retry-After
	Cause        error
}

func (p *Problem) Error() string { return string(p.Code) }

func (p *Problem) Unwrap() error { return p.Cause }

// Status returns the HTTP status.
func (p *Problem) Status() int { return cmp.Or(p.HTTPStatus, kinds[p.Code].status) }

// Document returns the problem document. Every document but that of a 404 holds the correlation ID.
func (p *Problem) Document(correlationID string) api.Problem {
	k := kinds[p.Code]
	document := api.Problem{
		Type:     "urn:dicom-qr-gateway:problem:" + string(p.Code),
		Title:    k.title,
		Status:   p.Status(),
		Detail:   k.detail,
		Code:     p.Code,
		Errors:   p.Faults,
		DICOM:    p.DICOM,
		Warnings: p.Warnings,
		Steps:    p.Steps,

		MissingSOPInstanceUIDs: p.Missing,
	}
	if p.Detail != "" {
		document.Detail = p.Detail
	}
	if hint, ok := hintsOfTheGateway[p.Code]; ok {
		document.Hint = &hint
	} else if p.Status() == http.StatusBadGateway || p.Status() == http.StatusGatewayTimeout {
		document.Hint = new(cmp.Or(p.Hint, hintFor("", &stepFault{err: p.Cause})))
	}
	if p.Status() != http.StatusNotFound {
		document.CorrelationID = &correlationID
	}
	return document
}

// Write answers with the problem document.
func (p *Problem) Write(w http.ResponseWriter, correlationID string) error {
	body, err := json.Marshal(p.Document(correlationID))
	if err != nil {
		return err
	}
	body = asciiOnly(body)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if p.Allow != "" {
		h.Set("Allow", p.Allow)
	}
	if p.Authenticate != "" {
		h.Set("WWW-Authenticate", p.Authenticate)
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	w.WriteHeader(p.Status())
	_, err = w.Write(body)
	return err
}

// asciiOnly returns JSON with the characters outside of ASCII escaped. Only names of unknown fields have such characters. Without
// them a client reads the document correctly whatever character set it assumes.
func asciiOnly(body []byte) []byte {
	if !bytes.ContainsFunc(body, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return body
	}
	var out bytes.Buffer
	for _, unit := range utf16.Encode([]rune(string(body))) {
		if unit < utf8.RuneSelf {
			out.WriteByte(byte(unit))
		} else {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.Bytes()
}
