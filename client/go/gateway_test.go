package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/client/go"
)

// Programs that import the client get no HTTP framework and no package of the gateway.
func TestDependencies(t *testing.T) {
	packages, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{
		"dicom-qr-gateway/client/go",
		"dicom-qr-gateway/gen/goclient",
		"github.com/apapsch/go-jsonmerge/v2",
		"github.com/google/uuid",
		"github.com/oapi-codegen/runtime",
		"github.com/oapi-codegen/runtime/types",
	}, strings.Fields(string(packages)))
}

// serving returns a Gateway for a server with this handler.
func serving(t *testing.T, answer http.HandlerFunc) *client.Gateway {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	gateway, err := client.NewGateway(s.URL)
	require.NoError(t, err)
	return gateway
}

// follow returns a short form of each event, and the final error.
func follow(ctx context.Context, gateway *client.Gateway) (events []string, err error) {
	for event, err := range gateway.Follow(ctx, client.RetrieveRequest{}) {
		if err != nil {
			return events, err
		}
		switch event := event.(type) {
		case *client.MatchedEvent:
			events = append(events, "matched "+event.StudyDetails[0].PatientName)
		case *client.ProgressEvent:
			events = append(events, "progress")
		case *client.RetrievedEvent:
			events = append(events, "retrieved "+string(event.Status))
		case *client.ResultEvent:
			events = append(events, "result "+event.Message)
		}
	}
	return events, nil
}

func TestCallsReturnEveryProblemOfTheContract(t *testing.T) {
	contract, err := openapi3.NewLoader().LoadFromFile("../../openapi.yaml")
	require.NoError(t, err)
	checked := 0
	for route, call := range map[string][]func(context.Context, *client.Gateway) error{
		"/q": {func(ctx context.Context, g *client.Gateway) error {
			_, err := g.Query(ctx, client.QueryRequest{})
			return err
		}},
		"/qr": {func(ctx context.Context, g *client.Gateway) error {
			_, err := g.Retrieve(ctx, client.RetrieveRequest{})
			return err
		}, func(ctx context.Context, g *client.Gateway) error {
			_, err := follow(ctx, g)
			return err
		}},
		"/echo": {func(ctx context.Context, g *client.Gateway) error {
			_, err := g.Echo(ctx, client.EchoRequest{})
			return err
		}},
	} {
		for status, response := range contract.Paths.Find(route).Post.Responses.Map() {
			for _, document := range examplesOf(response.Value.Content.Get("application/problem+json")) {
				var want client.Problem
				require.NoError(t, json.Unmarshal(document, &want))
				gateway := serving(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/problem+json")
					if response.Value.Headers["Retry-After"] != nil {
						w.Header().Set("Retry-After", "7")
					}
					w.WriteHeader(want.Status)
					_, _ = w.Write(document)
				})
				for _, call := range call {
					var problem *client.ProblemError
					require.ErrorAs(t, call(t.Context(), gateway), &problem, "%s %s", route, status)
					assert.Equal(t, want, problem.Problem)
					assert.Equal(t, want.Detail+" ("+string(want.Code)+")", problem.Error())
					retry := time.Duration(0)
					if want.Status == http.StatusTooManyRequests || want.Status == http.StatusServiceUnavailable {
						retry = 7 * time.Second
					}
					assert.Equal(t, retry, problem.RetryAfter, want.Code)
					checked++
				}
			}
		}
	}
	assert.Greater(t, checked, 40)
}

func examplesOf(content *openapi3.MediaType) (documents [][]byte) {
	if content == nil {
		return nil
	}
	values := []any{content.Example}
	for _, example := range content.Examples {
		values = append(values, example.Value.Value)
	}
	for _, value := range values {
		if value == nil {
			continue
		}
		document, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		documents = append(documents, document)
	}
	return documents
}

func TestCallsReturnReplyErrorForRepliesOfOtherServers(t *testing.T) {
	for _, answer := range []struct {
		contentType string
		status      int
		body        string
	}{
		{"text/html", http.StatusBadGateway, "<h1>Bad gateway</h1>"},
		{"text/html", http.StatusOK, "<h1>Log in</h1>"},
		{"application/problem+json", http.StatusBadGateway, "{"},
		{"application/problem+json", http.StatusBadGateway, "{}"},
	} {
		gateway := serving(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", answer.contentType)
			w.WriteHeader(answer.status)
			_, _ = io.WriteString(w, answer.body)
		})
		want := &client.ReplyError{Status: answer.status, ContentType: answer.contentType}
		_, err := gateway.Query(t.Context(), client.QueryRequest{})
		assert.Equal(t, want, err)
		_, err = follow(t.Context(), gateway)
		assert.Equal(t, want, err)
		assert.NotContains(t, err.Error(), "<h1>")
	}
}

func TestCallsReturnReplyErrorForInvalidJSON(t *testing.T) {
	for body, cause := range map[string]string{
		``:                           "unexpected end of JSON input",
		`{"study_details":[`:         "unexpected end of JSON input",
		`[]`:                         "json: cannot unmarshal array into Go value of type goclient.QueryResponse",
		`null`:                       "the JSON lacks required fields",
		`{}`:                         "the JSON lacks required fields",
		`{"warnings":[]}`:            "the JSON lacks required fields",
		`{"study_details":[]}`:       "the JSON lacks required fields",
		`{"status":"ok","steps":{}}`: "the JSON lacks required fields",
	} {
		gateway := serving(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		})
		found, err := gateway.Query(t.Context(), client.QueryRequest{})
		require.EqualError(t, err, `the reply is not from the gateway: status 200, content type "application/json": `+cause)
		assert.Nil(t, found)
		moved, retrieveErr := gateway.Retrieve(t.Context(), client.RetrieveRequest{})
		assert.Nil(t, moved)
		checked, echoErr := gateway.Echo(t.Context(), client.EchoRequest{})
		assert.Nil(t, checked)
		for _, err := range []error{err, retrieveErr, echoErr} {
			var reply *client.ReplyError
			require.ErrorAs(t, err, &reply, body)
			require.ErrorIs(t, err, reply.Err)
		}
	}
}

// A redirect would send the API key, and a 307 the patient's data too, to another address.
func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Error("followed", r.Method, r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect} {
		s := httptest.NewServer(http.RedirectHandler(elsewhere.URL, status))
		t.Cleanup(s.Close)
		gateway, err := client.NewGateway(s.URL, client.WithAPIKey("a long random value"))
		require.NoError(t, err)
		_, queryErr := gateway.Query(t.Context(), client.QueryRequest{})
		_, followErr := follow(t.Context(), gateway)
		for _, err := range []error{queryErr, followErr} {
			var reply *client.ReplyError
			require.ErrorAs(t, err, &reply)
			assert.Equal(t, status, reply.Status)
		}
		gateway, err = client.NewGateway(s.URL, client.WithHTTPClient(doer(func(r *http.Request) (*http.Response, error) {
			return nil, errors.New("custom client for " + r.URL.Path)
		})))
		require.NoError(t, err)
		_, err = gateway.Query(t.Context(), client.QueryRequest{})
		require.EqualError(t, err, "custom client for /q")
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

func TestNewGatewayRequiresSchemeAndHost(t *testing.T) {
	for _, wrong := range []string{"", "localhost:8888", "127.0.0.1:8888", "//localhost:8888", "/q", "ftp://localhost", "http://", "http://:8888", "http://a b"} {
		gateway, err := client.NewGateway(wrong)
		require.ErrorContains(t, err, "is not of the form http://host:port or https://host:port", wrong)
		assert.Nil(t, gateway)
	}
	for _, right := range []string{"http://localhost:8888", "https://[::1]:8888/", "HTTPS://gateway.example/dicom"} {
		_, err := client.NewGateway(right)
		require.NoError(t, err)
	}
}

func TestBaseURLMayEndWithSlash(t *testing.T) {
	gateway, err := client.NewGateway(gatewayURL + "/")
	require.NoError(t, err)
	found, err := gateway.Query(t.Context(), pacs("1112223333"))
	require.NoError(t, err)
	assert.Len(t, found.StudyDetails, 7)
}

func TestQueryFailsIfTheResponseIsCutOff(t *testing.T) {
	gateway := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"operation":"C-FIND","status":"ok"`)
	})
	found, err := gateway.Query(t.Context(), client.QueryRequest{})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Nil(t, found)
}

const (
	matched   = "event: matched\ndata: {\"total_count\":1,\"study_details\":[{\"PatientName\":\"Müller^Jürgen=山田\"}],\"warnings\":[]}\n\n"
	progress  = "event: progress\ndata: {\"completed\":1}\n\n"
	retrieved = "event: retrieved\ndata: {\"status\":\"ok\"}\n\n"
	result    = "event: result\ndata: {\"message\":\"The study was moved.\",\"study_details\":[],\"warnings\":[],\"retrievals\":[]}\n\n"
	refused   = "event: error\ndata: {\"detail\":\"The PACS does not know the move destination.\",\"code\":\"move_destination_unknown\"}\n\n"
)

func TestFollow(t *testing.T) {
	const other = `the reply is not from the gateway: status 200, content type "text/event-stream": event `
	all := []string{"matched Müller^Jürgen=山田", "progress", "retrieved ok", "result The study was moved."}
	for _, test := range []struct {
		name, stream string
		events       []string
		err          string
	}{
		{"all events", matched + progress + retrieved + result, all, ""},
		{"comments", ": alive\n\n" + matched + ": alive\n\n" + progress + ":\n\n" + retrieved + result, all, ""},
		{"CRLF", strings.ReplaceAll(matched+progress+retrieved+result, "\n", "\r\n"), all, ""},
		{"no space after the colon", strings.ReplaceAll(matched+progress+retrieved+result, ": ", ":"), all, ""},
		{"unknown events and fields", matched + "event: news\ndata: {}\n\nid: 1\nretry: 5\n\n" + progress + retrieved + result, all, ""},
		{"data after the last event", matched + progress + retrieved + result + "event: progress\ndata: ?\n\n", all, ""},
		{"error event", matched + refused + result, all[:1], "The PACS does not know the move destination. (move_destination_unknown)"},
		{"cut off", matched + progress, all[:2], "the stream was cut off: the outcome is unknown"},
		{"cut off within an event", matched + progress + strings.TrimSuffix(result, "\n"), all[:2], "the stream was cut off: the outcome is unknown"},
		{"empty stream", "", nil, "the stream was cut off: the outcome is unknown"},
		{"invalid JSON", matched + "event: progress\ndata: ?\n\n", all[:1], other + "progress: invalid character '?' looking for beginning of value"},
		{"error with invalid JSON", "event: error\ndata: ?\n\n", nil, other + "error: invalid character '?' looking for beginning of value"},
		{"incomplete error", "event: error\ndata: {}\n\n", nil, other + "error: the JSON lacks required fields"},
		{"incomplete match", "event: matched\ndata: {\"study_details\":[]}\n\n", nil, other + "matched: the JSON lacks required fields"},
		{"incomplete result", matched + "event: result\ndata: {\"message\":\"ok\"}\n\n", all[:1], other + "result: the JSON lacks required fields"},
	} {
		t.Run(test.name, func(t *testing.T) {
			gateway := serving(t, func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, "text/event-stream", r.Header.Get("Accept"))
				w.Header().Set("Content-Type", "text/event-stream")
				// One byte at a time, to test every split.
				_, _ = io.Copy(flushed{w}, iotest.OneByteReader(strings.NewReader(test.stream)))
			})
			events, err := follow(t.Context(), gateway)
			assert.Equal(t, test.events, events)
			if test.err == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, test.err)
			}
		})
	}
}

// flushed sends each write at once.
type flushed struct{ http.ResponseWriter }

func (f flushed) Write(p []byte) (int, error) {
	defer f.ResponseWriter.(http.Flusher).Flush()
	return f.ResponseWriter.Write(p)
}

func TestBreakingOutOfFollowEndsTheRequest(t *testing.T) {
	left := make(chan struct{})
	gateway := serving(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(flushed{w}, matched)
		<-r.Context().Done()
		close(left)
	})
	for event, err := range gateway.Follow(t.Context(), client.RetrieveRequest{}) {
		require.NoError(t, err)
		require.IsType(t, &client.MatchedEvent{}, event)
		break
	}
	<-left
}

func TestCancellingTheContextEndsFollow(t *testing.T) {
	left := make(chan struct{})
	gateway := serving(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(flushed{w}, matched)
		<-r.Context().Done()
		close(left)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range gateway.Follow(ctx, client.RetrieveRequest{}) {
		cancel()
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
	require.ErrorIs(t, last, client.ErrCutOff)
	<-left
}

func TestFollowSendsKeyAndCorrelationID(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "Bearer a long random value", r.Header.Get("Authorization"))
		assert.Equal(t, "order-4711", r.Header.Get("X-Correlation-ID"))
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, result)
	}))
	defer s.Close()
	gateway, err := client.NewGateway(s.URL, client.WithAPIKey("a long random value"))
	require.NoError(t, err)
	for _, err := range gateway.Follow(t.Context(), client.RetrieveRequest{}, client.WithCorrelationID("order-4711")) {
		require.NoError(t, err)
	}
}
