package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
)

func TestHealthReadyAndVersion(t *testing.T) {
	r := start(t, &fakeGateway{})

	health, err := r.api.GetHealthWithResponse(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, `{"status":"ok"}`, strings.TrimSpace(string(health.Body)))

	ready, err := r.api.GetReadyWithResponse(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, goclient.Ready, ready.JSON200.Status)

	version, err := r.api.GetVersionWithResponse(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, `{"version":"v1.2.3","commit":"abc","build_date":"2024-01-31T12:00:00Z","go_version":"go1.26"}`,
		strings.TrimSpace(string(version.Body)))
	assert.Equal(t, "dicom-qr-gateway v1.2.3 abc 2024-01-31T12:00:00Z go1.26", BuildInfo{Version: "v1.2.3", Commit: "abc", Date: "2024-01-31T12:00:00Z", GoVersion: "go1.26"}.String())
}

func TestHeadAndRoot(t *testing.T) {
	r := start(t, &fakeGateway{})
	status, header, body := r.do(t, http.MethodHead, "/health", nil)
	assert.Equal(t, http.StatusOK, status)
	assert.Empty(t, body)
	assert.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))

	status, header, _ = r.do(t, http.MethodGet, "/", nil)
	assert.Equal(t, http.StatusFound, status)
	assert.Equal(t, "docs", header.Get("Location"), "relative, for proxies that add a path prefix")
}

func TestContractIsServedByteForByte(t *testing.T) {
	r := start(t, &fakeGateway{})
	contract, err := os.ReadFile("../openapi.yaml")
	require.NoError(t, err)
	_, _, body := r.do(t, http.MethodGet, "/openapi.yaml", nil)
	assert.Equal(t, string(contract), body)
	status, _, _ := r.do(t, http.MethodGet, "/docs", nil)
	assert.Equal(t, http.StatusOK, status)
}

func TestShutdownLetsOperationsEndAndRefusesNewOnes(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	r := start(t, &fakeGateway{query: func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) {
		close(begun)
		<-finish
		return &qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil
	}}, "DRAIN_TIMEOUT", "60")
	running := make(chan int)
	go func() {
		reply, err := r.api.QueryWithResponse(t.Context(), nil, queryRequest())
		assert.NoError(t, err)
		running <- reply.StatusCode()
	}()
	<-begun
	r.stop()
	waitForLine(t, r, "draining")

	ready, err := r.api.GetReadyWithResponse(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusServiceUnavailable, ready.StatusCode())
	assert.Equal(t, "5", ready.HTTPResponse.Header.Get("Retry-After"))

	refused, err := r.api.QueryWithResponse(t.Context(), nil, queryRequest())
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, refused.StatusCode())
	assert.Equal(t, goclient.ProblemCodeDraining, refused.ApplicationProblemJSON503.Code)
	assert.Equal(t, "5", refused.HTTPResponse.Header.Get("Retry-After"))
	assert.True(t, refused.HTTPResponse.Close, "the next connection of the caller can reach another gateway")

	health, err := r.api.GetHealthWithResponse(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, health.StatusCode())

	close(finish)
	assert.Equal(t, http.StatusOK, <-running)
	require.NoError(t, <-r.done)
	r.done <- nil // for the cleanup
}

func TestShutdownCancelsOperationsAfterTheDrainTimeout(t *testing.T) {
	begun := make(chan struct{})
	r := start(t, &fakeGateway{query: func(ctx context.Context, _ qr.Call, _ qr.Peer, _ qr.Filter) (*qr.QueryResult, error) {
		close(begun)
		<-ctx.Done()
		return nil, &dicomnet.OpError{Step: dicomnet.StepFind, Err: ctx.Err()}
	}}, "DRAIN_TIMEOUT", "0.01")
	go func() {
		<-begun
		r.stop()
	}()
	reply, err := r.api.QueryWithResponse(t.Context(), nil, queryRequest())
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, reply.StatusCode())
	assert.Equal(t, goclient.ProblemCodeDraining, reply.ApplicationProblemJSON503.Code)
	require.NoError(t, <-r.done)
	r.done <- nil
}

func TestShutdownReportsAnUncleanEnd(t *testing.T) {
	r := start(t, &fakeGateway{waitErr: context.DeadlineExceeded})
	r.stop()
	err := <-r.done
	r.done <- nil
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, false, r.logs.lines(t, "stopped")[0]["clean"])
}

func TestFailingListenerEndsServe(t *testing.T) {
	r := start(t, &fakeGateway{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	err = r.server.Serve(t.Context(), listener)
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestHTTPS(t *testing.T) {
	files := writeCertificate(t)
	r := start(t, &fakeGateway{}, "TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: files.pool, ServerName: "gateway.test"}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get(strings.Replace(r.url, "http:", "https:", 1) + "/health")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusOK, response.StatusCode)
}

func TestFailedHandshakeIsLogged(t *testing.T) {
	files := writeCertificate(t)
	r := start(t, &fakeGateway{}, "TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key)
	connection, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(t, err)
	_, err = connection.Write([]byte("this is no handshake\r\n"))
	require.NoError(t, err)
	waitForLine(t, r, "http")
	require.NoError(t, connection.Close())
}

func TestAssociationLogLineHasTheCorrelationID(t *testing.T) {
	summary := dicomnet.Summary{
		CalledAETitle: "PACS", CallingAETitle: "GATEWAY", Remote: "192.0.2.1:104", Outcome: "rejected",
		Duration: 1500 * time.Microsecond, PDUsSent: 1, PDUsReceived: 2, BytesSent: 3, BytesReceived: 4,
		Peer: dicomnet.PeerInfo{ImplementationVersionName: "OTHER_1"},
		Err:  &dicomnet.OpError{Step: dicomnet.StepFind, Err: &dicomnet.DataSetError{Err: errors.New(patientName)}},
	}
	trace := func(ctx context.Context, debug bool) {
		trace := telemetry.NewLogTrace(debug, "")
		trace.Ended(ctx, summary)
		if debug {
			trace.PDU(ctx, true, "P-DATA-TF", 100)
			trace.Command(ctx, false, dicomnet.CommandSet{
				CommandField: dicomnet.CMoveRSP, Status: dicomnet.StatusMoveDestination, Remaining: new(uint16(3)),
				MoveDestination: "DEST", Detail: dicomnet.StatusDetail{ErrorComment: "unknown"},
			})
			trace.Identifier(ctx, true, "1.2.840.10008.1.2", []byte(patientName))
		} else {
			assert.Nil(t, trace.PDU)
			assert.Nil(t, trace.Identifier)
		}
	}
	for _, debug := range []bool{false, true} {
		gateway := &fakeGateway{query: func(ctx context.Context, _ qr.Call, _ qr.Peer, _ qr.Filter) (*qr.QueryResult, error) {
			trace(ctx, debug)
			return &qr.QueryResult{}, nil
		}}
		r := start(t, gateway, "DICOM_DEBUG", map[bool]string{true: "true", false: "false"}[debug])
		_, header, _ := r.post(t, "/q", queryBody)

		line := waitForLine(t, r, "association")
		assert.Equal(t, header.Get("X-Correlation-ID"), line["correlation_id"])
		assert.Equal(t, "undecodable data set", line["error"])
		assert.Equal(t, "rejected", line["outcome"])
		assert.Equal(t, 1.5, line["duration_ms"])
		assert.Equal(t, "192.0.2.1:104", line["peer"])
		assert.Equal(t, "info", line["level"])
		if !debug {
			assert.NotContains(t, r.logs.String(), patientName)
			continue
		}
		assert.Equal(t, "sent", waitForLine(t, r, "pdu")["direction"])
		command := waitForLine(t, r, "command")
		assert.Equal(t, "8021", command["command_field"])
		assert.Equal(t, "A801", command["status"])
		assert.EqualValues(t, 3, command["remaining"])
		assert.Equal(t, patientName, waitForLine(t, r, "identifier, holds patient data")["identifier"])
	}
}
