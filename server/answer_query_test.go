package server

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
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
		studies := make([]qr.Study, rapid.IntRange(0, 3).Draw(t, "studies"))
		for i := range studies {
			s := &studies[i]
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
		require.NoError(t, queryAnswer{patientID, result, nil}.VisitQueryResponse(w))
		require.Equal(t, want.String(), w.Body.String())
	})
}

func BenchmarkAnswer(b *testing.B) {
	result := &qr.QueryResult{Studies: make([]qr.Study, 1000)}
	for i := range result.Studies {
		result.Studies[i] = study(studyUID)
	}
	var body []byte
	b.ReportAllocs()
	for b.Loop() {
		body, _ = queryAnswer{"1112223333", result, nil}.append(body[:0])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(result.Studies)), "ns/study")
}
