package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/problem"
)

// moving returns a gateway whose retrieve has this outcome.
func moving(result *qr.RetrieveResult, err error) *fakeGateway {
	return &fakeGateway{retrieve: func(context.Context, qr.Call, qr.Peer, qr.Filter, string) (*qr.RetrieveResult, error) {
		return result, err
	}}
}

// outcome returns a result with one study for each retrieval.
func outcome(err error, retrievals ...qr.Retrieval) *qr.RetrieveResult {
	result := &qr.RetrieveResult{Retrievals: retrievals, Err: err}
	for i := range retrievals {
		retrievals[i].StudyInstanceUID = studyUID + "." + string(rune('1'+i))
		result.Studies = append(result.Studies, study(retrievals[i].StudyInstanceUID))
	}
	return result
}

func moved(n int) qr.Retrieval {
	return qr.Retrieval{
		Status: qr.RetrievalOK, DICOMStatus: "0000", Completed: new(n), Failed: new(0), Warning: new(0),
		FailedSOPInstanceUIDs: []string{},
	}
}

var errUnknownDestination = &dicomnet.OpError{
	Step: dicomnet.StepMove,
	Err: &dicomnet.StatusError{
		Op: dicomnet.StepMove, Status: dicomnet.StatusMoveDestination,
		Detail: dicomnet.StatusDetail{ErrorComment: "no such AE for " + patientName},
	},
}

func TestRetrieveAnswerHasTheFieldsOfTheContractInOrder(t *testing.T) {
	var destination string
	r := start(t, &fakeGateway{retrieve: func(_ context.Context, _ qr.Call, p qr.Peer, f qr.Filter, d string) (*qr.RetrieveResult, error) {
		destination = d
		assert.Equal(t, qr.Peer{Host: "127.0.0.1", Port: 104, CalledAETitle: "PACS", CallingAETitle: "GATEWAY"}, p)
		assert.Equal(t, qr.Filter{PatientID: patientID}, f)
		return outcome(nil, moved(42)), nil
	}})

	status, _, body := r.post(t, "/qr", strings.Replace(retrieveBody, `"DEST"`, `" DEST "`, 1))

	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "DEST", destination)
	assert.Equal(t, `{"operation":"C-MOVE","status":"ok","message":"The study was moved.","success_count":1,"total_count":1,`+
		`"patient_id":"`+patientID+`","study_details":[{"PatientName":"`+patientName+`","PatientID":"`+patientID+`","DateOfBirth":"",`+
		`"StudyInstanceUID":"`+studyUID+`.1","StudyDescription":"","ModalitiesInStudy":["CT"],"StudyDate":"","StudyTime":"",`+
		`"AccessionNumber":"","ReferringPhysicianName":"","PerformingPhysicianName":"","InstitutionName":""}],"warnings":[],`+
		`"retrievals":[{"StudyInstanceUID":"`+studyUID+`.1","status":"ok","dicom_status":"0000","completed":42,"failed":0,`+
		`"warning":0,"failed_sop_instance_uids":[]}]}`, strings.TrimSpace(body))
}

func TestRetrieveOutcomes(t *testing.T) {
	failed := qr.Retrieval{Status: qr.RetrievalFailed, DICOMStatus: "A801"}
	partly := qr.Retrieval{
		Status: qr.RetrievalPartial, DICOMStatus: "B000", Completed: new(9), Failed: new(1), FailedSOPInstanceUIDs: []string{"1.2.3"},
	}
	cancelled := qr.Retrieval{Status: qr.RetrievalCancelled}
	notAttempted := qr.Retrieval{Status: qr.RetrievalNotAttempted}
	lost := &dicomnet.OpError{Step: dicomnet.StepMove, Err: dicomnet.ErrConnectionLost}

	gateway := &fakeGateway{}
	r := start(t, gateway)
	for name, test := range map[string]struct {
		result  *qr.RetrieveResult
		status  int
		message string
		count   int
		code    goclient.ProblemCode
	}{
		"all": {outcome(nil, moved(1), moved(2)), 200, "All 2 studies were moved.", 2, ""},
		"success without counters": {
			outcome(nil, qr.Retrieval{Status: qr.RetrievalOK, DICOMStatus: "0000"}), 200, "The study was moved.", 1, "",
		},
		"one partial": {outcome(errUnknownDestination, partly), 207, "The study was moved in part.", 0, ""},
		"some": {
			outcome(lost, moved(1), partly, failed, cancelled, notAttempted, notAttempted), 207,
			"Not everything was moved: of 6 studies 1 completely, 1 in part, 1 failed, 1 cancelled, 2 not attempted.", 1, "",
		},
		"nothing moved: destination unknown": {outcome(errUnknownDestination, failed), 502, "", 0, goclient.ProblemCodeMoveDestinationUnknown},
		"nothing moved: refused": {
			outcome(&dicomnet.OpError{Step: dicomnet.StepMove, Err: &dicomnet.StatusError{
				Op: dicomnet.StepMove, Status: dicomnet.StatusCannotPerform,
			}}, failed),
			502, "", 0, goclient.ProblemCodeMoveFailed,
		},
		"nothing moved: status success": {
			outcome(&dicomnet.OpError{Step: dicomnet.StepMove, Err: &qr.MoveOutcomeError{}}, failed), 502, "", 0, goclient.ProblemCodeMoveFailed,
		},
		"nothing moved: connection lost": {outcome(lost, failed, notAttempted), 502, "", 0, goclient.ProblemCodeConnectionLost},
		"nothing moved: timeout": {
			outcome(&dicomnet.OpError{Step: dicomnet.StepMove, Err: &dicomnet.TimeoutError{Timer: dicomnet.TimerMove}}, failed),
			502, "", 0, goclient.ProblemCodeMoveTimeout,
		},
		"nothing moved: unknown error":     {outcome(errUnexpected, failed), 502, "", 0, goclient.ProblemCodeMoveFailed},
		"nothing moved: no error":          {outcome(nil, failed), 502, "", 0, goclient.ProblemCodeMoveFailed},
		"nothing moved: cancelled":         {outcome(&dicomnet.OpError{Step: dicomnet.StepMove, Err: context.Canceled}, cancelled), 502, "", 0, goclient.ProblemCodeCancelled},
		"no match":                         {&qr.RetrieveResult{}, 404, "", 0, goclient.ProblemCodeNoStudyMatched},
		"failed with some instances moved": {outcome(lost, qr.Retrieval{Status: qr.RetrievalFailed, Completed: new(3)}), 207, "The study was moved in part.", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			*gateway = *moving(test.result, nil)
			reply, err := r.api.RetrieveWithResponse(t.Context(), nil, retrieveRequest())
			require.NoError(t, err)
			require.Equal(t, test.status, reply.StatusCode())

			switch test.status {
			case http.StatusOK, http.StatusMultiStatus:
				answer := reply.JSON200
				want := goclient.RetrieveResponseStatusOk
				if test.status == http.StatusMultiStatus {
					answer, want = reply.JSON207, goclient.RetrieveResponseStatusPartial
				}
				assert.Equal(t, want, answer.Status)
				assert.Equal(t, test.message, answer.Message)
				assert.Equal(t, test.count, answer.SuccessCount)
				assert.Equal(t, len(test.result.Studies), answer.TotalCount)
				require.Len(t, answer.Retrievals, len(test.result.Retrievals))
				for i, retrieval := range test.result.Retrievals {
					assert.Equal(t, retrieval.Completed, answer.Retrievals[i].Completed)
					assert.NotNil(t, answer.Retrievals[i].FailedSOPInstanceUIDs)
				}
			default:
				p := problemIn(t, string(reply.Body))
				assert.Equal(t, test.code, p.Code)
				assert.NotContains(t, string(reply.Body), patientName)
				if test.status == http.StatusBadGateway {
					assert.Equal(t, goclient.DICOMFaultStepMove, p.DICOM.Step)
				}
			}
			assert.NotContains(t, r.logs.String(), patientName)
			assert.NotContains(t, r.logs.String(), patientID)
			assert.NotContains(t, r.logs.String(), studyUID)
		})
	}
}

func TestFailedQueryOfARetrieveAnswers502(t *testing.T) {
	r := start(t, moving(nil, &dicomnet.OpError{Step: dicomnet.StepAssociate, Err: &dicomnet.RejectError{Result: 2, Source: 3, Reason: 1}}))
	reply, err := r.api.RetrieveWithResponse(t.Context(), nil, retrieveRequest())
	require.NoError(t, err)
	require.Equal(t, http.StatusBadGateway, reply.StatusCode())
	assert.Equal(t, "temporary-congestion", *reply.ApplicationProblemJSON502.DICOM.Reason)
}

func TestRetrieveRequiresAMoveDestination(t *testing.T) {
	r := start(t, &fakeGateway{})
	status, _, body := r.post(t, "/qr", queryBody)
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Equal(t, []goclient.Fault{{Pointer: "/c_move_ae_title", Detail: "is required"}}, problemIn(t, body).Errors)
}

func TestHandlerWithoutAResponseAnswers500(t *testing.T) {
	response, err := requireResponse(func(echoContext, any) (any, error) { return nil, nil }, "")(nil, nil)
	assert.Nil(t, response)
	require.ErrorIs(t, err, errNoResponse)
	assert.Equal(t, http.StatusInternalServerError, problem.Of(t.Context(), err).Status())

	response, err = requireResponse(func(echoContext, any) (any, error) { return nil, errUnexpected }, "")(nil, nil)
	assert.Nil(t, response)
	assert.True(t, errors.Is(err, errUnexpected))
}
