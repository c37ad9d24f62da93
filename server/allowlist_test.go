package server

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/server/access"
)

func TestForbiddenPACSIsNotDialled(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var dialled atomic.Int64
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			dialled.Add(1)
			_ = conn.Close()
		}
	}()
	port := portOf(t, listener.Addr().String())
	lookup := func(_ context.Context, host string) ([]string, error) {
		if host == "inside.example" {
			return []string{"127.0.0.1"}, nil
		}
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	for _, allowlist := range []string{"192.0.2.0/24", "pacs.example", "127.0.0.1:1"} {
		r := start(t, fromSettings(t, pool.Options{LookupHost: lookup}, "PACS_ALLOWLIST", allowlist))
		var answers []string
		for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1", "inside.example", "nowhere.example"} {
			for path, body := range map[string]string{
				"/q": queryBody, "/qr": retrieveBody, "/echo": strings.Replace(echoBody, "pacs.example", "127.0.0.1", 1),
			} {
				body = strings.Replace(strings.Replace(body, "127.0.0.1", host, 1), `:104,`, ":"+strconv.Itoa(port)+",", 1)
				status, _, answer := r.post(t, path, body, access.CorrelationHeader, "the-same")
				assert.Equal(t, http.StatusForbidden, status, "%s %s %s", allowlist, host, path)
				assert.NotContains(t, answer, host)
				answers = append(answers, answer)
			}
		}
		for _, answer := range answers {
			assert.Equal(t, answers[0], answer, "the answer does not depend on the host")
		}
		p := problemIn(t, answers[0])
		assert.Equal(t, goclient.ProblemCodePACSNotAllowed, p.Code)
		assert.Nil(t, p.DICOM)
		assert.Empty(t, p.Steps)
	}
	require.NoError(t, listener.Close())
	<-closed
	assert.Zero(t, dialled.Load())
}

// The name first has only a permitted address, and then a forbidden one, alone or with the permitted one.
func TestNameWithAForbiddenAddressIsRefused(t *testing.T) {
	allowed := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: "PACS"})
	require.NoError(t, allowed.Listen("127.0.0.1:0"))
	defer allowed.Close()
	port := portOf(t, allowed.Addr())
	forbidden, err := net.Listen("tcp", net.JoinHostPort("127.0.0.2", strconv.Itoa(port)))
	require.NoError(t, err)
	defer forbidden.Close()
	var dialled atomic.Int64
	go func() {
		for {
			conn, err := forbidden.Accept()
			if err != nil {
				return
			}
			dialled.Add(1)
			_ = conn.Close()
		}
	}()
	var mu sync.Mutex
	var answers [][]string
	gateway := fromSettings(t, pool.Options{LookupHost: func(context.Context, string) ([]string, error) {
		mu.Lock()
		defer mu.Unlock()
		next := answers[0]
		answers = answers[1:]
		return next, nil
	}}, "PACS_ALLOWLIST", "127.0.0.1/32")
	r := start(t, gateway)
	echo := func(addresses ...[]string) int {
		t.Helper()
		answers = addresses
		request := echoRequest(port)
		request.PACSIP = "rebound.example"
		reply, err := r.api.EchoWithResponse(t.Context(), nil, request)
		require.NoError(t, err)
		return reply.StatusCode()
	}
	first, second := []string{"127.0.0.1"}, []string{"127.0.0.2"}
	assert.Equal(t, http.StatusOK, echo(first, second), "the name is resolved once, and that address is dialled")
	assert.Equal(t, [][]string{second}, answers)
	assert.Equal(t, http.StatusForbidden, echo(second))
	assert.Equal(t, http.StatusForbidden, echo([]string{"127.0.0.1", "127.0.0.2"}))
	assert.Equal(t, http.StatusForbidden, echo([]string{"::ffff:127.0.0.2"}))
	assert.Equal(t, http.StatusOK, echo([]string{"::ffff:127.0.0.1"}))
	assert.Equal(t, 2, allowed.Operations(dicomnet.StepEcho))
	assert.Zero(t, dialled.Load())
	require.NoError(t, gateway.Wait(t.Context()))
}
