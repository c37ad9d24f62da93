package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector is an OTLP receiver that answers with each of its statuses in turn, and then with 200.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []int
	requests []*http.Request
	spans    []*tracepb.Span
	resource map[string]string
}

func newCollector(t *testing.T, statuses ...int) *collector {
	c := &collector{statuses: statuses, resource: map[string]string{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	if len(c.statuses) > 0 {
		w.Header().Set("Retry-After", "0")
		if c.statuses[0]/100 == 3 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(c.statuses[0])
		c.statuses = c.statuses[1:]
		return
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(r.Body)
	}
	b, err := io.ReadAll(body)
	var data tracepb.TracesData
	if err != nil || proto.Unmarshal(b, &data) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, rs := range data.ResourceSpans {
		for _, a := range rs.Resource.Attributes {
			c.resource[a.Key] = a.Value.GetStringValue()
		}
		for _, ss := range rs.ScopeSpans {
			c.spans = append(c.spans, ss.Spans...)
		}
	}
}

// exporting returns the Tracing that exports to the collector at url.
func exporting(url string) Tracing {
	return Tracing{On: true, Endpoint: url + "/v1/traces", Header: http.Header{}, Timeout: 10 * time.Second}
}

func TestExportsAreRetriedIfThatMayHelp(t *testing.T) {
	for name, test := range map[string]struct {
		statuses []int
		requests int
		fault    string
	}{
		"success":       {nil, 1, ""},
		"busy at first": {[]int{503, 429, 502, 504}, 5, ""},
		"refused":       {[]int{400}, 1, "the collector answered 400"},
		"redirect":      {[]int{307}, 1, "the collector answered 307"},
		"server error":  {[]int{500}, 1, "the collector answered 500"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCollector(t, test.statuses...)
			tracing := exporting(c.URL)
			tracing.Header, tracing.Gzip = http.Header{"Key": {"secret"}}, true
			client := newOTLPClient(tracing)
			client.backoff = time.Microsecond
			require.NoError(t, client.Start(t.Context()))
			err := client.UploadTraces(t.Context(), []*tracepb.ResourceSpans{})
			require.NoError(t, client.Stop(t.Context()))
			if test.fault == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, test.fault)
			}
			require.Len(t, c.requests, test.requests)
			assert.Equal(t, "secret", c.requests[0].Header.Get("Key"))
			assert.Equal(t, "application/x-protobuf", c.requests[0].Header.Get("Content-Type"))
			assert.Equal(t, "/v1/traces", c.requests[0].URL.Path)
		})
	}
}

func TestExportTimesOut(t *testing.T) {
	c := newCollector(t)
	c.Close()
	tracing := exporting(c.URL)
	tracing.Timeout = 20 * time.Millisecond
	client := newOTLPClient(tracing)
	require.Error(t, client.UploadTraces(t.Context(), nil))
}

func TestCertificateOfTheCollectorIsVerified(t *testing.T) {
	c := &collector{resource: map[string]string{}}
	c.Server = httptest.NewTLSServer(c)
	defer c.Close()
	c.Config.ErrorLog = nil
	pool := x509.NewCertPool()
	pool.AddCert(c.Certificate())
	tracing := exporting(c.URL)
	tracing.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	trusting := newOTLPClient(tracing)
	require.NoError(t, trusting.UploadTraces(t.Context(), nil))
	require.NoError(t, trusting.Stop(t.Context()))
}

// traced runs one request with one step on a Telemetry and closes it.
func traced(t *testing.T, log io.Writer, header http.Header, tracing Tracing) {
	t.Helper()
	tel, err := New(Options{Version: "v1", Logger: zerolog.New(log), Tracing: tracing})
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodPost, "/q", http.NoBody)
	r.Header = header
	ctx, request := tel.Request(t.Context(), r, "id-1")
	_, end := tel.Step(ctx, pool.PeerStep{Name: dicomnet.StepFind, Peer: pool.Peer{Host: "pacs", Port: 104, CalledAETitle: "PACS"}})
	end(errors.New("a secret"))
	request.End(Answer{Route: "/q", Status: 200, Operation: "find", Outcome: "ok", Peer: "pacs:104"})
	require.NoError(t, tel.Close(context.Background()))
}

func TestTheSDKReadsItsOwnVariables(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "radiology-gateway")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
	c := newCollector(t)
	traced(t, io.Discard, http.Header{}, exporting(c.URL))
	require.Len(t, c.spans, 2)
	assert.Equal(t, "radiology-gateway", c.resource["service.name"])
	assert.Equal(t, "test", c.resource["deployment.environment"])
	assert.Equal(t, "v1", c.resource["service.version"])

	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	c = newCollector(t)
	traced(t, io.Discard, http.Header{}, exporting(c.URL))
	assert.Empty(t, c.spans)
}

func TestRequestIsNotTracedIfTheCallerDoesNotSample(t *testing.T) {
	c := newCollector(t)
	traced(t, io.Discard, http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}}, exporting(c.URL))
	assert.Empty(t, c.spans)
}

func TestFailingCollectorIsLoggedOnceAndOnceItRecovers(t *testing.T) {
	c := newCollector(t, 400, 400)
	var log bytes.Buffer
	logger := zerolog.New(&log)
	tr, err := newTracer(Options{Logger: logger, Tracing: exporting(c.URL)})
	require.NoError(t, err)
	for range 4 {
		_, s := tr.step(t.Context(), pool.PeerStep{Name: dicomnet.StepFind})
		s.end("")
		require.NoError(t, tr.provider.ForceFlush(t.Context()))
	}
	require.NoError(t, tr.close(t.Context()))
	assert.Equal(t, 1, strings.Count(log.String(), "traces cannot be exported"), log.String())
	assert.Equal(t, 1, strings.Count(log.String(), "traces are exported again"))
	assert.Len(t, c.spans, 2)
	for line := range strings.Lines(log.String()) {
		assert.True(t, json.Valid([]byte(line)))
	}
}

func TestFaultsThatTheSDKFindsAreLogged(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "sometimes")
	c := newCollector(t)
	var log bytes.Buffer
	traced(t, &log, http.Header{}, exporting(c.URL))
	assert.Contains(t, log.String(), `"message":"tracing"`)
}

func TestMetricsWithoutTracingAndWithoutRequests(t *testing.T) {
	tel, err := New(Options{})
	require.NoError(t, err)
	_, end := tel.Step(t.Context(), pool.PeerStep{Name: pool.StepQueue})
	var open bytes.Buffer
	require.NoError(t, tel.WriteMetrics(&open))
	assert.Contains(t, open.String(), `dicomqr_queue_length{peer="other"} 1`)
	end(errors.New("full"))
	var called []string
	trace := tel.Trace("PACS:104", &dicomnet.Trace{
		Established: func(context.Context, dicomnet.Summary) { called = append(called, "established") },
		Ended:       func(context.Context, dicomnet.Summary) { called = append(called, "ended") },
		Operation:   func(context.Context, dicomnet.OperationSummary) { called = append(called, "operation") },
	})
	s := dicomnet.Summary{Outcome: "aborted", Established: true}
	trace.Established(t.Context(), s)
	trace.Operation(t.Context(), dicomnet.OperationSummary{Step: dicomnet.StepFind, FirstResponse: -1})
	trace.Ended(t.Context(), s)
	assert.Equal(t, []string{"established", "operation", "ended"}, called)
	require.NotNil(t, tel.Trace("PACS:104", nil).Ended)

	var b bytes.Buffer
	require.NoError(t, tel.WriteMetrics(&b))
	for _, line := range []string{
		`dicomqr_queue_length{peer="other"} 0`, `dicomqr_queue_wait_seconds_count{outcome="failed"} 1`,
		`dicomqr_aborts_total{by="gateway",peer="pacs:104",reason="no reason",source="service-user"} 1`,
		`dicomqr_associations_open{peer="pacs:104"} 0`,
	} {
		assert.Contains(t, b.String(), line+"\n")
	}
	require.Error(t, tel.WriteMetrics(brokenWriter{}))
	require.NoError(t, tel.Close(t.Context()))
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
