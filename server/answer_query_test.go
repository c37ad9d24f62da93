package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
)

func TestQueryAnswerEqualsEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.SampledFrom([]string{
				"", "DOE^JOHN", "Müller^Jürgen", "山田^太郎", "a\"b", `c\d`, "<&>", "\u2028", "\u2029x", "\x00", "\x7f", "\xff", "é\xc3", "\ufffd", "tab\t",
			}),
			rapid.String())
		studies := make([]qr.Study, rapid.IntRange(0, 5).Draw(t, "studies"))
		for i := range studies {
			s := &studies[i]
			if i > 0 && rapid.Bool().Draw(t, "alike") {
				*s = studies[i-1]
				*rapid.SampledFrom([]*string{&s.PatientName, &s.StudyInstanceUID, &s.StudyTime, &s.InstitutionName}).Draw(t, "field") = text.Draw(t, "text")
				continue
			}
			for _, field := range []*string{
				&s.PatientName, &s.PatientID, &s.DateOfBirth, &s.StudyInstanceUID, &s.StudyDescription, &s.StudyDate, &s.StudyTime,
				&s.AccessionNumber, &s.ReferringPhysicianName, &s.PerformingPhysicianName, &s.InstitutionName,
			} {
				*field = text.Draw(t, "text")
			}
			s.ModalitiesInStudy = rapid.SliceOfN(text, 0, 3).Draw(t, "modalities")
		}
		result := &qr.QueryResult{Studies: studies}
		if rapid.Bool().Draw(t, "warned") {
			result.Warnings = []qr.Warning{{Code: qr.WarningDuplicatesMerged, Message: text.Draw(t, "message")}}
		}
		patientID := text.Draw(t, "patient ID")

		var want bytes.Buffer
		require.NoError(t, json.NewEncoder(&want).Encode(api.QueryResponse{
			Operation: api.CFIND, Status: api.QueryResponseStatusOk, PatientID: patientID,
			StudyDetails: studyDetails(studies), Warnings: warningsOf(result.Warnings),
		}))
		w := httptest.NewRecorder()
		require.NoError(t, queryAnswer{patientID, result, nil, nil}.VisitQueryResponse(w))
		require.Equal(t, want.String(), w.Body.String())
	})
}

func BenchmarkAnswer(b *testing.B) {
	result := &qr.QueryResult{Studies: make([]qr.Study, 1000)}
	for i := range result.Studies {
		result.Studies[i] = qr.Study{
			PatientName: patientName, PatientID: patientID, DateOfBirth: "19700101", StudyInstanceUID: studyUID + "." + strconv.Itoa(i),
			StudyDescription: "CT ABDOMEN " + strconv.Itoa(i%7), ModalitiesInStudy: []string{"CT"}, StudyDate: "20240101",
			StudyTime: strconv.Itoa(100000 + i), AccessionNumber: "ACC" + strconv.Itoa(i), ReferringPhysicianName: "REF^MD",
			PerformingPhysicianName: "PERF^MD", InstitutionName: "Hospital",
		}
	}
	w := discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, queryAnswer{"1112223333", result, nil, nil}.VisitQueryResponse(w))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(result.Studies)), "ns/study")
}

// discard is a response writer that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
