// Package wado answers the retrievals of DICOMweb (WADO-RS, PS3.18 section 10.4): it reads their parameters, negotiates media type and
// transfer syntax, and writes the instances of a retrieval as multipart, as an archive, as metadata or as one value. An answer that is
// not complete never looks whole. The package knows no route and sends nothing to a PACS.
package wado

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr/match"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server/dicomweb"
	"dicom-qr-gateway/server/dicomweb/render"
	"dicom-qr-gateway/server/problem"
)

// Kind is what a route retrieves of instances.
type Kind int

// The kinds.
const (
	Instances Kind = iota
	Metadata
	Frames
	BulkData
	Rendered
	Thumbnail
)

// Streams reports whether answers of the kind can be broken off without a length that says so. HTTP/1.0 cannot express that.
func (k Kind) Streams() bool { return k != Rendered && k != Thumbnail }

// Request is a retrieval as its caller asks for it.
type Request struct {
	receive.Target
	Kind     Kind
	Offer    Offer
	Syntaxes Syntaxes
	Lenient  bool // handling=lenient
	Head     bool
	// HTTP1 and TLS say how the request came.
	HTTP1, TLS bool
	Warnings   []string // about what was ignored, without a value

	// Frames and Path are those of the path, as they came; "" for other kinds.
	Frames, Path string
	// FrameNumbers are those of Frames, each at least 1 and once.
	FrameNumbers []int
	// Rendering are the parameters of a rendered image or a thumbnail; nil for other kinds.
	Rendering *render.Parameters
	// Query are the parameters of the query string, one value each.
	Query map[string]string
	// Range is that of the header; "" if there is none, or more than one.
	Range       string
	IfNoneMatch []string

	// BaseURL is the base URL of the PACS.
	BaseURL string
}

// parameters are the query parameters of each kind.
var parameters = map[Kind][]string{
	Instances: {"accept", "transfer-syntax"},
	Metadata:  {"accept"},
	Frames:    {"accept", "transfer-syntax"},
	BulkData:  {"accept"},
	Rendered:  {"accept", "window", "viewport", "quality"},
	Thumbnail: {"accept", "viewport", "quality"},
}

// Parse reads a retrieval of a kind. path holds the parameters of the path by their names. The query string and the header fields that
// it reads are removed from the request. An error is a problem; one for wrong values lists every fault and contains no value.
func Parse(kind Kind, path map[string]string, r *http.Request, baseURL string) (*Request, error) {
	out := &Request{Kind: kind, Frames: path["frames"], Path: path["path"], Head: r.Method == http.MethodHead, HTTP1: r.ProtoMajor == 1, TLS: r.TLS != nil, BaseURL: baseURL}
	if kind.Streams() && !out.Head && !r.ProtoAtLeast(1, 1) {
		return nil, &problem.Problem{Code: api.ProblemCodeHTTPVersionUnsupported}
	}
	faults := out.readPath(path)
	if _, ok := parsePath(out.Path); kind == BulkData && !ok {
		faults = append(faults, api.Fault{Pointer: "/path", Detail: "is not a path of tags and numbers of items, such as 00400275.1.00400009"})
	}
	faults = append(faults, out.readFrames()...)
	faults = append(faults, out.readQuery(r.URL.RawQuery)...)
	faults = append(faults, out.readRendering()...)
	r.URL.RawQuery = ""
	if len(faults) > 0 {
		return nil, problem.Invalid(faults)
	}
	accept := r.Header["Accept"]
	out.readHeader(r.Header)
	if err := out.negotiate(accept); err != nil {
		return nil, err
	}
	return out, nil
}

const notUID = "is not a UID"

func (q *Request) readPath(path map[string]string) []api.Fault {
	var faults []api.Fault
	for _, part := range []struct {
		name string
		to   *string
	}{{"study", &q.StudyInstanceUID}, {"series", &q.SeriesInstanceUID}, {"instance", &q.SOPInstanceUID}} {
		uid, given := path[part.name]
		if !given {
			continue
		}
		if !match.ValidUID(uid) {
			faults = append(faults, api.Fault{Pointer: "/" + part.name, Detail: notUID})
		}
		*part.to = uid
	}
	return faults
}

const (
	// maxParameters and maxValue limit a query string; the server limits its length.
	maxParameters = 100
	maxValue      = 1024
)

func (q *Request) readQuery(query string) []api.Fault {
	q.Query = map[string]string{}
	// Semicolons of media types are often not escaped.
	values, err := url.ParseQuery(strings.ReplaceAll(query, ";", "%3B"))
	if err != nil || len(values) > maxParameters {
		return []api.Fault{{Detail: "the query string is malformed"}}
	}
	var faults []api.Fault
	ignored := false
	for name, given := range values {
		switch value := given[0]; {
		case !slices.Contains(parameters[q.Kind], name):
			ignored = true
		case len(given) > 1:
			faults = append(faults, api.Fault{Pointer: "/" + name, Detail: "is given more than once"})
		case len(value) > maxValue:
			faults = append(faults, api.Fault{Pointer: "/" + name, Detail: "is too long"})
		case name == "transfer-syntax" && value != "*" && !match.ValidUID(value):
			faults = append(faults, api.Fault{Pointer: "/" + name, Detail: notUID + ", and not *"})
		default:
			q.Query[name] = value
		}
	}
	if ignored {
		q.Warnings = append(q.Warnings, "Parameters that this route does not have were ignored.")
	}
	slices.SortFunc(faults, func(a, b api.Fault) int { return strings.Compare(a.Pointer, b.Pointer) })
	return faults
}

// readHeader reads and removes header fields. The generated server would refuse fields that come twice.
func (q *Request) readHeader(h http.Header) {
	for _, field := range h["Prefer"] {
		for preference := range strings.SplitSeq(field, ",") {
			first, _, _ := strings.Cut(preference, ";")
			name, value, _ := strings.Cut(first, "=")
			if strings.EqualFold(strings.TrimSpace(name), "handling") && strings.EqualFold(unquoted(strings.TrimSpace(value)), "lenient") {
				q.Lenient = true
			}
		}
	}
	// If-Range compares strongly (RFC 9110 section 13.1.5), and the entity tags are weak: the caller gets the whole value.
	if given := h["Range"]; len(given) == 1 && len(h["If-Range"]) == 0 {
		q.Range = given[0]
	}
	for _, field := range h["If-None-Match"] {
		for field != "" {
			var tag string
			tag, field = cut(field, ',')
			q.IfNoneMatch = append(q.IfNoneMatch, strings.TrimSpace(tag))
		}
	}
	for _, name := range []string{"Prefer", "Range", "If-Range", "If-None-Match"} {
		h.Del(name)
	}
}

// offers of instances and bulk data.
var offers = map[Kind][]Offer{
	Instances: {OfferMultipart, OfferZip},
	BulkData:  {{Type: multipartRelated, Part: octetStream}, {Type: octetStream}},
}

func (q *Request) negotiate(accept []string) error {
	parameter, given := q.Query["accept"]
	if q.Kind == Metadata {
		var goesFirst *string
		if given {
			goesFirst = &parameter
		}
		mediaType, ok := dicomweb.MediaType(goesFirst, accept)
		if !ok {
			return &problem.Problem{Code: api.ProblemCodeNotAcceptable}
		}
		q.Offer, q.Syntaxes = Offer{Type: mediaType}, Syntaxes{anySyntax}
		return nil
	}
	if given {
		accept = []string{parameter}
	}
	ranges := parseAccept(accept)
	possible := offers[q.Kind]
	switch {
	case q.Kind == Frames:
		return q.negotiateFrames(ranges)
	case q.Kind == Rendered, q.Kind == Thumbnail:
		if possible = q.pictureOffers(); possible[0].Multipart() {
			ranges = asParts(ranges)
		}
	case q.Kind == Instances && q.SOPInstanceUID != "":
		possible = append(slices.Clip(possible), OfferDICOM)
	case q.Kind == BulkData && q.Range != "":
		possible = []Offer{possible[1], possible[0]} // parts have no ranges
	}
	var ok bool
	q.Offer, q.Syntaxes, ok = negotiate(ranges, possible, q.Query["transfer-syntax"])
	switch {
	case !ok:
		return &problem.Problem{Code: api.ProblemCodeNotAcceptable, Detail: notAcceptable[q.Kind]}
	case q.Kind == BulkData, q.Kind == Rendered, q.Kind == Thumbnail:
		q.Syntaxes = Syntaxes{anySyntax}
	case !q.Syntaxes.Possible():
		return &problem.Problem{Code: api.ProblemCodeTransferSyntaxUnavailable}
	}
	return nil
}

func (q *Request) negotiateFrames(ranges []mediaRange) error {
	q.Offer, q.Syntaxes = Offer{Type: multipartRelated, Part: octetStream}, frameSyntaxes(ranges, q.Query["transfer-syntax"])
	switch {
	case len(q.Syntaxes) == 0:
		return &problem.Problem{Code: api.ProblemCodeNotAcceptable, Detail: notAcceptable[q.Kind]}
	case !q.Syntaxes.Possible():
		return &problem.Problem{Code: api.ProblemCodeTransferSyntaxUnavailable}
	}
	return nil
}

const image = "The response can be image/jpeg or image/png. The header Accept, or the parameter accept, permits neither."

var notAcceptable = map[Kind]string{
	Instances: `The response can be multipart/related; type="application/dicom", application/zip or, for one instance, application/dicom. ` +
		`The header Accept, or the parameter accept, permits none of these.`,
	Frames: `The response can be multipart/related; type="application/octet-stream", or of the image type of the stored frames. ` +
		`The header Accept, or the parameter accept, permits neither.`,
	BulkData: `The response can be application/octet-stream, alone or in multipart/related. The header Accept, or the parameter accept, permits neither.`,
	Rendered: image, Thumbnail: image,
}
