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

	"dicom-qr-gateway/gen/goclient"
)

// Gateway calls one gateway. It is safe for concurrent use.
type Gateway struct {
	client *goclient.Client
	retry  Retry
}

// Option configures a [Gateway].
type Option func(*settings) error

// settings collects the options of a Gateway.
type settings struct {
	client []goclient.ClientOption
	retry  Retry
}

// CallOption changes the HTTP request of one call.
type CallOption = goclient.RequestEditorFn

// NewGateway returns a Gateway for a base URL such as http://localhost:8888. It does not connect. The default HTTP client
// follows no redirects, because the API key and the patient's data are meant for this address only.
func NewGateway(baseURL string, options ...Option) (*Gateway, error) {
	address, err := url.Parse(baseURL)
	if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Hostname() == "" {
		return nil, fmt.Errorf("the base URL %q is not of the form http://host:port or https://host:port", baseURL)
	}
	direct := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	s := settings{client: []goclient.ClientOption{goclient.WithHTTPClient(direct)}}
	for _, option := range options {
		if err := option(&s); err != nil {
			return nil, err
		}
	}
	c, err := goclient.NewClient(baseURL, s.client...)
	if err != nil {
		return nil, err
	}
	return &Gateway{client: c, retry: s.retry}, nil
}

// Doer sends an HTTP request, as an [*http.Client] does.
type Doer = goclient.HttpRequestDoer

// WithHTTPClient replaces the default HTTP client, for example with an [*http.Client] that presents a client certificate.
// Set CheckRedirect to return [http.ErrUseLastResponse], as the default does.
func WithHTTPClient(client Doer) Option { return clientOption(goclient.WithHTTPClient(client)) }

// WithAPIKey sends the API key with each request.
func WithAPIKey(key string) Option {
	return clientOption(goclient.WithRequestEditorFn(setHeader("Authorization", "Bearer "+key)))
}

func clientOption(option goclient.ClientOption) Option {
	return func(s *settings) error {
		s.client = append(s.client, option)
		return nil
	}
}

// WithCorrelationID sets the ID of the request in the gateway's log and audit trail. An ID has 1 to 128 visible ASCII
// characters; the gateway replaces any other.
func WithCorrelationID(id string) CallOption { return setHeader("X-Correlation-ID", id) }

func setHeader(name, value string) CallOption {
	return func(_ context.Context, r *http.Request) error {
		r.Header.Set(name, value)
		return nil
	}
}

// Query finds the studies of a patient that match all filters, newest first. If no study matches, the error is a
// [*ProblemError] with the code no_study_matched.
func (g *Gateway) Query(ctx context.Context, request QueryRequest, options ...CallOption) (*QueryResponse, error) {
	return read[QueryResponse](g.retry.send(ctx, func() (*http.Response, error) { //nolint:bodyclose // read closes it
		return g.client.Query(ctx, nil, request, options...)
	}))
}

// Retrieve finds the studies and asks the PACS to move them to request.CMoveAETitle. If only some of them were moved,
// the Status of the response is partial. If none was moved, Retrieve returns an error.
func (g *Gateway) Retrieve(ctx context.Context, request RetrieveRequest, options ...CallOption) (*RetrieveResponse, error) {
	return read[RetrieveResponse](g.retry.send(ctx, func() (*http.Response, error) { //nolint:bodyclose // read closes it
		return g.client.Retrieve(ctx, nil, request, options...)
	}))
}

// Echo tests the connection to a PACS step by step. If a step fails, the error is a [*ProblemError] whose Steps end with
// the failed one.
func (g *Gateway) Echo(ctx context.Context, request EchoRequest, options ...CallOption) (*EchoResponse, error) {
	return read[EchoResponse](g.retry.send(ctx, func() (*http.Response, error) { //nolint:bodyclose // read closes it
		return g.client.Echo(ctx, nil, request, options...)
	}))
}

// read decodes the body of a successful response and closes it. It returns an error for any other response.
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
		return nil, fmt.Errorf("read the response of the gateway: %w", err)
	}
	answer := new(T)
	if err := decode(body, answer); err != nil {
		return nil, newReplyError(response, err)
	}
	return answer, nil
}

var errIncomplete = errors.New("the JSON lacks required fields")

// decode parses data into answer. It fails if a list that the contract requires is missing, because the {} of another
// server would decode without an error.
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
	case *Job:
		complete = a.Job != "" && a.State != ""
	case *JobPage:
		complete = a.Job != "" && a.Items != nil
	case *JobList:
		complete = a.Jobs != nil
	case *JobItemReport:
		complete = a.Item > 0 && a.State != ""
	case *Problem:
		complete = a.Code != ""
	}
	if !complete {
		return errIncomplete
	}
	return nil
}

func mediaType(response *http.Response) string {
	name, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	return name
}
