package wado

import (
	"cmp"
	"encoding/hex"
	"hash/fnv"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server/dicomweb"
	"dicom-qr-gateway/server/problem"
)

// Source is a retrieval that has at least one instance to read; *receive.Retrieval implements it.
type Source interface {
	Inventory() *receive.Inventory
	All() iter.Seq2[*receive.Arrived, error]
	Outcome() receive.Outcome
	// OnCutOff sets what is called, from any goroutine, if the retrieval cannot wait for the caller any longer.
	OnCutOff(call func(error))
	Close()
}

// Transfer is the answer to one retrieval. A function of this package writes it; its methods begin the answer, write to the caller, and
// end it.
type Transfer struct {
	*Request
	Source        Source
	CorrelationID string
	// Spool keeps what is sent when the outcome is known.
	Spool *spool.Spool
	// CharacterSet is assumed in data sets that name none.
	CharacterSet dataset.CharacterSet
	// Listed is what the PACS lists of the resource, if that is more than what Source retrieves; nil if not.
	Listed *receive.Inventory
	// Ended is called once, after the last instance and before the answer ends. If it returns an error, the answer is broken off.
	Ended func(receive.Outcome) error
	// Taken is called for each instance that has been sent or used, with the bytes of its data set.
	Taken func(in *receive.Arrived, bytes int64)

	out     http.ResponseWriter
	writer  *stallWriter
	begun   bool
	partial bool
	skipped []string // SOP Instance UIDs of instances that the caller cannot read

	// Of a value:
	from, length int64
	held         []byte     // its end
	parts        *multipart // nil: not in parts
}

// NewTransfer returns the answer to a request. Its user must call Close.
func NewTransfer(l Line, q *Request, source Source) *Transfer {
	t := &Transfer{Request: q, Source: source, out: l.ResponseWriter, writer: newStallWriter(l)}
	source.OnCutOff(t.writer.cutOff)
	return t
}

// Close removes the deadlines that the answer has set on its connection.
func (t *Transfer) Close() { t.writer.stop() }

// CutOff ends a write to the caller that runs, and those that follow. It may be called from any goroutine.
func (t *Transfer) CutOff(reason error) { t.writer.cutOff(reason) }

// Begun reports whether the answer has begun. Until then, a failure is a problem document.
func (t *Transfer) Begun() bool { return t.begun }

// Caller returns why the caller no longer takes the answer: it left, it took nothing for too long, or the retrieval could not wait for
// it. It is nil if the caller did not end the answer.
func (t *Transfer) Caller() error { return t.writer.callerError() }

// trailerOutcome says how a retrieval ended.
const trailerOutcome = "Retrieve-Outcome"

// Begin begins the answer. If incomplete is not 0, that many instances are missing, and the status is 206.
func (t *Transfer) Begin(mediaType string, incomplete int) {
	if incomplete == 0 {
		t.begin(mediaType, http.StatusOK)
		return
	}
	t.out.Header().Add("Warning", dicomweb.WarningHeader(missingText(incomplete)))
	t.partial = true
	t.begin(mediaType, http.StatusPartialContent)
}

func (t *Transfer) begin(mediaType string, status int) {
	h := t.out.Header()
	setHeader(h, t.Request, cmp.Or(t.Listed, t.Source.Inventory()), mediaType)
	if t.partial {
		h.Del("ETag") // it is that of the whole
	}
	if h.Get("Content-Length") == "" {
		h.Set("Trailer", trailerOutcome)
	}
	h.Set("X-Accel-Buffering", "no") // nginx would spool the answer to its disk, and take what the caller does not
	t.begun = true
	t.out.WriteHeader(status)
	t.writer.start()
}

func missingText(n int) string {
	if n == 1 {
		return "1 instance is missing."
	}
	return strconv.Itoa(n) + " instances are missing."
}

// setHeader sets the header fields of an answer that is a success.
func setHeader(h http.Header, q *Request, inventory *receive.Inventory, mediaType string) {
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "private, no-cache")
	h.Add("Vary", "Accept")
	// An answer with lenient handling may turn out to be incomplete, and must not be validated as the whole one later.
	if tag := ETag(q, inventory); tag != "" && !(q.Lenient && q.Kind == Instances) {
		h.Set("ETag", tag)
	}
	if q.Lenient {
		h.Set("Preference-Applied", "handling=lenient")
	}
	for _, text := range q.Warnings {
		h.Add("Warning", dicomweb.WarningHeader(text))
	}
}

// Head answers HEAD from the inventory.
func Head(w http.ResponseWriter, q *Request, inventory *receive.Inventory) {
	mediaType := q.Offer.Type
	if q.Offer.Multipart() {
		mediaType = newMultipart(nil, q.Offer.Part).contentType()
	}
	setHeader(w.Header(), q, inventory, mediaType)
	w.WriteHeader(http.StatusOK)
}

// ETag returns the weak entity tag of an answer (RFC 9110 section 8.8.3): of the patient, the instances, the media type and the transfer
// syntax. It is "" if the PACS does not list its instances.
func ETag(q *Request, inventory *receive.Inventory) string {
	if inventory == nil || !inventory.Proven {
		return ""
	}
	hash := fnv.New128a()
	write := func(values ...string) {
		for _, v := range values {
			_, _ = io.WriteString(hash, v)
			_, _ = hash.Write([]byte{0})
		}
	}
	write(q.Offer.Type, q.Offer.Part, q.Syntaxes.String(), strconv.Itoa(int(q.Kind)), q.Frames, q.Path, q.BaseURL)
	for _, name := range parameters[q.Kind] {
		if name != "accept" {
			write(q.Query[name])
		}
	}
	write(inventory.PatientID, inventory.IssuerOfPatientID, inventory.PatientName, inventory.PatientBirthDate, inventory.PatientSex,
		inventory.StudyDate, inventory.StudyTime, inventory.StudyID, inventory.AccessionNumber)
	uids := make([]string, len(inventory.Instances))
	for i := range inventory.Instances {
		uids[i] = inventory.Instances[i].SOPInstanceUID
	}
	slices.Sort(uids) // the PACS may list them in any order
	write(uids...)
	return `W/"` + hex.EncodeToString(hash.Sum(nil)[:12]) + `"`
}

// Matches reports whether the caller's copy is that of the entity tag (RFC 9110 section 13.1.2).
func (q *Request) Matches(etag string) bool {
	return etag != "" && slices.ContainsFunc(q.IfNoneMatch, func(tag string) bool {
		return tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/")
	})
}

// NotModified answers with 304.
func NotModified(w http.ResponseWriter, etag string) {
	h := w.Header()
	h.Set("ETag", etag)
	h.Set("Cache-Control", "private, no-cache")
	h.Add("Vary", "Accept")
	w.WriteHeader(http.StatusNotModified)
}

// skip records an instance whose transfer syntax the caller does not accept. Without lenient handling it returns an error.
func (t *Transfer) skip(in *receive.Arrived) error {
	if !t.Lenient {
		return &problem.Problem{Code: api.ProblemCodeTransferSyntaxUnavailable}
	}
	t.skipped = append(t.skipped, in.SOPInstanceUID)
	return nil
}

// end waits for the outcome of the retrieval, calls Ended, and returns the outcome. With an error the answer must not look whole. With
// lenient handling, an incomplete outcome is no error.
func (t *Transfer) end() (outcome receive.Outcome, err error) {
	outcome = t.Source.Outcome()
	if len(t.skipped) > 0 {
		outcome.Complete = false
		outcome.Missing = append(slices.Clip(outcome.Missing), t.skipped...)
		outcome.MissingCount += len(t.skipped)
		outcome.Received -= len(t.skipped)
	}
	if t.Ended != nil {
		if err := t.Ended(outcome); err != nil {
			return outcome, err
		}
	}
	switch {
	case outcome.Complete:
		return outcome, nil
	case outcome.Received <= 0 && len(t.skipped) > 0:
		return outcome, &problem.Problem{Code: api.ProblemCodeTransferSyntaxUnavailable}
	case t.Lenient:
		return outcome, nil
	}
	return outcome, Incomplete(&outcome)
}

// maxListed limits the UIDs in a problem document.
const maxListed = 100_000

// Incomplete returns the problem of a retrieval that is not complete.
func Incomplete(o *receive.Outcome) *problem.Problem {
	return &problem.Problem{
		Code: api.ProblemCodeRetrieveIncomplete, Missing: o.Missing[:min(len(o.Missing), maxListed)], Cause: o.Err,
	}
}

// finish sets the trailer of an answer that ends properly.
func (t *Transfer) finish(o *receive.Outcome) {
	t.out.Header().Set(trailerOutcome, outcomeText(o))
}

func outcomeText(o *receive.Outcome) string {
	switch {
	case o.Complete && o.Basis == receive.BasisStatus:
		return "complete; basis=status"
	case o.Complete:
		return "complete"
	}
	return "incomplete; missing=" + strconv.Itoa(o.MissingCount)
}
