package server

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

const echoBody = `{"pacs_ip":"pacs.example","pacs_port":104,"pacs_ae_title":" PACS ","c_find_ae_title":"GATEWAY","pacs_tls":true}`

func echoing(report *qr.EchoReport) *fakeGateway {
	return &fakeGateway{echo: func(context.Context, qr.Call, qr.Peer) *qr.EchoReport { return report }}
}

func echoRequest(port int) goclient.EchoRequest {
	return goclient.EchoRequest{PACSIP: "127.0.0.1", PACSPort: port, PACSAETitle: "PACS", CFindAETitle: "GATEWAY"}
}

func TestEchoAnswerHasTheFieldsOfTheContractInOrder(t *testing.T) {
	var asked qr.Peer
	r := start(t, &fakeGateway{echo: func(_ context.Context, _ qr.Call, p qr.Peer) *qr.EchoReport {
		asked = p
		return &qr.EchoReport{Steps: []qr.EchoStep{
			{Step: pool.StepResolve, Status: qr.EchoOK, Duration: 1204 * time.Microsecond, Addresses: []string{"192.0.2.10", "2001:db8::10"}},
			{Step: dicomnet.StepConnect, Status: qr.EchoOK, Duration: time.Millisecond, Address: "192.0.2.10:104"},
			{
				Step: dicomnet.StepTLS, Status: qr.EchoOK, TLSVersion: "TLS 1.3", CipherSuite: "TLS_AES_128_GCM_SHA256",
				Certificate: &qr.Certificate{Subject: "CN=pacs", Issuer: "CN=ca", Expires: time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)},
			},
			{
				Step: dicomnet.StepAssociate, Status: qr.EchoOK,
				Peer: &dicomnet.PeerInfo{ImplementationClassUID: "1.2.3"},
				Contexts: []qr.EchoContext{
					{Service: "C-ECHO", NegotiatedContext: dicomnet.NegotiatedContext{
						ID: 1, AbstractSyntax: dicomnet.VerificationSOPClass, TransferSyntax: dataset.ImplicitVRLittleEndian,
					}},
					{Service: "C-FIND", NegotiatedContext: dicomnet.NegotiatedContext{
						ID: 3, AbstractSyntax: dicomnet.StudyRoot.Find, Result: dicomnet.ContextUserRejection,
					}},
				},
			},
			{Step: dicomnet.StepEcho, Status: qr.EchoOK, Duration: time.Second},
		}}
	}})

	status, header, body := r.post(t, "/echo", echoBody)

	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, qr.Peer{Host: "pacs.example", Port: 104, CalledAETitle: "PACS", CallingAETitle: "GATEWAY", TLS: true}, asked)
	assert.Equal(t, `{"operation":"C-ECHO","status":"ok","steps":[`+
		`{"step":"resolve","status":"ok","duration_ms":1.204,"addresses":["192.0.2.10","2001:db8::10"]},`+
		`{"step":"connect","status":"ok","duration_ms":1,"address":"192.0.2.10:104"},`+
		`{"step":"tls","status":"ok","duration_ms":0,"tls_version":"TLS 1.3","cipher_suite":"TLS_AES_128_GCM_SHA256",`+
		`"certificate_subject":"CN=pacs","certificate_issuer":"CN=ca","certificate_expiry":"2027-01-31T12:00:00Z"},`+
		`{"step":"associate","status":"ok","duration_ms":0,"hint":"The PACS accepts neither C-FIND nor C-MOVE from this caller: queries and retrieves will fail. Check what the PACS permits to this calling AE title (Study Root).",`+
		`"implementation_class_uid":"1.2.3","implementation_version_name":"","max_pdu_length":0,"contexts":[`+
		`{"service":"C-ECHO","abstract_syntax":"1.2.840.10008.1.1","transfer_syntax":"1.2.840.10008.1.2","result":"acceptance"},`+
		`{"service":"C-FIND","abstract_syntax":"1.2.840.10008.5.1.4.1.2.2.1","transfer_syntax":"","result":"user-rejection"}]},`+
		`{"step":"echo","status":"ok","duration_ms":1000}]}`, strings.TrimSpace(body))
	line := waitForLineOf(t, r, "request", header.Get("X-Correlation-ID"))
	assert.Equal(t, "C-ECHO", line["operation"])
	assert.Equal(t, "pacs.example:104", line["peer"])
}

func TestFailedEchoStepAnswers502WithTheSteps(t *testing.T) {
	for step, test := range map[goclient.DICOMFaultStep]struct {
		err  error
		code goclient.ProblemCode
	}{
		goclient.DICOMFaultStepResolve:   {&dicomnet.ConnectError{Err: &net.DNSError{Name: "pacs.example"}}, goclient.ProblemCodeNameResolutionFailed},
		goclient.DICOMFaultStepConnect:   {&dicomnet.ConnectError{Err: &net.OpError{}}, goclient.ProblemCodePACSUnreachable},
		goclient.DICOMFaultStepTLS:       {&dicomnet.TLSError{Err: errUnexpected}, goclient.ProblemCodeTLSFailed},
		goclient.DICOMFaultStepAssociate: {&dicomnet.RejectError{Result: 1, Source: 1, Reason: 3}, goclient.ProblemCodeAssociationRejected},
		goclient.DICOMFaultStepEcho: {
			&dicomnet.StatusError{Op: dicomnet.StepEcho, Status: dicomnet.StatusSOPClassNotSupported}, goclient.ProblemCodeEchoFailed,
		},
	} {
		t.Run(string(step), func(t *testing.T) {
			r := start(t, echoing(&qr.EchoReport{
				Steps: []qr.EchoStep{
					{Step: pool.StepResolve, Status: qr.EchoOK, Addresses: []string{"192.0.2.77"}},
					{Step: dicomnet.Step(step), Status: qr.EchoFailed, Err: test.err, Certificate: &qr.Certificate{Subject: "CN=secret"}},
				},
				Err: &dicomnet.OpError{Step: dicomnet.Step(step), Err: test.err},
			}))

			reply, err := r.api.EchoWithResponse(t.Context(), nil, echoRequest(104))

			require.NoError(t, err)
			require.Equal(t, http.StatusBadGateway, reply.StatusCode())
			p := reply.ApplicationProblemJSON502
			assert.Equal(t, test.code, p.Code)
			assert.Equal(t, step, p.DICOM.Step)
			require.Len(t, p.Steps, 2)
			assert.Equal(t, []string{"192.0.2.77"}, p.Steps[0].Addresses)
			assert.NotEmpty(t, *p.Steps[1].Hint)
			assert.Equal(t, "CN=secret", *p.Steps[1].CertificateSubject)
			waitForLine(t, r, "request")
			assert.NotContains(t, r.logs.String(), "192.0.2.77", "the details of the steps are for the caller only")
			assert.NotContains(t, r.logs.String(), "secret")
		})
	}
}

func TestEchoDuringShutdownAnswers503WithoutSteps(t *testing.T) {
	begun := make(chan struct{})
	r := start(t, &fakeGateway{echo: func(ctx context.Context, _ qr.Call, _ qr.Peer) *qr.EchoReport {
		close(begun)
		<-ctx.Done()
		return &qr.EchoReport{
			Steps: []qr.EchoStep{{Step: pool.StepResolve, Status: qr.EchoFailed}},
			Err:   &dicomnet.OpError{Step: pool.StepResolve, Err: ctx.Err()},
		}
	}}, "DRAIN_TIMEOUT", "0")
	go func() {
		<-begun
		r.stop()
	}()

	reply, err := r.api.EchoWithResponse(t.Context(), nil, echoRequest(104))

	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, reply.StatusCode())
	assert.Equal(t, goclient.ProblemCodeDraining, reply.ApplicationProblemJSON503.Code)
	assert.Empty(t, reply.ApplicationProblemJSON503.Steps)
}

func TestEchoOfAPACS(t *testing.T) {
	pacs := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: "PACS"})
	require.NoError(t, pacs.Listen("127.0.0.1:0"))
	_, service, err := net.SplitHostPort(pacs.Addr())
	require.NoError(t, err)
	port, err := strconv.Atoi(service)
	require.NoError(t, err)
	r := start(t, newGateway(gatewayOptions{pool: pool.Options{LookupHost: func(_ context.Context, host string) ([]string, error) {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}}}))
	hintOf := func(change func(*goclient.EchoRequest)) (step goclient.EchoStepStep, hint string) {
		t.Helper()
		request := echoRequest(port)
		change(&request)
		reply, err := r.api.EchoWithResponse(t.Context(), nil, request)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadGateway, reply.StatusCode())
		steps := reply.ApplicationProblemJSON502.Steps
		last := steps[len(steps)-1]
		assert.Equal(t, goclient.EchoStepStatusFailed, last.Status)
		return last.Step, *last.Hint
	}

	reply, err := r.api.EchoWithResponse(t.Context(), nil, echoRequest(port))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, reply.StatusCode())
	require.Len(t, reply.JSON200.Steps, 5)
	for _, c := range reply.JSON200.Steps[3].Contexts {
		assert.Equal(t, "acceptance", c.Result)
	}

	step, hint := hintOf(func(e *goclient.EchoRequest) { e.PACSAETitle = "OTHER" })
	assert.Equal(t, goclient.EchoStepStepAssociate, step)
	assert.Contains(t, hint, "called AE title")
	step, hint = hintOf(func(e *goclient.EchoRequest) { e.PACSTLS = new(true) })
	assert.Equal(t, goclient.EchoStepStepTLS, step)
	assert.Contains(t, hint, "pacs_tls")
	step, hint = hintOf(func(e *goclient.EchoRequest) { e.PACSIP = "pacs.example" })
	assert.Equal(t, goclient.EchoStepStepResolve, step)
	assert.Contains(t, hint, "host name has no address")

	require.NoError(t, pacs.Close())
	step, hint = hintOf(func(*goclient.EchoRequest) {})
	assert.Equal(t, goclient.EchoStepStepConnect, step)
	assert.Contains(t, hint, "this port")
}
