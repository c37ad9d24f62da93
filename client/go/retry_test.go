package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/client/go"
)

// exchange is a reply, or the error of a connection.
type exchange struct {
	status      int
	contentType string
	retryAfter  string
	body        string
	err         error
}

const busyProblem = `{"type":"urn:dicom-qr-gateway:problem:pacs_busy","title":"PACS busy","status":503,"detail":"Busy.","code":"pacs_busy"}`

func busy(retryAfter string) exchange {
	return exchange{http.StatusServiceUnavailable, "application/problem+json", retryAfter, busyProblem, nil}
}

func limited(retryAfter string) exchange {
	return exchange{http.StatusTooManyRequests, "text/html", retryAfter, "<h1>Slow down</h1>", nil}
}

var (
	found  = exchange{http.StatusOK, "application/json", "", `{"study_details":[],"warnings":[]}`, nil}
	stream = exchange{http.StatusOK, "text/event-stream", "", matched + progress + retrieved + result, nil}
)

// replying is an HTTP client that gives these replies, and the times and bodies of the requests that it gets. Within a bubble
// of synctest it needs no network and time passes only in waits.
type replying struct {
	replies []exchange
	start   time.Time
	at      []time.Duration
	bodies  []string
	headers []http.Header
}

func (r *replying) Do(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	r.at = append(r.at, time.Since(r.start))
	r.bodies, r.headers = append(r.bodies, string(body)), append(r.headers, request.Header)
	reply := r.replies[0]
	r.replies = r.replies[1:]
	if reply.err != nil {
		return nil, reply.err
	}
	header := http.Header{"Content-Type": {reply.contentType}}
	if reply.retryAfter != "" {
		header.Set("Retry-After", reply.retryAfter)
	}
	return &http.Response{StatusCode: reply.status, Header: header, Body: io.NopCloser(strings.NewReader(reply.body))}, nil
}

// retrying returns a Gateway that gets these replies, and the HTTP client that gives them.
func retrying(t *testing.T, retry *client.Retry, replies ...exchange) (*client.Gateway, *replying) {
	t.Helper()
	transport := &replying{replies: replies, start: time.Now()}
	options := []client.Option{client.WithHTTPClient(transport), client.WithAPIKey("key")}
	if retry != nil {
		options = append(options, client.WithRetry(*retry))
	}
	gateway, err := client.NewGateway("http://gateway", options...)
	require.NoError(t, err)
	return gateway, transport
}

func query(t *testing.T, g *client.Gateway) error {
	t.Helper()
	_, err := g.Query(t.Context(), client.QueryRequest{PatientID: "1"}, client.WithCorrelationID("order-4711"))
	return err
}

func TestRetryWaitsAsLongAsRetryAfterAsks(t *testing.T) {
	for _, test := range []struct {
		name    string
		replies []exchange
		at      []time.Duration
	}{
		{"seconds", []exchange{busy("5"), busy("7"), found}, []time.Duration{0, 5 * time.Second, 12 * time.Second}},
		{"no wait", []exchange{busy("0"), found}, []time.Duration{0, 0}},
		{"date", []exchange{busy("Sat, 01 Jan 2000 00:00:30 GMT"), found}, []time.Duration{0, 30 * time.Second}}, // synctest starts in 2000
		{"date in the past", []exchange{busy("Fri, 31 Dec 1999 23:59:00 GMT"), found}, []time.Duration{0, 0}},
		{"no header", []exchange{busy(""), busy(""), found}, []time.Duration{0, time.Second, 3 * time.Second}},
		{"invalid header", []exchange{busy("soon"), busy("-1"), found}, []time.Duration{0, time.Second, 3 * time.Second}},
		{"429 of a proxy", []exchange{limited("2"), found}, []time.Duration{0, 2 * time.Second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gateway, transport := retrying(t, &client.Retry{Attempts: 3, MaxWait: time.Minute}, test.replies...)
				require.NoError(t, query(t, gateway))
				assert.Equal(t, test.at, transport.at)
				for i, body := range transport.bodies {
					assert.Contains(t, body, `"patient_id":"1"`)
					assert.Equal(t, "Bearer key", transport.headers[i].Get("Authorization"))
					assert.Equal(t, "order-4711", transport.headers[i].Get("X-Correlation-ID"))
				}
			})
		})
	}
}

func TestRetryEndsWithTheLastRefusal(t *testing.T) {
	for _, test := range []struct {
		name    string
		retry   client.Retry
		replies []exchange
		at      []time.Duration
	}{
		{"attempts", client.Retry{Attempts: 2, MaxWait: time.Minute}, []exchange{busy("5"), busy("5")}, []time.Duration{0, 5 * time.Second}},
		{"one attempt", client.Retry{Attempts: 1, MaxWait: time.Minute}, []exchange{busy("5")}, []time.Duration{0}},
		{
			"the next wait exceeds the sum",
			client.Retry{Attempts: 9, MaxWait: 12 * time.Second},
			[]exchange{busy("6"), busy("6"), busy("6")},
			[]time.Duration{0, 6 * time.Second, 12 * time.Second},
		},
		{"long wait", client.Retry{Attempts: 9, MaxWait: time.Minute}, []exchange{busy("61")}, []time.Duration{0}},
		{"absurd wait", client.Retry{Attempts: 9, MaxWait: time.Minute}, []exchange{busy("99999999999999999999")}, []time.Duration{0}},
		{"distant date", client.Retry{Attempts: 9, MaxWait: time.Minute}, []exchange{busy("Fri, 31 Dec 9999 23:59:59 GMT")}, []time.Duration{0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gateway, transport := retrying(t, &test.retry, test.replies...)
				problem, ok := errors.AsType[*client.ProblemError](query(t, gateway))
				require.True(t, ok)
				assert.Equal(t, client.ProblemCodePACSBusy, problem.Code)
				assert.LessOrEqual(t, problem.RetryAfter, 24*time.Hour)
				assert.Equal(t, test.at, transport.at)
				assert.Empty(t, transport.replies)
			})
		})
	}
}

func TestRetryIsOffByDefault(t *testing.T) {
	gateway, transport := retrying(t, nil, busy("5"))
	require.Error(t, query(t, gateway))
	assert.Len(t, transport.at, 1)
}

func TestRetryRepeatsOnlyRefusals(t *testing.T) {
	replies := []exchange{{err: errors.New("connection reset")}}
	for _, status := range []int{302, 400, 401, 403, 404, 413, 415, 500, 502, 504} {
		replies = append(replies, exchange{status, "application/problem+json", "1", busyProblem, nil})
	}
	replies = append(replies, exchange{http.StatusOK, "text/html", "1", "<h1>Log in</h1>", nil})
	for _, reply := range replies {
		gateway, transport := retrying(t, &client.Retry{Attempts: 3, MaxWait: time.Minute}, reply)
		require.Error(t, query(t, gateway))
		assert.Len(t, transport.at, 1)
	}
}

func TestEveryCallRetries(t *testing.T) {
	for name, call := range map[string]struct {
		run  func(context.Context, *client.Gateway) error
		last exchange
	}{
		"retrieve": {func(ctx context.Context, g *client.Gateway) error {
			_, err := g.Retrieve(ctx, client.RetrieveRequest{})
			return err
		}, exchange{http.StatusMultiStatus, "application/json", "", `{"study_details":[],"warnings":[],"retrievals":[]}`, nil}},
		"echo": {func(ctx context.Context, g *client.Gateway) error {
			_, err := g.Echo(ctx, client.EchoRequest{})
			return err
		}, exchange{http.StatusOK, "application/json", "", `{"steps":[]}`, nil}},
		"follow": {func(ctx context.Context, g *client.Gateway) error {
			_, err := follow(ctx, g)
			return err
		}, stream},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gateway, transport := retrying(t, &client.Retry{Attempts: 2, MaxWait: time.Minute}, busy("5"), call.last)
				require.NoError(t, call.run(t.Context(), gateway))
				assert.Equal(t, []time.Duration{0, 5 * time.Second}, transport.at)
			})
		})
	}
}

// A stream that has begun may have moved studies.
func TestRetryDoesNotRepeatAStream(t *testing.T) {
	for _, body := range []string{
		matched + "event: error\ndata: " + busyProblem + "\n\n",
		"event: error\ndata: " + busyProblem + "\n\n",
		matched,
		"",
	} {
		gateway, transport := retrying(t, &client.Retry{Attempts: 3, MaxWait: time.Minute}, exchange{http.StatusOK, "text/event-stream", "1", body, nil})
		_, err := follow(t.Context(), gateway)
		require.Error(t, err)
		assert.Len(t, transport.at, 1)
	}
}

func TestCancellingTheContextEndsTheWaitForARetry(t *testing.T) {
	for name, call := range map[string]func(context.Context, *client.Gateway) error{
		"query": func(ctx context.Context, g *client.Gateway) error {
			_, err := g.Query(ctx, client.QueryRequest{})
			return err
		},
		"follow": func(ctx context.Context, g *client.Gateway) error {
			_, err := follow(ctx, g)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gateway, transport := retrying(t, &client.Retry{Attempts: 3, MaxWait: time.Hour}, busy("600"))
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				err := call(ctx, gateway)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				problem, ok := errors.AsType[*client.ProblemError](err)
				require.True(t, ok, "the error has the refusal too")
				assert.Equal(t, client.ProblemCodePACSBusy, problem.Code)
				assert.Equal(t, 2*time.Second, time.Since(transport.start))
				assert.Len(t, transport.at, 1)
			})
		})
	}
}

func TestRetryNotifiesBeforeEachWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard []string
		gateway, _ := retrying(t, &client.Retry{Attempts: 3, MaxWait: time.Minute, Notify: func(refusal error, wait time.Duration) {
			heard = append(heard, refusal.Error()+" "+wait.String())
		}}, busy("5"), limited("7"), found)
		require.NoError(t, query(t, gateway))
		assert.Equal(t, []string{
			"Busy. (pacs_busy) 5s",
			`the reply is not from the gateway: status 429, content type "text/html" 7s`,
		}, heard)
	})
}

func TestNewGatewayRefusesARetryWithoutLimits(t *testing.T) {
	for _, retry := range []client.Retry{{}, {Attempts: 3}, {MaxWait: time.Minute}, {Attempts: -1, MaxWait: time.Minute}, {Attempts: 3, MaxWait: -1}} {
		_, err := client.NewGateway("http://gateway", client.WithRetry(retry))
		require.EqualError(t, err, "a Retry needs at least one attempt and a positive MaxWait")
	}
}

// A nil list is no restriction. An empty one must reach the gateway, which refuses empty study_instance_uids.
func TestListsOfRequestsAreSlices(t *testing.T) {
	for _, test := range []struct {
		request client.RetrieveRequest
		want    string
	}{
		{client.RetrieveRequest{}, `{}`},
		{
			client.RetrieveRequest{Modalities: []string{"CT"}, StudyInstanceUIDs: []string{"1.2", "1.3"}},
			`{"modalities":["CT"],"study_instance_uids":["1.2","1.3"]}`,
		},
		{client.RetrieveRequest{Modalities: []string{}, StudyInstanceUIDs: []string{}}, `{"modalities":[],"study_instance_uids":[]}`},
	} {
		data, err := json.Marshal(test.request)
		require.NoError(t, err)
		var sent map[string]any
		require.NoError(t, json.Unmarshal(data, &sent))
		for name := range sent {
			if name != "modalities" && name != "study_instance_uids" {
				delete(sent, name)
			}
		}
		data, err = json.Marshal(sent)
		require.NoError(t, err)
		assert.JSONEq(t, test.want, string(data))
	}
}
