package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// runTraced runs a gateway with the collector for one request, and gives its exit status and log messages.
func runTraced(t *testing.T, collector string) (exit int, messages []string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log, stdout := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"dicom-qr-gateway"}, environment(map[string]string{
			"LISTEN_ADDR": "127.0.0.1:0", "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
		}), stdout)
		_ = stdout.Close()
	}()
	for lines := json.NewDecoder(log); ; {
		var line struct{ Message, Address string }
		if lines.Decode(&line) != nil {
			return <-status, messages
		}
		messages = append(messages, line.Message)
		switch line.Message {
		case "listening":
			go func() {
				response, err := http.Get("http://" + line.Address + "/health")
				if assert.NoError(t, err) {
					assert.NoError(t, response.Body.Close())
				}
			}()
		case "request":
			stop()
		}
	}
}

func TestTheLastTracesGoOutBeforeTheEnd(t *testing.T) {
	var exports atomic.Int32
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { exports.Add(1) }))
	defer collector.Close()
	exit, messages := runTraced(t, collector.URL)
	require.Zero(t, exit)
	assert.NotContains(t, messages, "the last traces are lost")
	assert.EqualValues(t, 1, exports.Load())
}

func TestACollectorThatHangsDoesNotHoldTheEndUp(t *testing.T) {
	hang := make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	exit, messages := runTraced(t, collector.URL)
	close(hang)
	collector.Close()
	require.Zero(t, exit)
	assert.Contains(t, messages, "the last traces are lost")
}
