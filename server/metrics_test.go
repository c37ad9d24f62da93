package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/problem"
)

// telemetryOf returns the telemetry of a gateway that watch returned; nil for any other.
func telemetryOf(g backend) *telemetry.Telemetry {
	if w, ok := g.(realGateway); ok {
		return w.telemetry
	}
	return nil
}

// watch returns a gateway whose steps and associations are measured.
func watch(t *testing.T, p *dicomtest.ScriptedPACS, o gatewayOptions, variables ...string) realGateway {
	t.Helper()
	tel, err := telemetry.New(telemetry.Options{
		Version: "v1.2.3", GoVersion: "go1.26", Logger: zerolog.Nop(), Tracing: settings(t, variables...).Tracing, Code: problem.CodeOf,
	})
	require.NoError(t, err)
	logged := telemetry.NewLogTrace(false, "")
	o.pool.Trace = func(p pool.Peer) *dicomnet.Trace { return tel.Trace(p.Address(), logged) }
	w := gatewayTo(t, p, o)
	w.telemetry = tel
	return w
}

// figures returns the samples of /metrics by name and labels, after all associations have ended.
func figures(t *testing.T, r *running, w realGateway) map[string]float64 {
	t.Helper()
	require.NoError(t, w.Wait(t.Context()))
	status, header, body := r.do(t, http.MethodGet, "/metrics", nil)
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, "text/plain; version=0.0.4; charset=utf-8", header.Get("Content-Type"))
	samples := map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		if line := lines.Text(); !strings.HasPrefix(line, "#") {
			at := strings.LastIndexByte(line, ' ')
			value, err := strconv.ParseFloat(line[at+1:], 64)
			require.NoError(t, err, line)
			samples[line[:at]] = value
		}
	}
	return samples
}

func TestMetricsOfOperations(t *testing.T) {
	const peer = `peer="127.0.0.1:104"`
	for name, test := range map[string]struct {
		pacs    *dicomtest.ScriptedPACS
		options gatewayOptions
		path    string // of the second operation; the first is a query that succeeds
		status  int
		want    map[string]float64
	}{
		"success": {pacsWith(3, nil), gatewayOptions{}, "/q", 200, map[string]float64{
			`dicomqr_operations_total{operation="find",outcome="ok",` + peer + `}`:          2,
			`dicomqr_operation_duration_seconds_count{operation="find",` + peer + `}`:       2,
			`dicomqr_first_response_seconds_count{operation="find",` + peer + `}`:           2,
			`dicomqr_matches_total{` + peer + `}`:                                           6,
			`dicomqr_associations_total{outcome="released",` + peer + `}`:                   2,
			`dicomqr_association_duration_seconds_count{outcome="released"}`:                2,
			`dicomqr_associations_open{` + peer + `}`:                                       0,
			`dicomqr_step_duration_seconds_count{outcome="ok",step="connect"}`:              2,
			`dicomqr_step_duration_seconds_count{outcome="ok",step="associate"}`:            2,
			`dicomqr_step_duration_seconds_count{outcome="ok",step="find"}`:                 2,
			`dicomqr_step_duration_seconds_count{outcome="ok",step="release"}`:              2,
			`dicomqr_http_requests_total{method="POST",route="/q",status="200"}`:            2,
			`dicomqr_http_request_duration_seconds_count{method="POST",route="/q"}`:         2,
			`dicomqr_http_requests_in_flight`:                                               1, // the scrape
			`dicomqr_queue_length{peer="other"}`:                                            0,
			`dicomqr_queue_length{` + peer + `}`:                                            0,
			`dicomqr_connections_open`:                                                      1,
			`dicomqr_build_info{commit="",go_version="go1.26",version="v1.2.3"}`:            1,
			`dicomqr_http_request_duration_seconds_bucket{method="POST",route="/q",le="5"}`: 2,
		}},
		"partial": {pacsWith(3, func(a *association, n int) {
			switch n {
			case 1:
				movedAll(a, 4)
			case 2:
				a.Moved(dicomnet.StatusWarning, count(2, 1, 3, -1))
			default:
				a.Moved(dicomnet.StatusCannotPerform, count(0, 5, 0, -1))
			}
		}), gatewayOptions{}, "/qr", 207, map[string]float64{
			`dicomqr_operations_total{operation="move",outcome="partial",` + peer + `}`: 1,
			`dicomqr_suboperations_total{outcome="completed",` + peer + `}`:             6,
			`dicomqr_suboperations_total{outcome="failed",` + peer + `}`:                6,
			`dicomqr_suboperations_total{outcome="warning",` + peer + `}`:               3,
			`dicomqr_first_response_seconds_count{operation="move",` + peer + `}`:       3,
			`dicomqr_step_duration_seconds_count{outcome="ok",step="move"}`:             1,
			`dicomqr_step_duration_seconds_count{outcome="failed",step="move"}`:         2,
		}},
		"rejection": {&dicomtest.ScriptedPACS{Negotiate: func(a *association) bool {
			if a.Number == 2 {
				a.SendPDU(&pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7})
			}
			return a.Number != 2
		}}, gatewayOptions{}, "/q", 502, map[string]float64{
			`dicomqr_operations_total{operation="find",outcome="association_rejected",` + peer + `}`:                                           1,
			`dicomqr_rejections_total{` + peer + `,reason="called-AE-title-not-recognized",result="rejected-permanent",source="service-user"}`: 1,
			`dicomqr_associations_total{outcome="rejected",` + peer + `}`:                                                                      1,
			`dicomqr_associations_open{` + peer + `}`:                                                                                          0,
			`dicomqr_step_duration_seconds_count{outcome="failed",step="associate"}`:                                                           1,
		}},
		"rejection with reserved numbers": {&dicomtest.ScriptedPACS{Negotiate: func(a *association) bool {
			if a.Number == 2 {
				a.SendPDU(&pdu.AssociateRJ{Result: 77, Source: 78, Reason: 79})
			}
			return a.Number != 2
		}}, gatewayOptions{}, "/q", 502, map[string]float64{
			`dicomqr_rejections_total{` + peer + `,reason="reserved",result="reserved",source="reserved"}`: 1,
		}},
		"abort by the PACS": {&dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
			if a.Number == 2 {
				a.SendPDU(&pdu.Abort{Source: pdu.SourceProvider, Reason: pdu.ReasonUnexpectedPDU})
				return
			}
			a.Finish(dicomnet.StatusSuccess)
		}}, gatewayOptions{}, "/q", 502, map[string]float64{
			`dicomqr_operations_total{operation="find",outcome="association_aborted",` + peer + `}`:          1,
			`dicomqr_aborts_total{by="peer",` + peer + `,reason="unexpected-PDU",source="service-provider"}`: 1,
			`dicomqr_associations_total{outcome="aborted",` + peer + `}`:                                     1,
			`dicomqr_associations_open{` + peer + `}`:                                                        0,
		}},
		"abort by the gateway after a protocol error": {&dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
			if a.Number == 2 {
				a.SendPDU(&pdu.ReleaseRP{})
				return
			}
			a.Finish(dicomnet.StatusSuccess)
		}}, gatewayOptions{}, "/q", 502, map[string]float64{
			`dicomqr_operations_total{operation="find",outcome="protocol_error",` + peer + `}`:                  1,
			`dicomqr_aborts_total{by="gateway",` + peer + `,reason="unexpected-PDU",source="service-provider"}`: 1,
		}},
		"timeout": {&dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
			if a.Number != 2 {
				a.Finish(dicomnet.StatusSuccess)
			}
		}}, gatewayOptions{qr: qr.Options{OperationTimeout: 50 * time.Millisecond}}, "/q", 502, map[string]float64{
			`dicomqr_operations_total{operation="find",outcome="operation_timeout",` + peer + `}`: 1,
			`dicomqr_step_duration_seconds_count{outcome="failed",step="find"}`:                   1,
		}},
		"failure status": {&dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
			if a.Number == 2 {
				a.Finish(dicomnet.StatusUnableToProcess)
				return
			}
			a.Finish(dicomnet.StatusSuccess)
		}}, gatewayOptions{}, "/q", 502, map[string]float64{
			`dicomqr_operations_total{operation="find",outcome="find_failed",` + peer + `}`:      1,
			`dicomqr_operations_total{operation="find",outcome="no_study_matched",` + peer + `}`: 1,
			`dicomqr_http_requests_total{method="POST",route="/q",status="404"}`:                 1,
			`dicomqr_http_requests_total{method="POST",route="/q",status="502"}`:                 1,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, test.pacs, test.options)
			r := start(t, w)
			r.post(t, "/q", queryBody)
			body := queryBody
			if test.path == "/qr" {
				body = retrieveBody
			}
			status, _, answer := r.post(t, test.path, body)
			require.Equal(t, test.status, status, answer)
			got := figures(t, r, w)
			for name, want := range test.want {
				value, found := got[name]
				assert.True(t, found, "%s is missing", name)
				assert.Equal(t, want, value, name)
			}
			for name := range got {
				assert.NotContains(t, name, patientID)
				assert.NotContains(t, name, "SECRET")
				assert.NotContains(t, name, studyUID)
			}
		})
	}
}

func TestPeerThatNeverAcceptedHasNoLabel(t *testing.T) {
	p := &dicomtest.ScriptedPACS{}
	w := watch(t, p, gatewayOptions{pool: pool.Options{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, io.ErrUnexpectedEOF
	}}})
	r := start(t, w)
	r.post(t, "/q", queryBody)
	got := figures(t, r, w)
	assert.Equal(t, 1.0, got[`dicomqr_operations_total{operation="find",outcome="pacs_unreachable",peer="other"}`])
	assert.Equal(t, 1.0, got[`dicomqr_associations_total{outcome="failed",peer="other"}`])
	for name := range got {
		assert.NotContains(t, name, "127.0.0.1")
	}
}

func TestMetricsOfAnEcho(t *testing.T) {
	memory := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: "PACS"})
	require.NoError(t, memory.Listen("127.0.0.1:0"))
	defer func() { require.NoError(t, memory.Close()) }()
	_, service, err := net.SplitHostPort(memory.Addr())
	require.NoError(t, err)
	port, err := strconv.Atoi(service)
	require.NoError(t, err)
	p := &dicomtest.ScriptedPACS{}
	w := watch(t, p, gatewayOptions{pool: pool.Options{DialContext: (&net.Dialer{}).DialContext}})
	r := start(t, w)
	reply, err := r.api.EchoWithResponse(t.Context(), nil, echoRequest(port))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, reply.StatusCode())
	got := figures(t, r, w)
	assert.Equal(t, 1.0, got[`dicomqr_operations_total{operation="echo",outcome="ok",peer="`+memory.Addr()+`"}`])
	assert.Equal(t, 1.0, got[`dicomqr_first_response_seconds_count{operation="echo",peer="`+memory.Addr()+`"}`])
	assert.Equal(t, 1.0, got[`dicomqr_step_duration_seconds_count{outcome="ok",step="echo"}`])
	assert.Positive(t, got["go_goroutines"])
	assert.Positive(t, got["process_open_fds"])
}

func TestMetricsOfAStreamAndOfACutConnection(t *testing.T) {
	p := pacsWith(1, func(a *association, _ int) { a.Moved(dicomnet.StatusMoveDestination, dicomtest.NoCounters) })
	w := watch(t, p, gatewayOptions{})
	r := start(t, w)
	response := r.stream(t, t.Context())
	_, err := io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	waitForLine(t, r, "request")
	assert.Eventually(t, func() bool {
		return figures(t, r, w)[`dicomqr_operations_total{operation="move",outcome="move_destination_unknown",peer="127.0.0.1:104"}`] == 1
	}, 10*time.Second, time.Millisecond)

	cut := start(t, &fakeGateway{query: func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) {
		panic(http.ErrAbortHandler)
	}})
	_, err = http.Post(cut.url+"/q", "application/json", strings.NewReader(queryBody)) //nolint:bodyclose // There is no answer.
	require.Error(t, err)
	_, _, body := cut.do(t, http.MethodGet, "/metrics", nil)
	assert.Contains(t, body, `dicomqr_http_requests_total{method="POST",route="/q",status="none"} 1`)
	assert.Contains(t, body, `dicomqr_http_requests_in_flight 1`)
}

func TestLabelsAreBounded(t *testing.T) {
	p := &dicomtest.ScriptedPACS{}
	w := watch(t, p, gatewayOptions{})
	const peers = 1000
	r := start(t, w)
	for n := range peers {
		request := queryRequest()
		request.PACSPort = 1000 + n
		reply, err := r.api.QueryWithResponse(t.Context(), nil, request)
		require.NoError(t, err)
		require.Equal(t, http.StatusNotFound, reply.StatusCode())
	}
	for n := range 20 {
		request, err := http.NewRequestWithContext(t.Context(), "M"+strconv.Itoa(n), r.url+"/"+patientID+strconv.Itoa(n), http.NoBody)
		require.NoError(t, err)
		response, err := http.DefaultTransport.RoundTrip(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	got := figures(t, r, w)
	named := map[string]bool{}
	for name, value := range got {
		assert.NotContains(t, name, patientID)
		if rest, ok := strings.CutPrefix(name, `dicomqr_operations_total{operation="find",outcome="no_study_matched",peer="`); ok {
			named[rest] = true
			if strings.HasPrefix(rest, "other") {
				assert.Equal(t, float64(peers-32), value)
			}
		}
	}
	assert.Len(t, named, 33)
	assert.Equal(t, 20.0, got[`dicomqr_http_requests_total{method="other",route="unmatched",status="404"}`])
	assert.Less(t, len(got), 3000, "series")
}

func TestMetricsConformToTheContract(t *testing.T) {
	r := start(t, &fakeGateway{})
	reply, err := r.api.GetMetricsWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, reply.StatusCode())
	assert.Contains(t, string(reply.Body), "# TYPE dicomqr_http_requests_in_flight gauge")
}

// An alert on an increase must detect the first error.
func TestErrorSeriesStartAtZero(t *testing.T) {
	fault := `dicomqr_http_requests_total{method="POST",route="/q",status="500"}`
	w := watch(t, &dicomtest.ScriptedPACS{}, gatewayOptions{})
	got := figures(t, start(t, w), w)
	assert.Contains(t, got, fault)
	assert.Zero(t, got[fault])
}

func TestMetricsOfTheQueue(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
		close(begun)
		<-finish
		a.Finish(dicomnet.StatusSuccess)
	}}
	w := watch(t, p, gatewayOptions{pool: pool.Options{MaxAssociationsPerPeer: 1, QueueTimeout: time.Millisecond}})
	r := start(t, w)
	first := make(chan struct{})
	go func() {
		defer close(first)
		_, err := r.api.QueryWithResponse(t.Context(), nil, queryRequest())
		assert.NoError(t, err)
	}()
	<-begun
	status, _, _ := r.post(t, "/q", queryBody)
	assert.Equal(t, http.StatusServiceUnavailable, status)
	close(finish)
	<-first
	got := figures(t, r, w)
	assert.Equal(t, 1.0, got[`dicomqr_queue_wait_seconds_count{outcome="ok"}`])
	assert.Equal(t, 1.0, got[`dicomqr_queue_wait_seconds_count{outcome="pacs_busy"}`])
	assert.Equal(t, 0.0, got[`dicomqr_queue_length{peer="127.0.0.1:104"}`])
	assert.Equal(t, 1.0, got[`dicomqr_requests_refused_total{reason="pacs_busy"}`])
	assert.Equal(t, 1.0, got[`dicomqr_operations_total{operation="find",outcome="pacs_busy",peer="127.0.0.1:104"}`])
}
