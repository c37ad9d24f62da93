package main

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

// runTraced runs a gateway that exports to the collector for one request and returns its log.
func runTraced(t *testing.T, collector string) *rig.InProcess {
	t.Helper()
	gateway := startGateway(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector})
	response, err := http.Get(gateway.URL + "/health")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	gateway.Await(t, rig.Message("request"))
	gateway.Stop(t)
	return gateway
}

func TestShutdownExportsTheLastTraces(t *testing.T) {
	var exports atomic.Int32
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { exports.Add(1) }))
	defer collector.Close()
	gateway := runTraced(t, collector.URL)
	assert.Empty(t, gateway.Lines(rig.Message("the last traces are lost")))
	assert.EqualValues(t, 1, exports.Load())
}

func TestShutdownDoesNotWaitForACollectorThatHangs(t *testing.T) {
	hang := make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	gateway := runTraced(t, collector.URL)
	close(hang)
	collector.Close()
	assert.Len(t, gateway.Lines(rig.Message("the last traces are lost")), 1)
}
