package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/qr"
)

func TestFailuresHaveTheirCodesAndHideTheirCauses(t *testing.T) {
	at := func(step dicomnet.Step, err error) error { return &dicomnet.OpError{Step: step, Err: err} }
	secret := errors.New("dial 10.9.8.7: " + patientName)
	gateway := &fakeGateway{}
	r := start(t, gateway)
	for name, test := range map[string]struct {
		err   error
		code  goclient.ProblemCode
		dicom goclient.DICOMFault
	}{
		"refused": {
			at(dicomnet.StepConnect, &dicomnet.ConnectError{Err: secret}),
			goclient.ProblemCodePACSUnreachable,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepConnect},
		},
		"unknown name": {
			at(dicomnet.StepConnect, &dicomnet.ConnectError{Err: &net.DNSError{Err: "no such host", Name: "10.9.8.7"}}),
			goclient.ProblemCodeNameResolutionFailed,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepConnect},
		},
		"connection timeout": {
			at(dicomnet.StepConnect, &dicomnet.TimeoutError{Timer: dicomnet.TimerConnection}),
			goclient.ProblemCodeConnectionTimeout,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepConnect},
		},
		"tls": {
			at(dicomnet.StepTLS, &dicomnet.TLSError{Err: secret}),
			goclient.ProblemCodeTLSFailed,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepTLS},
		},
		"tls expected": {
			at(dicomnet.StepAssociate, dicomnet.ErrTLSExpected),
			goclient.ProblemCodeTLSExpected,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepAssociate},
		},
		"not DICOM": {
			at(dicomnet.StepAssociate, &dicomnet.ProtocolError{Detail: "first byte", Err: dicomnet.ErrNotDICOM}),
			goclient.ProblemCodeNotADicomPeer,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepAssociate},
		},
		"rejected": {
			at(dicomnet.StepAssociate, &dicomnet.RejectError{Result: 1, Source: 1, Reason: 7}),
			goclient.ProblemCodeAssociationRejected,
			goclient.DICOMFault{
				Step: goclient.DICOMFaultStepAssociate, Result: new("rejected-permanent"), Source: new("service-user"),
				Reason: new("called-AE-title-not-recognized"),
			},
		},
		"association timeout": {
			at(dicomnet.StepAssociate, &dicomnet.TimeoutError{Timer: dicomnet.TimerACSE}),
			goclient.ProblemCodeAssociationTimeout,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepAssociate},
		},
		"aborted": {
			at(dicomnet.StepFind, &dicomnet.AbortError{Remote: true, Source: 2, Reason: 1}),
			goclient.ProblemCodeAssociationAborted,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepFind, Source: new("service-provider"), Reason: new("unrecognized-PDU")},
		},
		"released": {
			at(dicomnet.StepFind, dicomnet.ErrReleased),
			goclient.ProblemCodeAssociationReleased,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepFind},
		},
		"lost": {
			at(dicomnet.StepFind, dicomnet.ErrConnectionLost),
			goclient.ProblemCodeConnectionLost,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepFind},
		},
		"no context": {
			at(dicomnet.StepAssociate, &dicomnet.NoContextError{}),
			goclient.ProblemCodeNoPresentationContext,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepAssociate},
		},
		"find failed": {
			at(dicomnet.StepFind, &dicomnet.StatusError{
				Op: dicomnet.StepFind, Status: dicomnet.StatusOutOfResources,
				Detail: dicomnet.StatusDetail{ErrorComment: patientName},
			}),
			goclient.ProblemCodeFindFailed,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepFind, Status: new("A700"), Meaning: new("refused: out of resources")},
		},
		"dimse timeout": {
			at(dicomnet.StepFind, &dicomnet.TimeoutError{Timer: dicomnet.TimerDIMSE}),
			goclient.ProblemCodeDIMSETimeout,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepFind},
		},
		"network timeout": {
			at(dicomnet.StepFind, &dicomnet.TimeoutError{Timer: dicomnet.TimerNetwork}),
			goclient.ProblemCodeNetworkTimeout,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepFind},
		},
		"too many matches": {
			at(dicomnet.StepFind, &qr.TooManyMatchesError{Max: 10}),
			goclient.ProblemCodeTooManyMatches,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepFind},
		},
		"limit": {
			at(dicomnet.StepFind, &dicomnet.LimitError{What: "data set", Max: 1}),
			goclient.ProblemCodeLimitExceeded,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepFind},
		},
		"protocol": {
			at(dicomnet.StepFind, &dicomnet.ProtocolError{Detail: "odd"}),
			goclient.ProblemCodeProtocolError,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepFind},
		},
		"undecodable": {
			at(dicomnet.StepFind, &dicomnet.DataSetError{Err: secret}),
			goclient.ProblemCodeProtocolError,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepFind},
		},
		"operation timeout": {
			at(dicomnet.StepFind, &qr.OperationTimeoutError{}),
			goclient.ProblemCodeOperationTimeout,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepFind},
		},
		"cancelled": {
			at(dicomnet.StepFind, context.Canceled),
			goclient.ProblemCodeCancelled,
			goclient.DICOMFault{Step: goclient.DICOMFaultStepFind},
		},
	} {
		t.Run(name, func(t *testing.T) {
			*gateway = *answering(nil, test.err)
			status, header, body := r.post(t, "/q", queryBody)

			assert.Equal(t, http.StatusBadGateway, status)
			p := problemIn(t, body)
			assert.Equal(t, test.code, p.Code)
			assert.Equal(t, "urn:dicom-qr-gateway:problem:"+string(test.code), p.Type)
			require.NotNil(t, p.DICOM)
			assert.Equal(t, test.dicom, *p.DICOM)
			for _, planted := range []string{patientID, patientName, "10.9.8.7", "127.0.0.1", "dicomnet"} {
				assert.NotContains(t, body, planted)
			}
			line := waitForLineOf(t, r, "request", header.Get("X-Correlation-ID"))
			assert.Equal(t, string(test.code), line["code"])
			assert.NotContains(t, r.logs.String(), patientName)
			assert.NotContains(t, r.logs.String(), patientID)
		})
	}
}

func TestUnknownErrorAnswers500AndHidesItsText(t *testing.T) {
	r := start(t, answering(nil, errUnexpected))

	reply, err := r.api.QueryWithResponse(t.Context(), &goclient.QueryParams{XCorrelationID: new("mine-1")}, queryRequest())

	require.NoError(t, err)
	require.Equal(t, http.StatusInternalServerError, reply.StatusCode())
	assert.Equal(t, goclient.ProblemCodeInternalError, reply.ApplicationProblemJSON500.Code)
	assert.NotContains(t, string(reply.Body), patientName)
	assert.NotContains(t, r.logs.String(), patientName)
	lines := r.logs.lines(t, "internal error")
	require.Len(t, lines, 1)
	assert.Equal(t, "mine-1", lines[0]["correlation_id"])
	assert.Equal(t, "*errors.errorString", lines[0]["error_type"])
}

func TestDebugLogShowsTheCauseOfA500(t *testing.T) {
	r := start(t, answering(nil, errUnexpected), "DICOM_DEBUG", "true")
	status, _, _ := r.post(t, "/q", queryBody)
	assert.Equal(t, http.StatusInternalServerError, status)
	assert.Contains(t, r.logs.String(), errUnexpected.Error())
}

func TestFilterErrorAnswers400(t *testing.T) {
	r := start(t, answering(nil, &qr.FilterError{Field: "patient ID"}))
	status, _, body := r.post(t, "/q", queryBody)
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Equal(t, goclient.ProblemCodeInvalidRequest, problemIn(t, body).Code)
}

func TestPanicAnswers500AndLogsTheStack(t *testing.T) {
	for name, test := range map[string]struct {
		panics func()
		logged string
	}{
		"runtime error": {func() { _ = []int{}[len(patientName)] }, "index out of range"},
		"other value":   {func() { panic(patientName) }, `"panic":"string"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, &fakeGateway{query: func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) {
				test.panics()
				return nil, nil
			}})
			status, header, body := r.post(t, "/q", queryBody)

			assert.Equal(t, http.StatusInternalServerError, status)
			assert.Equal(t, header.Get("X-Correlation-ID"), *problemIn(t, body).CorrelationID)
			lines := r.logs.lines(t, "panic")
			require.Len(t, lines, 1)
			assert.Contains(t, lines[0]["stack"], "problem_test.go")
			assert.Contains(t, r.logs.String(), test.logged)
			assert.NotContains(t, r.logs.String(), patientName)
			waitForLine(t, r, "request")
		})
	}
}

func TestAbortedHandlerClosesTheConnection(t *testing.T) {
	r := start(t, &fakeGateway{query: func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) {
		panic(http.ErrAbortHandler)
	}})
	_, err := r.api.QueryWithResponse(t.Context(), nil, queryRequest())
	require.Error(t, err)
}
