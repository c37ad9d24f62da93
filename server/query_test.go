package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	openapi_types "github.com/oapi-codegen/runtime/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/qr"
)

func answering(result *qr.QueryResult, err error) *fakeGateway {
	return &fakeGateway{query: func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) { return result, err }}
}

func TestQueryAnswerHasTheFieldsOfTheContractInOrder(t *testing.T) {
	r := start(t, answering(&qr.QueryResult{
		Studies: []qr.Study{
			{
				PatientName: "DOE^JOHN", PatientID: "1112223333", DateOfBirth: "19700101", StudyInstanceUID: "1.2.3.4",
				StudyDescription: "CT ABDOMEN", ModalitiesInStudy: []string{"CT"}, StudyDate: "20240101", StudyTime: "120000",
				AccessionNumber: "ACC-1", ReferringPhysicianName: "REF^MD", PerformingPhysicianName: "PERF^MD",
				InstitutionName: "Hospital",
			},
			{},
		},
		Warnings: []qr.Warning{{Code: qr.WarningDuplicatesMerged, Message: "2 duplicates were merged."}},
	}, nil))

	status, header, body := r.post(t, "/q", strings.Replace(queryBody, patientID, " 1112223333 ", 1))

	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "application/json; charset=utf-8", header.Get("Content-Type"))
	assert.Equal(t, "no-store", header.Get("Cache-Control"))
	assert.Equal(t, `{"operation":"C-FIND","status":"ok","patient_id":"1112223333","study_details":[`+
		`{"PatientName":"DOE^JOHN","PatientID":"1112223333","DateOfBirth":"19700101","StudyInstanceUID":"1.2.3.4",`+
		`"StudyDescription":"CT ABDOMEN","ModalitiesInStudy":["CT"],"StudyDate":"20240101","StudyTime":"120000",`+
		`"AccessionNumber":"ACC-1","ReferringPhysicianName":"REF^MD","PerformingPhysicianName":"PERF^MD","InstitutionName":"Hospital"},`+
		`{"PatientName":"","PatientID":"","DateOfBirth":"","StudyInstanceUID":"","StudyDescription":"","ModalitiesInStudy":[],`+
		`"StudyDate":"","StudyTime":"","AccessionNumber":"","ReferringPhysicianName":"","PerformingPhysicianName":"","InstitutionName":""}],`+
		`"warnings":[{"code":"duplicates_merged","message":"2 duplicates were merged."}]}`, strings.TrimSpace(body))
}

func TestQueryPassesAllFiltersWithoutPadding(t *testing.T) {
	var peer qr.Peer
	var filter qr.Filter
	r := start(t, &fakeGateway{query: func(_ context.Context, _ qr.Call, p qr.Peer, f qr.Filter) (*qr.QueryResult, error) {
		peer, filter = p, f
		return &qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil
	}})
	day := func(s string) *openapi_types.Date {
		d, err := time.Parse(time.DateOnly, s)
		require.NoError(t, err)
		return &openapi_types.Date{Time: d}
	}

	reply, err := r.api.QueryWithResponse(t.Context(), nil, goclient.QueryRequest{
		PACSIP: "pacs.example", PACSPort: 11112, PACSAETitle: " PACS ", CFindAETitle: "GATEWAY ", PatientID: " Ä 1 ",
		Modalities: goclient.Modalities{"CT ", "MR"}, MaxYearsOld: new(5), MaxResults: new(7),
		StudyInstanceUIDs: goclient.StudyInstanceUIDs{"1.2", "1.3"}, AccessionNumber: new(" ACC 1 "),
		StudyDateFrom: day("2024-01-31"), StudyDateTo: day("2024-02-29"), PACSTLS: new(true),
	})

	require.NoError(t, err)
	require.Equal(t, http.StatusOK, reply.StatusCode())
	assert.Equal(t, "Ä 1", reply.JSON200.PatientID)
	assert.Equal(t, qr.Peer{Host: "pacs.example", Port: 11112, CalledAETitle: "PACS", CallingAETitle: "GATEWAY", TLS: true}, peer)
	assert.Equal(t, qr.Filter{
		PatientID: "Ä 1", Modalities: []string{"CT", "MR"}, MaxYearsOld: 5, MaxResults: 7,
		StudyInstanceUIDs: []string{"1.2", "1.3"}, AccessionNumber: "ACC 1", StudyDateFrom: "20240131", StudyDateTo: "20240229",
	}, filter)
}

func TestQueryWithoutAMatchAnswers404WithWarnings(t *testing.T) {
	r := start(t, answering(&qr.QueryResult{
		Warnings: []qr.Warning{{Code: qr.WarningOtherPatientDropped, Message: "1 match of another patient was dropped."}},
	}, nil))

	reply, err := r.api.QueryWithResponse(t.Context(), &goclient.QueryParams{XCorrelationID: new("mine-1")}, queryRequest())

	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, reply.StatusCode())
	assert.Equal(t, "mine-1", reply.HTTPResponse.Header.Get("X-Correlation-ID"))
	assert.Equal(t, goclient.ProblemCodeNoStudyMatched, reply.ApplicationProblemJSON404.Code)
	assert.Equal(t, []goclient.Warning{{Code: goclient.OtherPatientDropped, Message: "1 match of another patient was dropped."}},
		reply.ApplicationProblemJSON404.Warnings)
}

func TestIntegersWithFractionOrExponentAreAccepted(t *testing.T) {
	var port, results int
	r := start(t, &fakeGateway{query: func(_ context.Context, _ qr.Call, p qr.Peer, f qr.Filter) (*qr.QueryResult, error) {
		port, results = p.Port, f.MaxResults
		return &qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil
	}})

	status, _, _ := r.post(t, "/q", strings.Replace(queryBody, `"pacs_port":104`, `"pacs_port":104.0,"max_results":1e2`, 1))

	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, 104, port)
	assert.Equal(t, 100, results)
}

func TestDisconnectCancelsTheQuery(t *testing.T) {
	begun, cancelled := make(chan struct{}), make(chan struct{})
	r := start(t, &fakeGateway{query: func(ctx context.Context, _ qr.Call, _ qr.Peer, _ qr.Filter) (*qr.QueryResult, error) {
		close(begun)
		<-ctx.Done()
		close(cancelled)
		return nil, ctx.Err()
	}})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-begun
		leave()
	}()

	_, err := r.api.QueryWithResponse(ctx, nil, queryRequest())

	require.ErrorIs(t, err, context.Canceled)
	<-cancelled
}
