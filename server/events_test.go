package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
)

type echoContext = echo.Context

type event struct{ name, data string }

// events returns all events of a stream; comments are events without a name.
func events(t *testing.T, stream io.Reader) []event {
	t.Helper()
	var all []event
	require.NoError(t, follow(t, stream, func(e event) { all = append(all, e) }))
	return all
}

// follow calls f for each event when it arrives, until the end of the stream.
func follow(t *testing.T, stream io.Reader, f func(event)) error {
	t.Helper()
	scanner := bufio.NewScanner(stream)
	scanner.Buffer(nil, 1<<20)
	var e event
	for scanner.Scan() {
		line := scanner.Text()
		switch {
		case strings.HasPrefix(line, "event: "):
			e.name = strings.TrimPrefix(line, "event: ")
		case strings.HasPrefix(line, "data: "):
			e.data = strings.TrimPrefix(line, "data: ")
		case strings.HasPrefix(line, ": "):
			e.data = line
		default:
			require.Empty(t, line)
			f(e)
			e = event{}
		}
	}
	return scanner.Err()
}

// valid validates the data of the event against a schema of the contract.
func (e event) valid(t *testing.T, schema string) {
	t.Helper()
	var value any
	require.NoError(t, json.Unmarshal([]byte(e.data), &value))
	assert.NoError(t, wholeContract(t).Components.Schemas[schema].Value.VisitJSON(value), "%s", e.data)
}

func (r *running) stream(t *testing.T, ctx context.Context) *http.Response { //nolint:revive // t comes first in all helpers.
	t.Helper()
	response, err := r.api.Retrieve(ctx, nil, retrieveRequest(), func(_ context.Context, r *http.Request) error {
		r.Header.Set("Accept", "text/event-stream")
		return nil
	})
	require.NoError(t, err)
	return response
}

// narrating returns a gateway that reports each retrieval of result to the observer and returns result.
func narrating(result *qr.RetrieveResult, err error) *fakeGateway {
	return &fakeGateway{retrieve: func(_ context.Context, c qr.Call, _ qr.Peer, _ qr.Filter, _ string) (*qr.RetrieveResult, error) {
		if result != nil && len(result.Studies) > 0 {
			_ = c.Observer.Matched(result.Studies, result.Warnings)
			for i, retrieval := range result.Retrievals {
				c.Observer.Moving(qr.SubOperations{
					StudyInstanceUID: retrieval.StudyInstanceUID, Index: i + 1, Total: len(result.Studies),
					Remaining: new(1), Completed: new(1), CompletedTotal: i + 1,
				})
				c.Observer.Retrieved(retrieval)
			}
		}
		return result, err
	}}
}

func TestEventsOfARetrieve(t *testing.T) {
	r := start(t, narrating(outcome(nil, moved(2), moved(3)), nil))

	response := r.stream(t, t.Context())
	defer response.Body.Close()
	all := events(t, response.Body)

	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	assert.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	assert.Equal(t, "no", response.Header.Get("X-Accel-Buffering"))
	require.Len(t, all, 6)
	for i, want := range []struct{ name, schema string }{
		{"matched", "MatchedEvent"},
		{"progress", "ProgressEvent"},
		{"retrieved", "Retrieval"},
		{"progress", "ProgressEvent"},
		{"retrieved", "Retrieval"},
		{"result", "ResultEvent"},
	} {
		assert.Equal(t, want.name, all[i].name)
		all[i].valid(t, want.schema)
	}
	var progress goclient.ProgressEvent
	require.NoError(t, json.Unmarshal([]byte(all[3].data), &progress))
	assert.Equal(t, 2, progress.StudyIndex)
	assert.Equal(t, 2, progress.CompletedTotal)
	assert.Nil(t, progress.Failed)
	var result goclient.ResultEvent
	require.NoError(t, json.Unmarshal([]byte(all[5].data), &result))
	assert.EqualValues(t, http.StatusOK, result.HTTPStatus)
	assert.Equal(t, 2, result.SuccessCount)

	request := waitForLine(t, r, "request")
	assert.EqualValues(t, http.StatusOK, request["outcome_status"])
	assert.NotContains(t, r.logs.String(), patientName)
}

func TestResultEventHasTheStatusOfThePlainAnswer(t *testing.T) {
	r := start(t, narrating(outcome(errUnknownDestination, moved(2), qr.Retrieval{Status: qr.RetrievalFailed}), nil))
	response := r.stream(t, t.Context())
	defer response.Body.Close()
	all := events(t, response.Body)
	last := all[len(all)-1]
	assert.Equal(t, "result", last.name)
	last.valid(t, "ResultEvent")
	assert.Contains(t, last.data, `"http_status":207`)
}

func TestStreamWithNothingMovedEndsWithAnErrorEvent(t *testing.T) {
	r := start(t, narrating(outcome(errUnknownDestination, qr.Retrieval{Status: qr.RetrievalFailed}), nil))
	response := r.stream(t, t.Context())
	defer response.Body.Close()
	all := events(t, response.Body)
	last := all[len(all)-1]
	assert.Equal(t, "error", last.name)
	last.valid(t, "Problem")
	p := problemIn(t, last.data)
	assert.Equal(t, goclient.ProblemCodeMoveDestinationUnknown, p.Code)
	assert.Equal(t, response.Header.Get("X-Correlation-ID"), *p.CorrelationID)
	assert.NotContains(t, last.data, patientName)
	assert.EqualValues(t, http.StatusBadGateway, waitForLine(t, r, "request")["outcome_status"])
}

func TestFailureBeforeTheFirstEventIsAnOrdinaryAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		gateway backend
		status  int
	}{
		"no match":     {narrating(&qr.RetrieveResult{}, nil), http.StatusNotFound},
		"query failed": {narrating(nil, &dicomnet.OpError{Step: dicomnet.StepFind, Err: dicomnet.ErrConnectionLost}), http.StatusBadGateway},
		"panic": {&fakeGateway{retrieve: func(context.Context, qr.Call, qr.Peer, qr.Filter, string) (*qr.RetrieveResult, error) {
			panic("x")
		}}, http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, test.gateway)
			response := r.stream(t, t.Context())
			defer response.Body.Close()
			assert.Equal(t, test.status, response.StatusCode)
			assert.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
		})
	}
}

func TestPanicInAStreamEndsItWithAnErrorEvent(t *testing.T) {
	r := start(t, &fakeGateway{retrieve: func(_ context.Context, c qr.Call, _ qr.Peer, _ qr.Filter, _ string) (*qr.RetrieveResult, error) {
		_ = c.Observer.Matched([]qr.Study{study(studyUID)}, nil)
		panic(patientName)
	}})
	response := r.stream(t, t.Context())
	defer response.Body.Close()
	all := events(t, response.Body)
	require.Len(t, all, 2)
	assert.Equal(t, "error", all[1].name)
	assert.Equal(t, goclient.ProblemCodeInternalError, problemIn(t, all[1].data).Code)
	waitForLine(t, r, "panic")
	assert.NotContains(t, r.logs.String(), patientName)
}

func TestDisconnectFromAStreamCancels(t *testing.T) {
	cancelled := make(chan struct{})
	r := start(t, &fakeGateway{retrieve: func(ctx context.Context, c qr.Call, _ qr.Peer, _ qr.Filter, _ string) (*qr.RetrieveResult, error) {
		_ = c.Observer.Matched([]qr.Study{study(studyUID)}, nil)
		<-ctx.Done()
		close(cancelled)
		return nil, ctx.Err()
	}})
	ctx, leave := context.WithCancel(t.Context())
	response := r.stream(t, ctx)
	_, err := bufio.NewReader(response.Body).ReadString('\n')
	require.NoError(t, err)
	leave()
	<-cancelled
	_ = response.Body.Close()
}

// streaming runs a stream on a gateway with w in place of a connection.
func streaming(ctx context.Context, w http.ResponseWriter, gateway backend) error {
	tel, err := telemetry.New(telemetry.Options{})
	if err != nil {
		return err
	}
	h := &handlers{gateway: gateway, telemetry: tel}
	return newEventStream(ctx, retrieval{task: h.task(ctx, qr.Peer{}, patientID)}).VisitRetrieveResponse(w)
}

func TestStreamSendsCommentsWithin15Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		err := streaming(t.Context(), w, &fakeGateway{retrieve: func(_ context.Context, c qr.Call, _ qr.Peer, _ qr.Filter, _ string) (*qr.RetrieveResult, error) {
			time.Sleep(time.Hour) // on the fake clock; nothing is sent before a match
			_ = c.Observer.Matched([]qr.Study{study(studyUID)}, nil)
			time.Sleep(time.Minute)
			return outcome(nil, moved(1)), nil
		}})
		require.NoError(t, err)
		comments := 0
		for _, e := range events(t, w.Body) {
			if e.name == "" {
				comments++
			}
		}
		assert.GreaterOrEqual(t, comments, 4)
		assert.LessOrEqual(t, comments, 6)
		assert.LessOrEqual(t, heartbeatInterval, 15*time.Second)
	})
}

// brokenWriter accepts the head of an answer and fails on its body.
type brokenWriter struct{ *httptest.ResponseRecorder }

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("gone") }

func (brokenWriter) WriteString(string) (int, error) { return 0, errors.New("gone") }

func TestStreamThatCannotBeWrittenCancels(t *testing.T) {
	err := streaming(t.Context(), brokenWriter{httptest.NewRecorder()}, &fakeGateway{retrieve: func(ctx context.Context, c qr.Call, _ qr.Peer, _ qr.Filter, _ string) (*qr.RetrieveResult, error) {
		_ = c.Observer.Matched([]qr.Study{study(studyUID)}, nil)
		<-ctx.Done()
		c.Observer.Retrieved(moved(1))
		return outcome(ctx.Err(), qr.Retrieval{Status: qr.RetrievalCancelled}), nil
	}})
	require.NoError(t, err)
}
