package server

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// receiver is an OTLP collector over HTTP.
type receiver struct {
	mu    sync.Mutex
	spans []*tracepb.Span
	bytes strings.Builder
}

func (c *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(b, &data) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.bytes.Write(b)
	for _, rs := range data.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			c.spans = append(c.spans, ss.Spans...)
		}
	}
}

func attributesOf(s *tracepb.Span) map[string]any {
	found := map[string]any{}
	for _, a := range s.Attributes {
		if text := a.Value.GetStringValue(); text != "" {
			found[a.Key] = text
		} else {
			found[a.Key] = int(a.Value.GetIntValue())
		}
	}
	return found
}

func TestRequestIsATraceWithOneSpanPerStep(t *testing.T) {
	collector := &receiver{}
	server := httptest.NewServer(collector)
	defer server.Close()
	p := pacsWith(2, func(a *association, n int) {
		if n == 1 {
			movedAll(a, 3)
			return
		}
		a.Moved(dicomnet.StatusMoveDestination, dicomtest.NoCounters)
	})
	w := watch(t, p, gatewayOptions{}, "OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	r := start(t, w)
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	status, _, _ := r.post(t, "/qr", retrieveBody, "traceparent", "00-"+trace+"-"+parent+"-01", "X-Correlation-ID", "order-4711")
	require.Equal(t, http.StatusMultiStatus, status)
	assert.Equal(t, trace, waitForLineOf(t, r, "request", "order-4711")["trace_id"])
	require.NoError(t, w.Wait(t.Context()))
	require.NoError(t, w.telemetry.Close(t.Context()))

	var root *tracepb.Span
	for _, s := range collector.spans {
		assert.Equal(t, trace, hex.EncodeToString(s.TraceId), s.Name)
		if s.Kind == tracepb.Span_SPAN_KIND_SERVER {
			root = s
		}
	}
	require.NotNil(t, root)
	assert.Equal(t, "POST /qr", root.Name)
	assert.Equal(t, parent, hex.EncodeToString(root.ParentSpanId))
	assert.Equal(t, map[string]any{
		"http.request.method": "POST", "http.route": "/qr", "http.response.status_code": 207, "correlation_id": "order-4711",
		"dicom.operation": "move", "dicom.outcome": "partial",
	}, attributesOf(root))
	assert.Equal(t, tracepb.Status_STATUS_CODE_UNSET, root.GetStatus().GetCode())

	steps := slices.DeleteFunc(slices.Clone(collector.spans), func(s *tracepb.Span) bool { return s == root })
	slices.SortFunc(steps, func(a, b *tracepb.Span) int { return int(a.StartTimeUnixNano) - int(b.StartTimeUnixNano) })
	var names []string
	for _, s := range steps {
		names = append(names, s.Name)
		assert.Equal(t, root.SpanId, s.ParentSpanId, s.Name)
		assert.Equal(t, "PACS", attributesOf(s)["dicom.called_ae_title"])
		assert.Equal(t, 104, attributesOf(s)["server.port"])
	}
	assert.Equal(t, []string{"queue", "connect", "associate", "find", "move", "move", "release"}, names)
	failed := steps[5]
	assert.Equal(t, tracepb.Status_STATUS_CODE_ERROR, failed.GetStatus().GetCode())
	assert.Equal(t, "move_destination_unknown", failed.GetStatus().GetMessage())
	for _, secret := range []string{patientID, "SECRETNAME", studyUID} {
		assert.NotContains(t, collector.bytes.String(), secret)
	}
}

func TestTraceOfAFailureHasTheProblemCode(t *testing.T) {
	collector := &receiver{}
	server := httptest.NewServer(collector)
	defer server.Close()
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) { a.Abort() }}
	w := watch(t, p, gatewayOptions{}, "OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	r := start(t, w)
	r.post(t, "/q", queryBody)
	r.do(t, http.MethodGet, "/"+patientID+"?name="+patientName, nil)
	require.NoError(t, w.Wait(t.Context()))
	require.NoError(t, w.telemetry.Close(t.Context()))
	status := map[string]string{}
	for _, s := range collector.spans {
		status[s.Name] = s.GetStatus().GetMessage()
	}
	assert.Equal(t, "association_aborted", status["POST /q"])
	assert.Equal(t, "association_aborted", status["find"])
	assert.Empty(t, status["associate"])
	assert.Contains(t, status, "GET unmatched")
	assert.NotContains(t, collector.bytes.String(), patientID)
	assert.NotContains(t, collector.bytes.String(), "SECRET")
}

func TestTraceOfASearchHoldsNothingOfItsQuery(t *testing.T) {
	collector := &receiver{}
	server := httptest.NewServer(collector)
	defer server.Close()
	w := watch(t, pacsWith(2, nil), gatewayOptions{}, "OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	peer := qr.Peer{Name: "main", Host: "127.0.0.1", Port: 104, CalledAETitle: "PACS", CallingAETitle: "GATEWAY", Settings: &pool.Settings{}}
	r := startWith(t, w, preparation{options: func(o *Options) { o.PACS = namedMain{peer} }})
	for _, path := range []string{
		"/dicomweb/main/studies?PatientID=" + patientID + "&PatientName=" + patientName, "/dicomweb/main/studies/" + studyUID + "/series?PatientID=" + patientID,
		"/dicomweb/" + strings.ToLower(patientID) + "/studies",
	} {
		r.get(t, path)
	}
	require.NoError(t, w.Wait(t.Context()))
	require.NoError(t, w.telemetry.Close(t.Context()))
	var names []string
	for _, s := range collector.spans {
		names = append(names, s.Name)
	}
	assert.Contains(t, names, "GET /dicomweb/:pacs/studies")
	assert.Contains(t, names, "find")
	for _, secret := range []string{patientID, strings.ToLower(patientID), "SECRETNAME", studyUID} {
		assert.NotContains(t, collector.bytes.String(), secret)
	}
}
