package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/qr"
)

// endlessOperation returns a gateway whose queries end when they are cancelled.
func endlessOperation() (g *fakeGateway, begun, cancelled chan struct{}) {
	begun, cancelled = make(chan struct{}, 10), make(chan struct{}, 10)
	return &fakeGateway{query: func(ctx context.Context, _ qr.Call, _ qr.Peer, _ qr.Filter) (*qr.QueryResult, error) {
		begun <- struct{}{}
		<-ctx.Done()
		cancelled <- struct{}{}
		return nil, ctx.Err()
	}}, begun, cancelled
}

func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatal(what)
	}
}

func TestCallerThatLeavesBehindUnreadBytesIsCancelled(t *testing.T) {
	files := writeCertificate(t)
	for name, settings := range map[string][]string{
		"HTTP":  nil,
		"HTTPS": {"TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key},
	} {
		for sent, more := range map[string]string{
			"a byte": "x", "a request": rawQuery, "many requests": strings.Repeat(rawQuery, 20), "nothing": "",
		} {
			t.Run(name+", "+sent+" more", func(t *testing.T) {
				g, begun, cancelled := endlessOperation()
				r := start(t, g, settings...)
				connection := r.dial(t, "")
				if settings != nil {
					connection = tls.Client(connection, &tls.Config{RootCAs: files.pool, ServerName: "gateway.test", MinVersion: tls.VersionTLS12})
				}
				_, err := io.WriteString(connection, rawQuery+more)
				require.NoError(t, err)
				await(t, begun, "the query did not begin")
				require.NoError(t, connection.Close())
				await(t, cancelled, "the query was not cancelled")
				if more != "" {
					require.Eventually(t, func() bool {
						r.server.workload.requests.mu.Lock()
						defer r.server.workload.requests.mu.Unlock()
						return r.server.workload.requests.taken == 0
					}, 20*time.Second, time.Millisecond)
				}
				assert.LessOrEqual(t, len(begun), 1, "what was sent in advance is not done")
			})
		}
	}
}

// net/http takes a caller that closes its direction for one that left, with and without unread bytes. It still gets its answer.
func TestHalfClosedCallerIsCancelledAndGetsItsAnswer(t *testing.T) {
	for _, more := range []string{"", "x"} {
		g, begun, cancelled := endlessOperation()
		r := start(t, g)
		connection := r.dial(t, rawQuery)
		await(t, begun, "the query did not begin")
		_, err := io.WriteString(connection, more)
		require.NoError(t, err)
		require.NoError(t, connection.(*net.TCPConn).CloseWrite())
		await(t, cancelled, "the query was not cancelled")
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, goclient.ProblemCodeCancelled, problemIn(t, string(body)).Code)
		assert.Equal(t, more != "", response.Close, "no further request is answered")
	}
}

// All come from one address.
func TestProbesAreAnsweredWhileACallerHoldsItsConnections(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":             "",
		"unfinished headers":  "POST /q HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"unfinished bodies":   "POST /q HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
		"answered and unread": "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, foundOne(), "MAX_CONNECTIONS", "20")
			for range 100 {
				r.dial(t, text)
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for _, path := range []string{"/health", "/ready"} {
				for range 10 {
					response, err := client.Get(r.url + path)
					require.NoError(t, err)
					require.NoError(t, response.Body.Close())
					assert.Equal(t, http.StatusOK, response.StatusCode)
				}
			}
		})
	}
}
