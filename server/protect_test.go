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

func TestRequestsInProgressAreLimitedForEachCaller(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	r := start(t, &fakeGateway{query: func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) {
		begun <- struct{}{}
		<-finish
		return &qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil
	}}, "MAX_OPERATIONS", "2", "TRUSTED_PROXIES", "127.0.0.1", "FORWARDED_USER_HEADER", "X-User")
	statuses := make(chan int, 20)
	ask := func(user string) {
		status, _, _ := r.post(t, "/q", queryBody, "X-User", user)
		statuses <- status
	}
	refused := func(user string, status int, code goclient.ProblemCode) {
		t.Helper()
		for path, body := range map[string]string{"/q": queryBody, "/qr": retrieveBody, "/echo": echoBody} {
			got, header, answer := r.post(t, path, body, "X-User", user)
			assert.Equal(t, status, got)
			assert.Equal(t, code, problemIn(t, answer).Code)
			assert.Equal(t, "5", header.Get("Retry-After"))
		}
		got, _, _ := r.post(t, "/q", "{}", "X-User", user)
		assert.Equal(t, status, got, "before the body is read")
		long, _, _ := r.post(t, "/q", strings.Repeat(" ", smallBody+1), "X-User", user)
		assert.Equal(t, status, long)
	}
	// Four times MAX_OPERATIONS: half of them for the first caller, half of the rest for the second.
	total := 0
	for _, caller := range []struct {
		user  string
		share int
	}{{"a", 4}, {"b", 2}, {"c", 1}} {
		for range caller.share {
			go ask(caller.user)
			<-begun
			total++
		}
		refused(caller.user, http.StatusTooManyRequests, goclient.ProblemCodeTooManyRequests)
	}
	go ask("d")
	<-begun
	total++
	refused("e", http.StatusServiceUnavailable, goclient.ProblemCodeTooManyOperations)
	status, _, _ := r.do(t, http.MethodGet, "/health", nil)
	assert.Equal(t, http.StatusOK, status)
	status, _, _ = r.do(t, http.MethodGet, "/ready", nil)
	assert.Equal(t, http.StatusOK, status)

	close(finish)
	for range total {
		assert.Equal(t, http.StatusOK, <-statuses)
	}
	go ask("e")
	<-begun
	assert.Equal(t, http.StatusOK, <-statuses)
	assert.Empty(t, r.server.workload.requests.callers)
}

// A slow PACS gets as many associations as it may have. What waits for it must not keep the same caller from another PACS, and a
// flood of one caller must not keep another from the slow PACS.
func TestSlowPACSTakesNothingFromOthers(t *testing.T) {
	const flood = limitedTo + 24
	served, gone := make(chan struct{}, flood), make(chan struct{})
	var slow, quick limited
	slowPort, quickPort := slow.listen(t, func() { served <- struct{}{}; <-gone }), quick.listen(t, nil)
	gateway := fromSettings(t, pool.Options{}, "MAX_OPERATIONS", "24", "QUEUE_TIMEOUT", "60")
	r := start(t, gateway, "MAX_OPERATIONS", "24", "TRUSTED_PROXIES", "127.0.0.1", "FORWARDED_USER_HEADER", "X-User")
	statuses := make(chan int, 2*flood)
	ask := func(user string) {
		status, _, _ := r.post(t, "/q", queryAt("127.0.0.1", slowPort), "X-User", user)
		statuses <- status
	}
	for range flood {
		go ask("a")
	}
	for range limitedTo {
		<-served
	}
	require.Eventually(t, func() bool { return gateway.Waiting() >= 24 }, 20*time.Second, time.Millisecond)
	for _, user := range []string{"a", "b"} {
		for range 20 {
			status, _, answer := r.post(t, "/q", queryAt("127.0.0.1", quickPort), "X-User", user)
			assert.Equal(t, http.StatusOK, status, answer)
		}
	}
	go ask("b")
	waiting := gateway.Waiting()
	require.Eventually(t, func() bool { return gateway.Waiting() > waiting }, 20*time.Second, time.Millisecond, "b waits too")
	close(gone)
	counts := map[int]int{}
	for range flood + 1 {
		counts[<-statuses]++
	}
	assert.Equal(t, map[int]int{http.StatusOK: flood + 1}, counts)
	require.NoError(t, gateway.Wait(t.Context()))
	assert.Zero(t, gateway.Running())
}

func TestBodiesInProgressHoldABoundedAmountOfMemory(t *testing.T) {
	r := startWith(t, foundOne(), preparation{server: func(s *Server) { s.bodies.limit = 2 * smallBody }},
		"TRUSTED_PROXIES", "127.0.0.1", "FORWARDED_USER_HEADER", "X-User")
	awaitHeld := func(bytes int) {
		t.Helper()
		require.Eventually(t, func() bool {
			r.server.bodies.mu.Lock()
			defer r.server.bodies.mu.Unlock()
			return r.server.bodies.taken == bytes
		}, 10*time.Second, time.Millisecond)
	}
	begin := func(user string) net.Conn {
		return r.dial(t, "POST /q HTTP/1.1\r\nHost: x\r\nX-User: "+user+"\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"+
			strings.Repeat(" ", smallBody+1))
	}
	ofA := begin("a")
	awaitHeld(smallBody)
	long := queryBody + strings.Repeat(" ", smallBody)
	status, _, answer := r.post(t, "/q", long, "X-User", "a")
	assert.Equal(t, http.StatusTooManyRequests, status)
	assert.Equal(t, goclient.ProblemCodeTooManyRequests, problemIn(t, answer).Code)
	ofB := begin("b")
	awaitHeld(2 * smallBody)
	status, _, answer = r.post(t, "/q", long, "X-User", "c")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, goclient.ProblemCodeTooManyOperations, problemIn(t, answer).Code)
	assert.Contains(t, answer, "memory")
	status, _, _ = r.post(t, "/q", queryBody, "X-User", "a")
	assert.Equal(t, http.StatusOK, status, "a body of the usual size")
	require.NoError(t, ofA.Close())
	require.NoError(t, ofB.Close())
	awaitHeld(0)
	status, _, _ = r.post(t, "/q", long, "X-User", "a")
	assert.Equal(t, http.StatusOK, status)
	awaitHeld(0)
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
