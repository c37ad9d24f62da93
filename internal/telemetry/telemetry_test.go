package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	"dicom-qr-gateway/qr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector is an OTLP receiver that answers with its statuses in turn, and 200 after them.
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

func environment(variables ...string) func(string) string {
	values := map[string]string{}
	for i := 0; i < len(variables); i += 2 {
		values[variables[i]] = variables[i+1]
	}
	return func(name string) string { return values[name] }
}

func read(t *testing.T, variables ...string) Tracing {
	t.Helper()
	return ReadTracing(environment(variables...), func(name, reason string) { t.Errorf("%s: %s", name, reason) })
}

func TestTracingIsOffUnlessVariablesSwitchItOn(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for name, test := range map[string]struct {
		variables []string
		on        bool
		endpoint  string
	}{
		"nothing":             {nil, false, ""},
		"endpoint":            {[]string{endpoint, "http://c:4318"}, true, "http://c:4318/v1/traces"},
		"endpoint with path":  {[]string{endpoint, "https://c/otlp/"}, true, "https://c/otlp/v1/traces"},
		"endpoint for traces": {[]string{endpoint, "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/t"}, true, "http://c/t"},
		"otlp":                {[]string{"OTEL_TRACES_EXPORTER", "otlp"}, true, "http://localhost:4318/v1/traces"},
		"none":                {[]string{endpoint, "http://c", "OTEL_TRACES_EXPORTER", "none"}, false, ""},
		"disabled":            {[]string{endpoint, "http://c", "OTEL_SDK_DISABLED", "TRUE"}, false, ""},
		"protocol":            {[]string{endpoint, "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"}, true, "http://c/v1/traces"},
	} {
		t.Run(name, func(t *testing.T) {
			c := read(t, test.variables...)
			assert.Equal(t, test.on, c.On())
			assert.Equal(t, test.endpoint, c.endpoint)
		})
	}
}

func TestSettingsOfTheExporter(t *testing.T) {
	c := read(t, "OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x = y=z",
		"OTEL_EXPORTER_OTLP_TIMEOUT", "1500", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip", "OTEL_EXPORTER_OTLP_COMPRESSION", "none")
	assert.Equal(t, http.Header{"Api-Key": {"a b"}, "X": {"y=z"}}, c.header)
	assert.Equal(t, 1500*time.Millisecond, c.timeout)
	assert.True(t, c.gzip)
	assert.Nil(t, c.tls)
}

func TestFaultySettingsAreNamedAndNotRepeated(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for name, value := range map[string]string{
		"OTEL_TRACES_EXPORTER": "zipkin-xyz", "OTEL_EXPORTER_OTLP_ENDPOINT": "xyz:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc-xyz",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "ftp://xyz", "OTEL_EXPORTER_OTLP_HEADERS": "xyz", "OTEL_EXPORTER_OTLP_TIMEOUT": "-1xyz",
		"OTEL_EXPORTER_OTLP_COMPRESSION": "xyz", "OTEL_EXPORTER_OTLP_CERTIFICATE": empty, "OTEL_EXPORTER_OTLP_CLIENT_KEY": empty,
	} {
		variables := []string{"OTEL_TRACES_EXPORTER", "otlp"}
		faults := map[string]string{}
		ReadTracing(environment(append(variables, name, value)...), func(name, reason string) { faults[name] = reason })
		require.Len(t, faults, 1, name)
		assert.NotEmpty(t, faults[name], name)
		assert.NotContains(t, faults[name], "xyz")
	}
	var pair []string
	ReadTracing(environment("OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_CLIENT_KEY", empty,
		"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", empty), func(name, _ string) { pair = append(pair, name) })
	assert.Equal(t, []string{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"}, pair)
}

func TestExportsAreRepeatedWhereThatMayHelp(t *testing.T) {
	for name, test := range map[string]struct {
		statuses []int
		requests int
		fault    string
	}{
		"success":               {nil, 1, ""},
		"busy, then there":      {[]int{503, 429, 502, 504}, 5, ""},
		"refused":               {[]int{400}, 1, "the collector answered 400"},
		"never led elsewhere":   {[]int{307}, 1, "the collector answered 307"},
		"a fault of the server": {[]int{500}, 1, "the collector answered 500"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCollector(t, test.statuses...)
			client := newOTLPClient(read(t, "OTEL_EXPORTER_OTLP_ENDPOINT", c.URL, "OTEL_EXPORTER_OTLP_HEADERS", "key=secret",
				"OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"))
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

func TestAnExportEndsWithItsTime(t *testing.T) {
	c := newCollector(t)
	c.Close()
	client := newOTLPClient(read(t, "OTEL_EXPORTER_OTLP_ENDPOINT", c.URL, "OTEL_EXPORTER_OTLP_TIMEOUT", "20"))
	require.Error(t, client.UploadTraces(t.Context(), nil))
}

func TestTheCollectorsCertificateIsChecked(t *testing.T) {
	c := &collector{resource: map[string]string{}}
	c.Server = httptest.NewTLSServer(c)
	defer c.Close()
	c.Config.ErrorLog = nil
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw}), 0o600))
	trusting := newOTLPClient(read(t, "OTEL_EXPORTER_OTLP_ENDPOINT", c.URL, "OTEL_EXPORTER_OTLP_CERTIFICATE", ca))
	require.NoError(t, trusting.UploadTraces(t.Context(), nil))
	require.NoError(t, trusting.Stop(t.Context()))
}

// traced runs one request with one step on a Telemetry and closes it.
func traced(t *testing.T, log io.Writer, header http.Header, variables ...string) {
	t.Helper()
	tel, err := New(Options{Version: "v1", Logger: zerolog.New(log), Tracing: read(t, variables...)})
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodPost, "/q", http.NoBody)
	r.Header = header
	ctx, request := tel.Request(t.Context(), r, "id-1")
	_, end := tel.Step(ctx, qr.Step{Name: dicomnet.StepFind, Peer: qr.Peer{Host: "pacs", Port: 104, CalledAETitle: "PACS"}})
	end(errors.New("a secret"))
	request.End(Answer{Route: "/q", Status: 200, Operation: "find", Outcome: "ok", Peer: "pacs:104"})
	require.NoError(t, tel.Close(context.Background()))
}

func TestTheSDKReadsItsOwnVariables(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "radiology-gateway")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
	c := newCollector(t)
	traced(t, io.Discard, http.Header{}, "OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	require.Len(t, c.spans, 2)
	assert.Equal(t, "radiology-gateway", c.resource["service.name"])
	assert.Equal(t, "test", c.resource["deployment.environment"])
	assert.Equal(t, "v1", c.resource["service.version"])

	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	c = newCollector(t)
	traced(t, io.Discard, http.Header{}, "OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	assert.Empty(t, c.spans)
}

func TestACallerThatDoesNotSampleIsNotTraced(t *testing.T) {
	c := newCollector(t)
	traced(t, io.Discard, http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}}, "OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	assert.Empty(t, c.spans)
}

func TestACollectorThatFailsIsLoggedOnceAndItsReturnToo(t *testing.T) {
	c := newCollector(t, 400, 400)
	var log bytes.Buffer
	logger := zerolog.New(&log)
	tr, err := newTracer(Options{Logger: logger, Tracing: read(t, "OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)})
	require.NoError(t, err)
	for range 4 {
		_, s := tr.step(t.Context(), qr.Step{Name: dicomnet.StepFind})
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

func TestWhatTheSDKCannotReadIsLogged(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "sometimes")
	c := newCollector(t)
	var log bytes.Buffer
	traced(t, &log, http.Header{}, "OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	assert.Contains(t, log.String(), `"message":"tracing"`)
}

func TestWithoutTracingAndRequestsEverythingIsStillMeasured(t *testing.T) {
	tel, err := New(Options{})
	require.NoError(t, err)
	_, end := tel.Step(t.Context(), qr.Step{Name: qr.StepQueue})
	var open bytes.Buffer
	require.NoError(t, tel.WriteMetrics(&open))
	assert.Contains(t, open.String(), "dicomqr_queue_length 1")
	end(errors.New("full"))
	var told []string
	trace := tel.Trace(&dicomnet.Trace{
		Established: func(context.Context, dicomnet.Summary) { told = append(told, "established") },
		Ended:       func(context.Context, dicomnet.Summary) { told = append(told, "ended") },
		Operation:   func(context.Context, dicomnet.OperationSummary) { told = append(told, "operation") },
	})
	s := dicomnet.Summary{Remote: "PACS:104", Outcome: "aborted", Established: true}
	trace.Established(t.Context(), s)
	trace.Operation(t.Context(), dicomnet.OperationSummary{Step: dicomnet.StepFind, FirstResponse: -1})
	trace.Ended(t.Context(), s)
	assert.Equal(t, []string{"established", "operation", "ended"}, told)
	require.NotNil(t, tel.Trace(nil).Ended)

	var b bytes.Buffer
	require.NoError(t, tel.WriteMetrics(&b))
	for _, line := range []string{
		"dicomqr_queue_length 0", `dicomqr_queue_wait_seconds_count{outcome="failed"} 1`,
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
