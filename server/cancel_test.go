package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/pool"
)

const (
	cancelWithin = 200 * time.Millisecond // from the disconnect to the C-CANCEL-RQ
	endedWithin  = 2 * time.Second        // from the C-CANCEL-RQ to the end of the association
)

// endless is a PACS that sends a match, or moves an instance, every 2 s until it gets a C-CANCEL-RQ. It answers that with the
// final response, or ignores it.
func endless(honours bool) *dicomtest.ScriptedPACS {
	work := func(a *association, pending dicomtest.Message) {
		for range 2 {
			dicomtest.Wait(2 * time.Second)
			a.SendMessage(pending)
		}
		a.AwaitCancel()
		if !honours {
			a.KeepSending(pending)
			return
		}
		a.Moved(dicomnet.StatusCancel, dicomtest.NoCounters)
	}
	return pacsWith(1, func(a *association, _ int) { work(a, a.MoveResponse(dicomnet.StatusPending, count(1, 0, 0, 9))) })
}

// endlessFind is endless for C-FIND.
func endlessFind(honours bool) *dicomtest.ScriptedPACS {
	p := endless(honours)
	p.Find = func(a *association, _ string) {
		a.Match(match(1))
		p.Move(a, uidOf(1))
	}
	return p
}

// cancellableCall is a call whose caller disconnects when ctx is done.
type cancellableCall struct {
	name string
	pacs func(honours bool) *dicomtest.ScriptedPACS
	call func(t *testing.T, ctx context.Context, r *running) error
}

func accepting(mediaType string) goclient.RequestEditorFn {
	return func(_ context.Context, r *http.Request) error {
		r.Header.Set("Accept", mediaType)
		return nil
	}
}

var cancellableCalls = []cancellableCall{
	{"plain /q", endlessFind, func(_ *testing.T, ctx context.Context, r *running) error {
		_, err := r.api.QueryWithResponse(ctx, nil, queryRequest())
		return err
	}},
	{"/q that would take events", endlessFind, func(_ *testing.T, ctx context.Context, r *running) error {
		_, err := r.api.QueryWithResponse(ctx, nil, queryRequest(), accepting(eventType))
		return err
	}},
	{"plain /qr", endless, func(_ *testing.T, ctx context.Context, r *running) error {
		_, err := r.api.RetrieveWithResponse(ctx, nil, retrieveRequest())
		return err
	}},
	{"streaming /qr", endless, func(t *testing.T, ctx context.Context, r *running) error {
		t.Helper()
		response, err := r.api.Retrieve(ctx, nil, retrieveRequest(), accepting(eventType))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		return follow(t, response.Body, func(event) {})
	}},
}

func TestDisconnectCancelsAtThePACS(t *testing.T) {
	for _, c := range cancellableCalls {
		for _, honours := range []bool{true, false} {
			t.Run(c.name+map[bool]string{true: "", false: ", of a PACS that goes on"}[honours], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := c.pacs(honours)
					r := startInMemory(t, gatewayTo(t, p, gatewayOptions{}))
					ctx, leave := context.WithTimeout(t.Context(), 5*time.Second)
					defer leave()
					require.ErrorIs(t, c.call(t, ctx, r), context.DeadlineExceeded)
					left := time.Now()
					gone := p.AwaitEnd()
					assert.LessOrEqual(t, p.When("cancel").Sub(left), cancelWithin)
					assert.GreaterOrEqual(t, p.When("cancel").Sub(left), time.Duration(0))
					assert.LessOrEqual(t, gone.Sub(left), cancelWithin+endedWithin)
					settle(t)
					assert.Equal(t, honours, slices.Contains(seen(p), "release"), "released, or aborted if the PACS ignores the cancel")
				})
			})
		}
	}
}

// The same over sockets and with the real clock, because the fake clock cannot show that the cancel is on time.
func TestDisconnectCancelsAtThePACSOverTCP(t *testing.T) {
	files := writeCertificate(t)
	secure := func(t *testing.T, g backend) *running {
		t.Helper()
		r := start(t, g, "TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key)
		transport := &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: files.pool, ServerName: "gateway.test"}, ForceAttemptHTTP2: true,
		}
		t.Cleanup(transport.CloseIdleConnections)
		var err error
		r.url = strings.Replace(r.url, "http:", "https:", 1)
		r.http = &http.Client{Transport: checkingTransport{t, transport, wholeContract(t)}}
		r.api, err = goclient.NewClientWithResponses(r.url, goclient.WithHTTPClient(r.http))
		require.NoError(t, err)
		health, err := r.api.GetHealthWithResponse(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, 2, health.HTTPResponse.ProtoMajor)
		return r
	}
	plain := func(t *testing.T, g backend) *running {
		t.Helper()
		return start(t, g)
	}
	for protocol, start := range map[string]func(*testing.T, backend) *running{"HTTP/1.1": plain, "HTTP/2": secure} {
		for _, c := range cancellableCalls[2:] {
			t.Run(c.name+" over "+protocol, func(t *testing.T) { disconnectAtOnce(t, c, start) })
		}
	}
}

func disconnectAtOnce(t *testing.T, c cancellableCall, start func(*testing.T, backend) *running) {
	t.Helper()
	busy := make(chan struct{})
	p := pacsWith(1, func(a *association, _ int) {
		a.Moving(count(1, 0, 0, 9))
		close(busy)
		a.AwaitCancel()
		a.Moved(dicomnet.StatusCancel, dicomtest.NoCounters)
	})
	var address string
	g := gatewayTo(t, p, gatewayOptions{pool: pool.Options{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}})
	address, stop, err := p.Listen()
	require.NoError(t, err)
	defer stop()
	r := start(t, g)
	ctx, leave := context.WithCancel(t.Context())
	var left time.Time
	go func() {
		<-busy
		left = time.Now()
		leave()
	}()
	require.ErrorIs(t, c.call(t, ctx, r), context.Canceled)
	gone := p.AwaitEnd()
	t.Logf("C-CANCEL-RQ after %v, association gone after %v", p.When("cancel").Sub(left), gone.Sub(left))
	assert.LessOrEqual(t, p.When("cancel").Sub(left), cancelWithin)
	assert.LessOrEqual(t, gone.Sub(left), cancelWithin+endedWithin)
}

const drainTimeout = 20 * time.Second

// draining calls /qr and begins the shutdown 5 s later. The server must stop cleanly, with no association left at the PACS.
func draining(t *testing.T, p *dicomtest.ScriptedPACS, accept string) (status int, retryAfter string, all []event) {
	t.Helper()
	r := startInMemory(t, gatewayTo(t, p, gatewayOptions{}), "DRAIN_TIMEOUT", strconv.Itoa(int(drainTimeout.Seconds())))
	var stopped time.Time
	go func() {
		time.Sleep(5 * time.Second)
		stopped = time.Now()
		r.stop()
		time.Sleep(time.Second)
		refusesWork(t, r)
	}()
	response, err := r.api.Retrieve(t.Context(), nil, retrieveRequest(), accepting(accept))
	require.NoError(t, err)
	defer response.Body.Close()
	if accept == eventType {
		all = events(t, response.Body)
	}
	require.NoError(t, <-r.done)
	r.done <- nil // for the cleanup
	p.AwaitEnd()
	if cancelled := p.When("cancel"); !cancelled.IsZero() {
		assert.LessOrEqual(t, cancelled.Sub(stopped), drainTimeout+cancelWithin)
		assert.GreaterOrEqual(t, cancelled.Sub(stopped), drainTimeout)
		assert.LessOrEqual(t, time.Since(stopped), drainTimeout+endTimeout)
	}
	return response.StatusCode, response.Header.Get("Retry-After"), all
}

func refusesWork(t *testing.T, r *running) {
	t.Helper()
	ready, err := r.api.GetReadyWithResponse(t.Context(), nil)
	if assert.NoError(t, err) {
		assert.Equal(t, http.StatusServiceUnavailable, ready.StatusCode())
		assert.NotEmpty(t, ready.HTTPResponse.Header.Get("Retry-After"))
	}
	query, err := r.api.QueryWithResponse(t.Context(), nil, queryRequest())
	if assert.NoError(t, err) && assert.Equal(t, http.StatusServiceUnavailable, query.StatusCode()) {
		assert.Equal(t, goclient.ProblemCodeDraining, query.ApplicationProblemJSON503.Code)
		assert.NotEmpty(t, query.HTTPResponse.Header.Get("Retry-After"))
	}
	retrieve, err := r.api.RetrieveWithResponse(t.Context(), nil, retrieveRequest())
	if assert.NoError(t, err) {
		assert.Equal(t, http.StatusServiceUnavailable, retrieve.StatusCode())
		assert.NotEmpty(t, retrieve.HTTPResponse.Header.Get("Retry-After"))
	}
}

func TestShutdownWaitsForARetrieve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pacsWith(1, slowly(10, 2*time.Second))
		status, _, _ := draining(t, p, jsonType)
		assert.Equal(t, http.StatusOK, status)
		assert.Equal(t, []string{"associate", "find", "move 1", "release"}, seen(p))
	})
}

func TestShutdownCancelsARetrieveAfterTheDrainTimeout(t *testing.T) {
	// slow moves its first studies completely and never ends the last one.
	slow := func(studies int, honours bool, sofar counters) *dicomtest.ScriptedPACS {
		return pacsWith(studies+1, func(a *association, n int) {
			if n <= studies {
				movedAll(a, 1)
				return
			}
			pending := a.MoveResponse(dicomnet.StatusPending, sofar)
			for range 12 {
				dicomtest.Wait(2 * time.Second)
				a.SendMessage(pending)
			}
			a.AwaitCancel()
			if !honours {
				a.KeepSending(pending)
				return
			}
			a.Moved(dicomnet.StatusCancel, sofar)
		})
	}
	none, some := count(0, 0, 0, 9), count(3, 0, 0, 6)
	for _, test := range []struct {
		name   string
		pacs   func() *dicomtest.ScriptedPACS
		status int
		lines  []string
	}{
		{"nothing moved", func() *dicomtest.ScriptedPACS { return slow(0, true, none) }, 503, []string{"1 cancelled FE00 0/0/0"}},
		{"nothing moved, and the PACS goes on", func() *dicomtest.ScriptedPACS { return slow(0, false, none) }, 503, []string{"1 cancelled  0/0/0"}},
		{"in the middle of the second", func() *dicomtest.ScriptedPACS { return slow(1, true, some) }, 207, []string{"1 ok 0000 1/0/0", "2 cancelled FE00 3/0/0"}},
		{
			"in the middle of the second, and the PACS goes on", func() *dicomtest.ScriptedPACS { return slow(1, false, some) }, 207,
			[]string{"1 ok 0000 1/0/0", "2 cancelled  3/0/0"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				status, retryAfter, _ := draining(t, test.pacs(), jsonType)
				assert.Equal(t, test.status, status)
				assert.Equal(t, test.status == http.StatusServiceUnavailable, retryAfter != "")
			})
			synctest.Test(t, func(t *testing.T) {
				status, _, all := draining(t, test.pacs(), eventType)
				assert.Equal(t, http.StatusOK, status)
				assert.Equal(t, test.lines, retrievedIn(t, all))
				last := all[len(all)-1]
				if test.status == http.StatusServiceUnavailable {
					assert.Equal(t, "error", last.name)
					assert.Equal(t, goclient.ProblemCodeDraining, problemIn(t, last.data).Code)
					return
				}
				assert.Equal(t, "result", last.name)
				assert.Contains(t, last.data, `"http_status":207`)
			})
		})
	}
}
