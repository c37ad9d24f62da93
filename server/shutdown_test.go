package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// connected runs a server in a bubble and sends something on a connection.
func connected(t *testing.T, g backend, sent string, variables ...string) *running {
	t.Helper()
	m := newMemory()
	r := startOn(t, m, &http.Transport{DialContext: m.DialContext}, g, variables...)
	connection, err := m.DialContext(t.Context(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	_, err = io.WriteString(connection, sent)
	require.NoError(t, err)
	synctest.Wait()
	return r
}

// stopped stops the server and returns how long that took and what Serve returned.
func (r *running) stopped() (time.Duration, error) {
	begin := time.Now()
	r.stop()
	err := <-r.done
	r.done <- nil // for the cleanup
	return time.Since(begin), err
}

func TestIdleConnectionsDoNotMakeAShutdownUnclean(t *testing.T) {
	const drain = 5 * time.Second
	const soon = 10 * time.Millisecond // Shutdown polls after one
	const head = " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	for _, test := range []struct {
		name, sent string
		within     time.Duration
	}{
		{"nothing sent", "", soon},
		{"half a header", "GET /health HTTP/1.1\r\nHost:", soon},
		{"half a header behind a request", "GET /health" + head + "\r\nGET /health HTTP/1.1\r\nHo", soon},
		{"half a body", "POST /q" + head + "Content-Length: 100\r\n\r\n{", drain + endTimeout},
		{"refused before the body", "POST /q" + head + "Expect: 100-continue\r\nContent-Length: 100000\r\n\r\n", endTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := connected(t, &fakeGateway{}, test.sent, "DRAIN_TIMEOUT", fmt.Sprint(drain.Seconds()))
				took, err := r.stopped()
				require.NoError(t, err)
				assert.LessOrEqual(t, took, test.within)
				assert.Equal(t, true, r.logs.lines(t, "stopped")[0]["clean"])
			})
		})
	}
}

func TestUnreadAnswerMakesAShutdownUnclean(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := connected(t, endlessAnswer(), rawQuery, "DRAIN_TIMEOUT", "1")
		took, err := r.stopped()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second+endTimeout, took)
		assert.Equal(t, false, r.logs.lines(t, "stopped")[0]["clean"])
	})
}

// Over TCP Close ends the handler that still writes.
func TestTruncatedAnswerMakesAShutdownUnclean(t *testing.T) {
	r := start(t, endlessAnswer(), "DRAIN_TIMEOUT", "0.1")
	caller := r.dial(t, rawQuery)
	_, err := io.ReadFull(caller, make([]byte, 1000))
	require.NoError(t, err)
	_, err = r.stopped()
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, false, r.logs.lines(t, "stopped")[0]["clean"])
}

// In HTTP/2 the connection also carries other requests.
func TestTooLargeBodyOverHTTP2KeepsTheConnection(t *testing.T) {
	files := writeCertificate(t)
	r := start(t, &fakeGateway{}, "TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: files.pool, ServerName: "gateway.test"}}
	defer transport.CloseIdleConnections()
	for i := range 3 {
		var connection httptrace.GotConnInfo
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { connection = got }})
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.Replace(r.url, "http:", "https:", 1)+"/q",
			strings.NewReader(strings.Repeat(" ", maxBody+1)))
		require.NoError(t, err)
		request.Header.Set("Content-Type", jsonType)
		response, err := (&http.Client{Transport: transport}).Do(request)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, 2, response.ProtoMajor)
		assert.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
		assert.Contains(t, string(body), "payload_too_large")
		assert.Equal(t, i > 0, connection.Reused)
	}
}
