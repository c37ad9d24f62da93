package server

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr"
)

func TestRetrieveAnswerEqualsEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := func(name string) *int {
			if rapid.Bool().Draw(t, name) {
				return new(rapid.IntRange(0, 70000).Draw(t, name))
			}
			return nil
		}
		result := &qr.RetrieveResult{Studies: []qr.Study{study(studyUID), study(studyUID + ".2")}}
		for range rapid.IntRange(0, 3).Draw(t, "retrievals") {
			result.Retrievals = append(result.Retrievals, qr.Retrieval{
				StudyInstanceUID: studyUID, Status: qr.RetrievalPartial, DICOMStatus: rapid.SampledFrom([]string{"", "B000"}).Draw(t, "status"),
				Completed: count("completed"), Failed: count("failed"), Warning: count("warning"),
				FailedSOPInstanceUIDs: rapid.SliceOfN(rapid.SampledFrom([]string{"1.2", "1.3.4"}), 0, 4).Draw(t, "failed"),
			})
		}
		released := 0
		answer := &retrieveAnswer{
			status: 207, message: rapid.String().Draw(t, "message"), succeeded: 1, patientID: patientID, result: result, release: func() { released++ },
		}
		var want bytes.Buffer
		body := api.RetrieveResponse{
			Operation: api.RetrieveResponseOperationCMOVE, Status: api.RetrieveResponseStatusPartial, Message: answer.message, SuccessCount: 1,
			TotalCount: 2, PatientID: patientID, StudyDetails: studyDetails(result.Studies), Warnings: warningsOf(nil),
			Retrievals: retrievalsOf(result.Retrievals),
		}
		require.NoError(t, json.NewEncoder(&want).Encode(body))
		w := httptest.NewRecorder()
		require.NoError(t, answer.VisitRetrieveResponse(w))
		require.Equal(t, want.String(), w.Body.String())
		require.Equal(t, 207, w.Code)
		require.Equal(t, strconv.Itoa(want.Len()), w.Header().Get("Content-Length"))
		require.Equal(t, 1, released)
	})
}

func TestLongAnswersAreSentInParts(t *testing.T) {
	t.Parallel()
	uids := make([]string, 20000)
	for i := range uids {
		uids[i] = strings.Repeat("1", 60) + strconv.Itoa(i)
	}
	result := &qr.RetrieveResult{Studies: []qr.Study{study(studyUID)}}
	for range 5 {
		result.Retrievals = append(result.Retrievals, qr.Retrieval{StudyInstanceUID: studyUID, Status: qr.RetrievalFailed, FailedSOPInstanceUIDs: uids})
	}
	w := &parts{ResponseRecorder: httptest.NewRecorder()}
	require.NoError(t, (&retrieveAnswer{status: 207, result: result, release: func() {}}).VisitRetrieveResponse(w))
	assert.LessOrEqual(t, w.longest, maxPart+1000)
	assert.Empty(t, w.Header().Get("Content-Length"))
	assert.Equal(t, 207, w.Code)
	var got api.RetrieveResponse
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	assert.Equal(t, retrievalsOf(result.Retrievals), got.Retrievals)
}

// parts notes the length of the longest part.
type parts struct {
	*httptest.ResponseRecorder
	longest int
}

func (p *parts) Write(b []byte) (int, error) {
	p.longest = max(p.longest, len(b))
	return p.ResponseRecorder.Write(b)
}

func retrievalsOf(retrievals []qr.Retrieval) []api.Retrieval {
	out := make([]api.Retrieval, len(retrievals))
	for i := range retrievals {
		out[i] = retrievalOf(&retrievals[i])
	}
	return out
}

func retrievalOf(r *qr.Retrieval) api.Retrieval {
	return api.Retrieval{
		StudyInstanceUID:      r.StudyInstanceUID,
		Status:                api.RetrievalStatus(r.Status),
		DICOMStatus:           r.DICOMStatus,
		Completed:             r.Completed,
		Failed:                r.Failed,
		Warning:               r.Warning,
		FailedSOPInstanceUIDs: orEmpty(r.FailedSOPInstanceUIDs),
	}
}
