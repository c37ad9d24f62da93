package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
)

// Gateway calls one gateway. It is safe for concurrent use.
type Gateway struct {
	client *Client
}

// NewGateway makes a Gateway of a base URL, such as http://localhost:8888. It does not connect. Unless [WithHTTPClient]
// brings another client, no redirect is followed: API key and patient are for this address alone.
func NewGateway(baseURL string, options ...ClientOption) (*Gateway, error) {
	address, err := url.Parse(baseURL)
	if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Hostname() == "" {
		return nil, fmt.Errorf("the base URL %q is not of the form http://host:port or https://host:port", baseURL)
	}
	direct := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	c, err := NewClient(baseURL, append([]ClientOption{WithHTTPClient(direct)}, options...)...)
	if err != nil {
		return nil, err
	}
	return &Gateway{client: c}, nil
}

// WithAPIKey sends the key with each request.
func WithAPIKey(key string) ClientOption {
	return WithRequestEditorFn(setHeader("Authorization", "Bearer "+key))
}

// WithCorrelationID is for one call: the gateway's log and audit trail name the request by id, which is 1 to 128 visible
// ASCII characters. The gateway replaces any other.
func WithCorrelationID(id string) RequestEditorFn { return setHeader("X-Correlation-ID", id) }

func setHeader(name, value string) RequestEditorFn {
	return func(_ context.Context, r *http.Request) error {
		r.Header.Set(name, value)
		return nil
	}
}

// Query finds the studies of a patient that match all filters, newest first. That there are none is a [*ProblemError] with
// the code no_study_matched.
func (g *Gateway) Query(ctx context.Context, request QueryRequest, edit ...RequestEditorFn) (*QueryResponse, error) {
	return read[QueryResponse](g.client.Query(ctx, nil, request, edit...)) //nolint:bodyclose // read closes it
}

// Retrieve finds the studies and has the PACS send them to request.CMoveAETitle. Where only some of it was moved, the
// status of the answer is partial; where nothing was, the result is an error.
func (g *Gateway) Retrieve(ctx context.Context, request RetrieveRequest, edit ...RequestEditorFn) (*RetrieveResponse, error) {
	return read[RetrieveResponse](g.client.Retrieve(ctx, nil, request, edit...)) //nolint:bodyclose // read closes it
}

// Echo checks the way to a PACS step by step. Where a step fails, the result is a [*ProblemError] whose Steps end with it.
func (g *Gateway) Echo(ctx context.Context, request EchoRequest, edit ...RequestEditorFn) (*EchoResponse, error) {
	return read[EchoResponse](g.client.Echo(ctx, nil, request, edit...)) //nolint:bodyclose // read closes it
}

// read makes an answer of a response, and an error of one that is not a success.
func read[T any](response *http.Response, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode/100 != 2 || mediaType(response) != "application/json" {
		return nil, failure(response)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer of the gateway: %w", err)
	}
	answer := new(T)
	if err := decode(body, answer); err != nil {
		return nil, newReplyError(response, err)
	}
	return answer, nil
}

var errOtherJSON = errors.New("JSON of another kind")

// decode wants the lists that the contract requires, be they empty: anybody's {} would pass for an answer without them.
func decode(data []byte, answer any) error {
	if err := json.Unmarshal(data, answer); err != nil {
		return err
	}
	complete := true
	switch a := answer.(type) {
	case *QueryResponse:
		complete = a.StudyDetails != nil && a.Warnings != nil
	case *RetrieveResponse:
		complete = a.StudyDetails != nil && a.Warnings != nil && a.Retrievals != nil
	case *EchoResponse:
		complete = a.Steps != nil
	case *MatchedEvent:
		complete = a.StudyDetails != nil && a.Warnings != nil
	case *ResultEvent:
		complete = a.StudyDetails != nil && a.Warnings != nil && a.Retrievals != nil
	case *Problem:
		complete = a.Code != ""
	}
	if !complete {
		return errOtherJSON
	}
	return nil
}

func mediaType(response *http.Response) string {
	name, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	return name
}
