package server

import (
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"dicom-qr-gateway/qr"
)

// maxPart is how much of an answer is in memory before it is sent. Most answers are shorter.
const maxPart = 512 << 10

// typicalStudyLength is the usual length of a study in an answer, so that the buffer of a long answer is allocated once.
const typicalStudyLength = 400

// jsonWriter writes the JSON of an answer. It sends what is longer than maxPart in parts, so that memory does not grow with the
// answer. Its bytes are those that encoding/json writes.
type jsonWriter struct {
	w    io.Writer
	b    []byte // not sent yet
	sent bool   // a part was sent
	err  error  // why a part could not be sent; the rest is dropped
}

var jsonWriters = sync.Pool{New: func() any { return new(jsonWriter) }}

// newJSONWriter returns a jsonWriter that sends to w. The caller must close it.
func newJSONWriter(w io.Writer) *jsonWriter {
	j := jsonWriters.Get().(*jsonWriter)
	j.w = w
	return j
}

// maxKeptBuffer limits the buffers that are reused: a part, and the study or the value that completed it.
const maxKeptBuffer = 2 * maxPart

// close makes j available to others. It sends nothing.
func (j *jsonWriter) close() {
	if cap(j.b) > maxKeptBuffer {
		return
	}
	*j = jsonWriter{b: j.b[:0]}
	jsonWriters.Put(j)
}

// flush sends what was not sent yet. The error is that of the first part that failed.
func (j *jsonWriter) flush() error {
	if j.err == nil && len(j.b) > 0 {
		_, j.err = j.w.Write(j.b)
		j.sent = true
	}
	j.b = j.b[:0]
	return j.err
}

// part sends a part if there is enough for one.
func (j *jsonWriter) part() {
	if len(j.b) >= maxPart {
		_ = j.flush() // kept in err
	}
}

// text writes parts of JSON as they are.
func (j *jsonWriter) text(parts ...string) {
	for _, part := range parts {
		j.b = append(j.b, part...)
	}
}

// member writes a member with a string as its value. The name is as it is written, with quotes and colon.
func (j *jsonWriter) member(name, value string) { j.b = appendMember(j.b, name, value) }

// number writes a member with an integer, or null, as its value.
func (j *jsonWriter) number(name string, n *int) {
	j.b = append(j.b, name...)
	if n == nil {
		j.b = append(j.b, "null"...)
		return
	}
	j.b = strconv.AppendInt(j.b, int64(*n), 10)
}

// value writes a member with any other value, which must be short.
func (j *jsonWriter) value(name string, v any) {
	encoded, err := json.Marshal(v)
	if err != nil && j.err == nil {
		j.err = err
	}
	j.b = append(append(j.b, name...), encoded...)
}

// studies writes the member study_details.
func (j *jsonWriter) studies(studies []qr.Study) {
	j.b = slices.Grow(j.b, min(typicalStudyLength*(len(studies)+1), maxPart+maxPart/8))
	j.text(`,"study_details":[`)
	for i := range studies {
		if i > 0 {
			j.b = append(j.b, ',')
		}
		j.b = appendStudy(j.b, &studies[i])
		if j.part(); j.err != nil {
			return
		}
	}
	j.b = append(j.b, ']')
}

// retrievals writes the member retrievals.
func (j *jsonWriter) retrievals(retrievals []qr.Retrieval) {
	j.text(`,"retrievals":[`)
	for i := range retrievals {
		if i > 0 {
			j.b = append(j.b, ',')
		}
		j.retrieval(&retrievals[i])
		if j.part(); j.err != nil {
			return
		}
	}
	j.b = append(j.b, ']')
}

func (j *jsonWriter) retrieval(r *qr.Retrieval) {
	j.member(`{"StudyInstanceUID":`, r.StudyInstanceUID)
	j.member(`,"status":`, string(r.Status))
	j.member(`,"dicom_status":`, r.DICOMStatus)
	j.number(`,"completed":`, r.Completed)
	j.number(`,"failed":`, r.Failed)
	j.number(`,"warning":`, r.Warning)
	j.text(`,"failed_sop_instance_uids":[`)
	for i, uid := range r.FailedSOPInstanceUIDs {
		if i > 0 {
			j.b = append(j.b, ',')
		}
		j.b = appendJSONString(j.b, uid)
		j.part()
	}
	j.text("]}")
}

func appendList(b []byte, values []string) []byte {
	b = append(b, '[')
	for i, value := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSONString(b, value)
	}
	return append(b, ']')
}

func appendMember(b []byte, name, value string) []byte {
	return appendJSONString(append(b, name...), value)
}

// appendJSONString appends s as a JSON string. A string that needs escapes goes through encoding/json.
func appendJSONString(b []byte, s string) []byte {
	for i := range len(s) {
		if !verbatim[s[i]] {
			if s[i] < utf8.RuneSelf || !isVerbatim(s) {
				return appendEscaped(b, s)
			}
			break
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// verbatim marks the ASCII characters that encoding/json does not escape.
var verbatim = func() (table [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		table[c] = !strings.ContainsRune(`"\<>&`, c)
	}
	return table
}()

// isVerbatim reports whether s, which is not all ASCII, needs no escapes.
func isVerbatim(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case verbatim[c]:
		case c < utf8.RuneSelf, c == lineSeparator[0] && isSeparator(s[i:]):
			return false
		}
	}
	return utf8.ValidString(s)
}

// lineSeparator differs in its last bit from the paragraph separator, which encoding/json also escapes.
const lineSeparator = "\u2028"

func isSeparator(s string) bool {
	const n = len(lineSeparator) - 1
	return len(s) > n && s[:n] == lineSeparator[:n] && s[n]&^1 == lineSeparator[n]
}

func appendEscaped(b []byte, s string) []byte {
	escaped, _ := json.Marshal(s) // a string does not fail
	return append(b, escaped...)
}
