package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
)

// queryAnswer is the 200 of POST /q. Its bytes are those that encoding/json writes for an api.QueryResponse. For 1000 studies it
// takes 0.19 ms, and encoding/json takes 0.67 ms, of the 2.2 ms of the whole request on loopback.
type queryAnswer struct {
	patientID  string
	result     *qr.QueryResult
	connection *connection // on which the answer is sent; nil: not known
}

// typicalStudyLength is the usual length of a study in the answer, so that the buffer of a long answer is allocated once.
const typicalStudyLength = 400

// maxKeptAnswer limits the size of the buffers that are reused.
const maxKeptAnswer = 1 << 20

var answerBuffers = sync.Pool{New: func() any { return new([]byte) }}

// VisitQueryResponse writes the answer.
func (a queryAnswer) VisitQueryResponse(w http.ResponseWriter) error {
	buffer := answerBuffers.Get().(*[]byte)
	body, err := a.append((*buffer)[:0])
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", jsonUTF8)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	a.connection.hold(minHeadLength + len(body))
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(body)
	if cap(body) <= maxKeptAnswer {
		*buffer = body
		answerBuffers.Put(buffer)
	}
	return err
}

func (a queryAnswer) append(b []byte) ([]byte, error) {
	warnings, err := json.Marshal(warningsOf(a.result.Warnings))
	if err != nil {
		return nil, err
	}
	b = slices.Grow(b, typicalStudyLength*len(a.result.Studies))
	b = append(b, `{"operation":"`...)
	b = append(b, api.CFIND...)
	b = append(b, `","status":"`...)
	b = append(b, api.QueryResponseStatusOk...)
	b = appendMember(append(b, '"'), `,"patient_id":`, a.patientID)
	b = append(b, `,"study_details":[`...)
	for i := range a.result.Studies {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendStudy(b, &a.result.Studies[i])
	}
	b = append(b, `],"warnings":`...)
	b = append(b, warnings...)
	return append(b, "}\n"...), nil
}

func appendStudy(b []byte, s *qr.Study) []byte {
	b = appendMember(b, `{"PatientName":`, s.PatientName)
	b = appendMember(b, `,"PatientID":`, s.PatientID)
	b = appendMember(b, `,"DateOfBirth":`, s.DateOfBirth)
	b = appendMember(b, `,"StudyInstanceUID":`, s.StudyInstanceUID)
	b = appendMember(b, `,"StudyDescription":`, s.StudyDescription)
	b = append(b, `,"ModalitiesInStudy":[`...)
	for i, modality := range s.ModalitiesInStudy {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSONString(b, modality)
	}
	b = append(b, ']')
	b = appendMember(b, `,"StudyDate":`, s.StudyDate)
	b = appendMember(b, `,"StudyTime":`, s.StudyTime)
	b = appendMember(b, `,"AccessionNumber":`, s.AccessionNumber)
	b = appendMember(b, `,"ReferringPhysicianName":`, s.ReferringPhysicianName)
	b = appendMember(b, `,"PerformingPhysicianName":`, s.PerformingPhysicianName)
	b = appendMember(b, `,"InstitutionName":`, s.InstitutionName)
	return append(b, '}')
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
