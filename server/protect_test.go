package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// limited is a PACS on loopback that accepts ten associations at once and rejects others as transient.
type limited struct {
	dicomtest.ScriptedPACS
	over atomic.Int64 // associations that were rejected
}

const limitedTo = 10

// listen starts the PACS and returns its port. find is called in each C-FIND; it may be nil.
func (c *limited) listen(t testing.TB, find func()) int {
	t.Helper()
	c.Negotiate = func(a *association) bool {
		if a.Open > limitedTo {
			c.over.Add(1)
			return a.Reject(dicomtest.LocalLimitExceeded)
		}
		return true
	}
	c.Find = func(a *association, _ string) {
		if find != nil {
			find()
		}
		a.Match(match(1))
		a.Finish(dicomnet.StatusSuccess)
	}
	address, stop, err := c.Listen()
	require.NoError(t, err)
	t.Cleanup(func() {
		stop()
		assert.NoError(t, c.Err())
	})
	return portOf(t, address)
}

func portOf(t testing.TB, address string) int {
	t.Helper()
	_, service, err := net.SplitHostPort(address)
	require.NoError(t, err)
	port, err := strconv.Atoi(service)
	require.NoError(t, err)
	return port
}

// fromSettings returns the gateway that main makes of the settings, with LookupHost of o.
func fromSettings(t testing.TB, o pool.Options, variables ...string) realGateway {
	t.Helper()
	c := settings(t, variables...)
	lookup := o.LookupHost
	o = c.Pool()
	o.LookupHost = lookup
	return newGateway(gatewayOptions{pool: o, qr: qr.Options{MaxMatches: c.MaxMatches}})
}

func queryAt(host string, port int) string {
	return strings.Replace(strings.Replace(queryBody, "127.0.0.1", host, 1), `:104,`, ":"+strconv.Itoa(port)+",", 1)
}

// callers sends a number of queries in total from a number of goroutines and counts the answers by status. The time starts when
// all goroutines are connected.
func (r *running) callers(t testing.TB, callers, queries int, body string) (statuses map[int]int, took time.Duration) {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: callers}
	defer transport.CloseIdleConnections()
	httpClient := &http.Client{Transport: transport, Timeout: time.Minute}
	statuses = map[int]int{}
	var mu sync.Mutex
	var connected, wait sync.WaitGroup
	connected.Add(callers)
	begin := make(chan struct{})
	var sent atomic.Int64
	for range callers {
		wait.Go(func() {
			response, err := httpClient.Get(r.url + "/health")
			if assert.NoError(t, err) {
				_ = response.Body.Close()
			}
			connected.Done()
			<-begin
			for sent.Add(1) <= int64(queries) {
				response, err := httpClient.Post(r.url+"/q", jsonType, strings.NewReader(body))
				if !assert.NoError(t, err) {
					return
				}
				_, err = io.Copy(io.Discard, response.Body)
				assert.NoError(t, err)
				_ = response.Body.Close()
				mu.Lock()
				statuses[response.StatusCode]++
				mu.Unlock()
			}
		})
	}
	connected.Wait()
	start := time.Now()
	close(begin)
	wait.Wait()
	return statuses, time.Since(start)
}

func TestAssociationsWithAPACSAreLimited(t *testing.T) {
	var peer limited
	body := queryAt("127.0.0.1", peer.listen(t, nil))
	gateway := fromSettings(t, pool.Options{}, "QUEUE_TIMEOUT", "30")
	r := start(t, gateway)
	const queries = 1024
	many, _ := r.callers(t, 256, queries, body)
	require.NoError(t, gateway.Wait(t.Context()))
	assert.Equal(t, map[int]int{http.StatusOK: queries}, many)
	assert.Zero(t, peer.over.Load())
	assert.Equal(t, limitedTo, peer.MostOpen(), "all slots are used")
}

// BenchmarkCallers measures ten callers and many more with a PACS that accepts ten associations and takes 20 ms for a C-FIND. The
// maximum is 500 queries a second.
func BenchmarkCallers(b *testing.B) {
	for _, callers := range []int{limitedTo, 256} {
		b.Run(strconv.Itoa(callers), func(b *testing.B) {
			var peer limited
			body := queryAt("127.0.0.1", peer.listen(b, func() { dicomtest.Wait(20 * time.Millisecond) }))
			gateway := fromSettings(b, pool.Options{}, "QUEUE_TIMEOUT", "60")
			r := start(b, gateway)
			b.ResetTimer()
			statuses, took := r.callers(b, callers, b.N, body)
			b.ReportMetric(float64(b.N)/took.Seconds(), "queries/s")
			if statuses[http.StatusOK] != b.N || peer.over.Load() > 0 {
				b.Error(statuses, peer.over.Load())
			}
			require.NoError(b, gateway.Wait(b.Context()))
		})
	}
}

func TestQueueTimeoutAnswers503(t *testing.T) {
	served, gone := make(chan struct{}, limitedTo), make(chan struct{})
	var peer limited
	port := peer.listen(t, func() { served <- struct{}{}; <-gone })
	gateway := fromSettings(t, pool.Options{}, "QUEUE_TIMEOUT", "0.2")
	r := start(t, gateway)
	holding := make(chan map[int]int)
	go func() {
		statuses, _ := r.callers(t, limitedTo, limitedTo, queryAt("127.0.0.1", port))
		holding <- statuses
	}()
	for range limitedTo {
		<-served
	}
	refused, took := r.callers(t, 246, 246, queryAt("127.0.0.1", port))
	assert.Equal(t, map[int]int{http.StatusServiceUnavailable: 246}, refused)
	assert.GreaterOrEqual(t, took, 200*time.Millisecond)
	assert.Less(t, took, 10*time.Second)
	status, header, answer := r.post(t, "/q", queryAt("127.0.0.1", port))
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, goclient.ProblemCodePACSBusy, problemIn(t, answer).Code)
	assert.Equal(t, "5", header.Get("Retry-After"))
	echo := echoRequest(port)
	reply, err := r.api.EchoWithResponse(t.Context(), nil, echo)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, reply.StatusCode(), "/echo waits in the same queue")
	assert.Empty(t, reply.ApplicationProblemJSON503.Steps)
	status, _, answer = r.post(t, "/qr", strings.Replace(retrieveBody, ":104,", ":"+strconv.Itoa(port)+",", 1))
	assert.Equal(t, http.StatusServiceUnavailable, status, answer)
	close(gone)
	assert.Equal(t, map[int]int{http.StatusOK: limitedTo}, <-holding)
	require.NoError(t, gateway.Wait(t.Context()))
	assert.Zero(t, peer.over.Load())
}

func TestOperationsAreLimited(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	r := start(t, &fakeGateway{query: func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) {
		begun <- struct{}{}
		<-finish
		return &qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil
	}}, "MAX_OPERATIONS", "2")
	statuses := make(chan int, 3)
	ask := func() {
		reply, err := r.api.QueryWithResponse(t.Context(), nil, queryRequest())
		assert.NoError(t, err)
		statuses <- reply.StatusCode()
	}
	go ask()
	go ask()
	<-begun
	<-begun

	for _, path := range []string{"/q", "/qr", "/echo"} {
		body := map[string]string{"/q": queryBody, "/qr": retrieveBody, "/echo": echoBody}[path]
		status, header, answer := r.post(t, path, body)
		assert.Equal(t, http.StatusServiceUnavailable, status)
		assert.Equal(t, goclient.ProblemCodeTooManyOperations, problemIn(t, answer).Code)
		assert.Equal(t, "5", header.Get("Retry-After"))
	}
	status, _, _ := r.post(t, "/q", `{}`)
	assert.Equal(t, http.StatusBadRequest, status, "an invalid request is refused first")
	status, _, _ = r.do(t, http.MethodGet, "/health", nil)
	assert.Equal(t, http.StatusOK, status)

	finish <- struct{}{}
	assert.Equal(t, http.StatusOK, <-statuses)
	go ask()
	<-begun
	close(finish)
	assert.Equal(t, http.StatusOK, <-statuses)
	assert.Equal(t, http.StatusOK, <-statuses)
}

// A request that arrives slowly must not take the slot of another.
func TestRequestsThatAreBeingReadDoNotCountAsOperations(t *testing.T) {
	r := start(t, answering(&qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil), "MAX_OPERATIONS", "1")
	slow, trickle := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/q", slow)
	require.NoError(t, err)
	request.Header.Set("Content-Type", jsonType)
	status := make(chan int)
	go func() {
		response, err := http.DefaultTransport.RoundTrip(request)
		if assert.NoError(t, err) {
			_ = response.Body.Close()
			status <- response.StatusCode
		}
	}()
	_, err = io.WriteString(trickle, queryBody[:20])
	require.NoError(t, err)
	reply, err := r.api.QueryWithResponse(t.Context(), nil, queryRequest())
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, reply.StatusCode())
	_, err = io.WriteString(trickle, queryBody[20:])
	require.NoError(t, err)
	require.NoError(t, trickle.Close())
	assert.Equal(t, http.StatusOK, <-status)
	http.DefaultClient.CloseIdleConnections()
}
