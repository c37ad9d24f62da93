package config

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/telemetry"
)

func getenv(variables ...string) func(string) string {
	all := environment(variables...)
	return func(name string) string { return all[name] }
}

func readValid(t *testing.T, variables ...string) telemetry.Tracing {
	t.Helper()
	return readTracing(getenv(variables...), func(name, reason string) { t.Errorf("%s: %s", name, reason) })
}

func TestTracingIsOffByDefault(t *testing.T) {
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
			c := readValid(t, test.variables...)
			assert.Equal(t, test.on, c.On)
			assert.Equal(t, test.endpoint, c.Endpoint)
		})
	}
}

func TestSettingsOfTheTraceExporter(t *testing.T) {
	c := readValid(t, "OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x = y=z",
		"OTEL_EXPORTER_OTLP_TIMEOUT", "1500", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip", "OTEL_EXPORTER_OTLP_COMPRESSION", "none")
	assert.Equal(t, http.Header{"Api-Key": {"a b"}, "X": {"y=z"}}, c.Header)
	assert.Equal(t, 1500*time.Millisecond, c.Timeout)
	assert.True(t, c.Gzip)
	assert.Nil(t, c.TLS)
}

func TestFaultyTracingSettingsAreReportedByName(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for name, value := range map[string]string{
		"OTEL_TRACES_EXPORTER": "zipkin-xyz", "OTEL_EXPORTER_OTLP_ENDPOINT": "xyz:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc-xyz",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "ftp://xyz", "OTEL_EXPORTER_OTLP_HEADERS": "xyz", "OTEL_EXPORTER_OTLP_TIMEOUT": "-1xyz",
		"OTEL_EXPORTER_OTLP_COMPRESSION": "xyz", "OTEL_EXPORTER_OTLP_CERTIFICATE": empty, "OTEL_EXPORTER_OTLP_CLIENT_KEY": empty,
	} {
		variables := []string{"OTEL_TRACES_EXPORTER", "otlp"}
		faults := map[string]string{}
		readTracing(getenv(append(variables, name, value)...), func(name, reason string) { faults[name] = reason })
		require.Len(t, faults, 1, name)
		assert.NotEmpty(t, faults[name], name)
		assert.NotContains(t, faults[name], "xyz")
	}
	var pair []string
	readTracing(getenv("OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_CLIENT_KEY", empty,
		"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", empty), func(name, _ string) { pair = append(pair, name) })
	assert.Equal(t, []string{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"}, pair)
}

func TestCertificateOfTheCollector(t *testing.T) {
	collector := httptest.NewTLSServer(http.NotFoundHandler())
	defer collector.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: collector.Certificate().Raw}), 0o600))
	c := readValid(t, "OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL, "OTEL_EXPORTER_OTLP_CERTIFICATE", ca)
	pool := x509.NewCertPool()
	pool.AddCert(collector.Certificate())
	assert.True(t, pool.Equal(c.TLS.RootCAs))
}
