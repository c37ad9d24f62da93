package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Target names what to retrieve: a study, one of its series, or one of the instances of that series.
type Target struct {
	StudyInstanceUID  string
	SeriesInstanceUID string // "": the whole study
	SOPInstanceUID    string // "": the whole series
}

// Instance is one DICOM instance. Its Read returns a file as PS3.10 defines it: preamble, file meta group and data set. It is valid
// until the loop goes on.
type Instance struct {
	// TransferSyntax is the UID of the transfer syntax of the data set. It is empty if the gateway did not name it.
	TransferSyntax string

	part  *multipart.Part
	parts *parts
}

// Read reads the file. An error other than [io.EOF] is an [*IncompleteError]: the rest of this instance did not arrive.
func (i *Instance) Read(p []byte) (int, error) {
	n, err := i.part.Read(p)
	switch {
	case err == io.EOF: //nolint:errorlint // the part without its boundary is another error
		i.parts.arrived(i)
	case err != nil:
		err = i.parts.incomplete(err)
	}
	return n, err
}

// IncompleteError reports that instances are missing: the PACS did not send them, or the answer was broken off. What
// [Gateway.RetrieveInstances] has yielded before is valid, except for an instance whose Read returned this error.
type IncompleteError struct {
	// Received is the number of instances that arrived completely.
	Received int
	// Missing is the number of instances that did not arrive, if the gateway could say it; else 0.
	Missing int
	// MissingSOPInstanceUIDs are those instances, if the gateway listed them. It does so with [Lenient].
	MissingSOPInstanceUIDs []string
	// Err is what ended the answer. It is nil if the answer was ended properly and says itself that it is incomplete.
	Err error
}

func (e *IncompleteError) Error() string {
	text := fmt.Sprintf("the retrieval is incomplete (instances received: %d", e.Received)
	if e.Missing > 0 {
		text += fmt.Sprintf(", missing: %d", e.Missing)
	}
	text += ")"
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *IncompleteError) Unwrap() error { return e.Err }

// WithTransferSyntax asks [Gateway.RetrieveInstances] for instances in this transfer syntax, a UID. Without this option they come as the
// PACS has them.
func WithTransferSyntax(uid string) CallOption { return setHeader("Accept", acceptInstances(uid)) }

// WithLenientHandling asks [Gateway.RetrieveInstances] for what the PACS can send although instances are missing. The sequence still ends with
// an [*IncompleteError], which then lists the missing instances.
func WithLenientHandling() CallOption { return setHeader("Prefer", "handling=lenient") }

func acceptInstances(syntax string) string {
	return `multipart/related; type="application/dicom"; transfer-syntax=` + syntax
}

// RetrieveInstances yields the instances of a study, series or instance at a named PACS, one after the other, while they arrive. It
// keeps none in memory. Ranging over the result sends the request, each time again. If the sequence ends without an error, all
// instances arrived. Otherwise the error is an [*IncompleteError], or a [*ProblemError] if there were none. Breaking out of the loop,
// or ending ctx, closes the connection, which cancels the retrieval at the PACS.
func (g *Gateway) RetrieveInstances(ctx context.Context, pacs string, target Target, options ...CallOption) iter.Seq2[*Instance, error] {
	return func(yield func(*Instance, error) bool) {
		header := setHeader("Accept", acceptInstances("*"))
		response, err := g.get(ctx, dicomweb(pacs)+target.path(), append([]CallOption{header}, options...))
		if err != nil {
			yield(nil, err)
			return
		}
		defer func() { _ = response.Body.Close() }()
		parts, err := newParts(response)
		if err != nil {
			yield(nil, err)
			return
		}
		for {
			instance, err := parts.next()
			if instance == nil && err == nil || !yield(instance, err) || err != nil {
				return
			}
		}
	}
}

// Search searches a named PACS with DICOMweb (QIDO-RS) and returns the matches. resource is a path below the PACS, such as studies or
// studies/1.2.3/series; parameters are attributes, includefield, limit and offset.
func (g *Gateway) Search(
	ctx context.Context, pacs, resource string, parameters url.Values, options ...CallOption,
) ([]DICOMObject, error) {
	address := dicomweb(pacs) + "/" + resource
	if len(parameters) > 0 {
		address += "?" + parameters.Encode()
	}
	header := setHeader("Accept", dicomJSON)
	response, err := g.get(ctx, address, append([]CallOption{header}, options...))
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK || mediaType(response) != dicomJSON {
		return nil, failure(response)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the response of the gateway: %w", err)
	}
	var matches []DICOMObject
	if err := json.Unmarshal(body, &matches); err != nil {
		return nil, newReplyError(response, err)
	}
	if matches == nil { // null
		return nil, newReplyError(response, errIncomplete)
	}
	return matches, nil
}

const dicomJSON = "application/dicom+json"

func dicomweb(pacs string) string { return "dicomweb/" + url.PathEscape(pacs) }

func (t Target) path() string {
	path := "/studies/" + url.PathEscape(t.StudyInstanceUID)
	if t.SeriesInstanceUID != "" || t.SOPInstanceUID != "" {
		path += "/series/" + url.PathEscape(t.SeriesInstanceUID)
	}
	if t.SOPInstanceUID != "" {
		path += "/instances/" + url.PathEscape(t.SOPInstanceUID)
	}
	return path
}

// get sends a GET request for an address below the base URL, until it is accepted or the retries are exhausted.
func (g *Gateway) get(ctx context.Context, address string, options []CallOption) (*http.Response, error) {
	return g.retry.send(ctx, func() (*http.Response, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.client.Server+address, http.NoBody)
		if err != nil {
			return nil, err
		}
		for _, edit := range slices.Concat(g.client.RequestEditors, options) {
			if err := edit(ctx, request); err != nil {
				return nil, err
			}
		}
		return g.client.Client.Do(request)
	})
}

// parts reads the instances of a multipart answer.
type parts struct {
	response *http.Response
	reader   *multipart.Reader
	received int
	current  *Instance // its end has not been seen; nil: none
}

// arrived counts the current instance.
func (p *parts) arrived(i *Instance) {
	if i != nil && p.current == i {
		p.received++
		p.current = nil
	}
}

func newParts(response *http.Response) (*parts, error) {
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusPartialContent {
		return nil, failure(response)
	}
	name, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || name != "multipart/related" || parameters["boundary"] == "" {
		return nil, failure(response)
	}
	return &parts{response: response, reader: multipart.NewReader(response.Body, parameters["boundary"])}, nil
}

// next returns the next instance, or nil after the last one of a complete answer.
func (p *parts) next() (*Instance, error) {
	part, err := p.reader.NextRawPart()
	if err == nil || err == io.EOF { //nolint:errorlint // an answer without its closing boundary is an error that wraps io.EOF
		p.arrived(p.current)
	}
	switch {
	case err == io.EOF: //nolint:errorlint // as above
		return nil, p.end()
	case err != nil:
		return nil, p.incomplete(err)
	}
	name, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
	switch {
	case err == nil && name == "application/dicom":
		p.current = &Instance{TransferSyntax: parameters["transfer-syntax"], part: part, parts: p}
		return p.current, nil
	case err == nil && name == problemJSON:
		return nil, p.problem(part)
	}
	return nil, newReplyError(p.response, errors.New("a part of the answer is not a DICOM instance"))
}

// maxEpilogue limits what may follow the closing boundary. The gateway sends a line break.
const maxEpilogue = 4 << 10

// end checks what follows the closing boundary: the end of the body, and the trailer.
func (p *parts) end() error {
	n, err := io.Copy(io.Discard, io.LimitReader(p.response.Body, maxEpilogue))
	switch {
	case err != nil:
		return p.incomplete(err)
	case n == maxEpilogue:
		return newReplyError(p.response, errors.New("the answer goes on after its closing boundary"))
	case p.received == 0:
		return p.incomplete(errors.New("the answer has no instance"))
	case p.response.StatusCode == http.StatusPartialContent:
		return p.incomplete(nil)
	}
	if outcome := p.response.Trailer.Get("Retrieve-Outcome"); outcome != "" && outcome != "complete" {
		return p.incomplete(nil)
	}
	return nil
}

func (p *parts) incomplete(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	incomplete := &IncompleteError{Received: p.received, Err: err}
	if _, missing, ok := strings.Cut(p.response.Trailer.Get("Retrieve-Outcome"), "missing="); ok {
		incomplete.Missing, _ = strconv.Atoi(strings.TrimSpace(missing))
	}
	return incomplete
}

// problem reads the last part of an incomplete answer that the caller asked for with WithLenientHandling.
func (p *parts) problem(part io.Reader) error {
	incomplete := &IncompleteError{Received: p.received}
	var document struct {
		MissingSOPInstanceUIDs []string `json:"missing_sop_instance_uids"`
	}
	if err := json.NewDecoder(io.LimitReader(part, maxMissing)).Decode(&document); err != nil {
		incomplete.Err = err
	}
	incomplete.MissingSOPInstanceUIDs = document.MissingSOPInstanceUIDs
	incomplete.Missing = len(document.MissingSOPInstanceUIDs)
	return incomplete
}

// maxMissing limits the bytes of a list of missing instances. A UID has up to 64 characters.
const maxMissing = 16 << 20
