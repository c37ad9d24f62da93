package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/config"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/access"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is a gateway with its associations.
type backend interface {
	Gateway
	Associations
}

// realGateway is a gateway with its pool.
type realGateway struct {
	*qr.Gateway
	*pool.Pool
	telemetry *telemetry.Telemetry // to which the pool reports; nil: none
}

// gatewayOptions are the options of a real gateway and of its pool.
type gatewayOptions struct {
	pool pool.Options
	qr   qr.Options
}

func newGateway(o gatewayOptions) realGateway {
	o.qr.Pool = pool.New(o.pool)
	return realGateway{Gateway: qr.New(o.qr), Pool: o.qr.Pool}
}

// fakeGateway answers with the results of its functions. A function that is nil must not be called.
type fakeGateway struct {
	query    func(ctx context.Context, _ qr.Call, p qr.Peer, f qr.Filter) (*qr.QueryResult, error)
	retrieve func(ctx context.Context, c qr.Call, p qr.Peer, f qr.Filter, destination string) (*qr.RetrieveResult, error)
	echo     func(ctx context.Context, _ qr.Call, p qr.Peer) *qr.EchoReport
	examine  func(ctx context.Context, c qr.Call, p qr.Peer, probe bool) *qr.EchoReport // nil: echo
	search   func(ctx context.Context, p qr.Peer, s qr.Search) (*qr.SearchResult, error)
	waitErr  error
	drained  atomic.Bool
}

func (g *fakeGateway) Query(ctx context.Context, c qr.Call, p qr.Peer, f qr.Filter) (*qr.QueryResult, error) {
	return g.query(ctx, c, p, f)
}

func (g *fakeGateway) Retrieve(
	ctx context.Context, c qr.Call, p qr.Peer, f qr.Filter, destination string,
) (*qr.RetrieveResult, error) {
	return g.retrieve(ctx, c, p, f, destination)
}

func (g *fakeGateway) Echo(ctx context.Context, c qr.Call, p qr.Peer) *qr.EchoReport {
	return g.echo(ctx, c, p)
}

func (g *fakeGateway) Examine(ctx context.Context, c qr.Call, p qr.Peer, probe bool) *qr.EchoReport {
	if g.examine == nil {
		return g.echo(ctx, c, p)
	}
	return g.examine(ctx, c, p, probe)
}

func (g *fakeGateway) Search(ctx context.Context, _ qr.Call, p qr.Peer, s qr.Search) (*qr.SearchResult, error) {
	return g.search(ctx, p, s)
}

func (g *fakeGateway) Drain() { g.drained.Store(true) }

func (g *fakeGateway) Wait(context.Context) error { return g.waitErr }

// running is a server on a listener, with a client that validates each answer against the contract.
type running struct {
	url    string
	api    *goclient.ClientWithResponses
	http   *http.Client
	logs   *safeBuffer
	server *Server
	stop   context.CancelFunc // begins the shutdown
	done   chan error
}

// settings returns the settings of the variables, which are name, value pairs.
func settings(t testing.TB, variables ...string) config.Config {
	t.Helper()
	c, err := config.Load(environment(variables...))
	require.NoError(t, err)
	return c
}

// environment returns the variables of name, value pairs.
func environment(variables ...string) map[string]string {
	values := map[string]string{}
	for i := 0; i < len(variables); i += 2 {
		values[variables[i]] = variables[i+1]
	}
	return values
}

func start(t testing.TB, gateway backend, variables ...string) *running {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return startOn(t, listener, &http.Transport{}, gateway, variables...)
}

// startOn is start on a listener, to which transport connects.
func startOn(t testing.TB, listener net.Listener, transport *http.Transport, gateway backend, variables ...string) *running {
	t.Helper()
	return serveOn(t, listener, transport, gateway, preparation{}, variables...)
}

// preparation changes the server before it serves. Functions that are nil change nothing.
type preparation struct {
	settings func(*config.Config)
	options  func(*Options)
	server   func(*Server)
}

// startWith is start with a preparation.
func startWith(t *testing.T, gateway backend, prepare preparation, variables ...string) *running {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveOn(t, listener, &http.Transport{}, gateway, prepare, variables...)
}

func serveOn(
	t testing.TB, listener net.Listener, transport *http.Transport, gateway backend, prepare preparation, variables ...string,
) *running {
	t.Helper()
	contract, err := os.ReadFile("../openapi.yaml")
	require.NoError(t, err)
	c := settings(t, variables...)
	if prepare.settings != nil {
		prepare.settings(&c)
	}
	logs := &safeBuffer{}
	o := optionsOf(t, &c, gateway, logs)
	o.Contract = contract
	if prepare.options != nil {
		prepare.options(&o)
	}
	s, err := New(o)
	require.NoError(t, err)
	if prepare.server != nil {
		prepare.server(s)
	}

	ctx, stop := context.WithCancel(context.Background())
	r := &running{
		url: "http://" + listener.Addr().String(), logs: logs, server: s, stop: stop, done: make(chan error, 1),
	}
	go func() { r.done <- s.Serve(ctx, listener) }()

	r.http = &http.Client{Transport: checkingTransport{t, transport, wholeContract(t)}}
	r.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r.api, err = goclient.NewClientWithResponses(r.url, goclient.WithHTTPClient(r.http))
	require.NoError(t, err)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		select {
		case <-r.done:
		case <-time.After(20 * time.Second):
			t.Error("the server did not stop")
		}
	})
	return r
}

// optionsOf returns the options that main makes of the settings. out stands for standard output.
func optionsOf(t testing.TB, c *config.Config, gateway backend, out io.Writer) Options {
	t.Helper()
	logger := telemetry.NewLogger(c.Log(), out)
	c.LogReloads(logger)
	records, err := c.OpenAuditLog(out, logger)
	require.NoError(t, err)
	scp, _ := c.StorageSCP()
	return Options{
		Storage: StorageSCP{AETitles: scp.AETitles, Port: 11112},
		Gateway: gateway, Associations: gateway, Logger: logger, Audit: audit.NewTrail(records), Telemetry: telemetryOf(gateway),
		Access: c.Access(), TLS: c.ServerTLS(), MaxOperations: c.MaxOperations, MaxConnections: c.MaxConnections, DrainTimeout: c.DrainTimeout.Duration(),
		PACS: c.PACS(), NamedPACSOnly: !c.AdHocPACS,
		Build: BuildInfo{Version: "v1.2.3", Commit: "abc", Date: "2024-01-31T12:00:00Z", GoVersion: "go1.26"},
	}
}

// wholeContract returns openapi.yaml, from its copy in JSON, which is read faster.
var wholeContract = func() func(t testing.TB) *openapi3.T {
	load := sync.OnceValues(func() (*openapi3.T, error) {
		file, err := os.ReadFile("docs/openapi.json")
		if err != nil {
			return nil, err
		}
		return openapi3.NewLoader().LoadFromData(file)
	})
	return func(t testing.TB) *openapi3.T {
		t.Helper()
		contract, err := load()
		require.NoError(t, err)
		return contract
	}
}()

// checkingTransport validates each answer against the contract.
type checkingTransport struct {
	t        testing.TB
	next     http.RoundTripper
	contract *openapi3.T
}

func (c checkingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	id := response.Header.Get("X-Correlation-ID")
	assert.True(c.t, access.ValidCorrelationID(id), "correlation ID %q", id)
	if response.StatusCode < 400 {
		return response, c.check(r, response, nil)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	assert.Equal(c.t, "application/problem+json", response.Header.Get("Content-Type"))
	if r.Method == http.MethodHead {
		return response, nil
	}
	var document map[string]any
	if !assert.NoError(c.t, json.Unmarshal(body, &document), "%s", body) {
		return response, nil
	}
	assert.NoError(c.t, c.contract.Components.Schemas["Problem"].Value.VisitJSON(document), "%s", body)
	assert.EqualValues(c.t, response.StatusCode, document["status"])
	code, _ := document["code"].(string)
	ofGateway := slices.Contains([]string{
		"host_not_allowed", "too_many_open_files", "http_version_unsupported", "jobs_disabled", "jobs_unavailable",
	}, code)
	if hint, _ := document["hint"].(string); response.StatusCode == http.StatusBadGateway || response.StatusCode == http.StatusGatewayTimeout || ofGateway {
		assert.NotEmpty(c.t, hint, "%s", body)
		assert.NotContains(c.t, hint, "This fault is unusual", "%s", body)
	} else {
		assert.Empty(c.t, hint, "%s", body)
	}
	if response.StatusCode == http.StatusNotFound {
		assert.NotContains(c.t, document, "correlation_id")
	} else {
		assert.Equal(c.t, id, document["correlation_id"])
	}
	return response, c.check(r, response, body)
}

// pathItem returns the item of the contract for the path of a request, nil if there is none.
func pathItem(contract *openapi3.T, path string) *openapi3.PathItem {
	segments := strings.Split(path, "/")
	for template, item := range contract.Paths.Map() {
		parts := strings.Split(template, "/")
		matches := len(parts) == len(segments)
		for i := 0; matches && i < len(parts); i++ {
			matches = parts[i] == segments[i] || strings.HasPrefix(parts[i], "{")
		}
		if matches {
			return item
		}
	}
	return nil
}

// check validates answers to operations of the contract; it ignores other routes.
func (c checkingTransport) check(r *http.Request, response *http.Response, body []byte) error {
	item := pathItem(c.contract, r.URL.Path)
	if item == nil || item.GetOperation(r.Method) == nil {
		return nil
	}
	stream := strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream")
	if body == nil && !stream {
		var err error
		if body, err = io.ReadAll(response.Body); err != nil {
			return err
		}
		response.Body = io.NopCloser(bytes.NewReader(body))
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r,
			Route: &routers.Route{
				Spec: c.contract, Path: r.URL.Path, PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method),
			},
		},
		Status: response.StatusCode,
		Header: response.Header,
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, MultiError: true, ExcludeResponseBody: stream || len(body) == 0 ||
				!strings.Contains(response.Header.Get("Content-Type"), "json"),
		},
	}
	input.SetBodyBytes(body)
	assert.NoError(c.t, openapi3filter.ValidateResponse(r.Context(), input), "%s", body)
	return nil
}

// post sends body unchanged and returns status, header and body of the answer.
func (r *running) post(t *testing.T, path, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	return r.do(t, http.MethodPost, path, strings.NewReader(body), header...)
}

func (r *running) do(t *testing.T, method, path string, body io.Reader, header ...string) (int, http.Header, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, body)
	require.NoError(t, err)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			request.Host = header[i+1]
			continue
		}
		request.Header.Set(header[i], header[i+1])
	}
	response, err := r.http.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, string(answer)
}

func problemIn(t *testing.T, body string) goclient.Problem {
	t.Helper()
	var p goclient.Problem
	require.NoError(t, json.Unmarshal([]byte(body), &p), "%s", body)
	return p
}

// safeBuffer is a buffer that several goroutines can write to.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// lines returns the log lines with this message.
func (s *safeBuffer) lines(t *testing.T, message string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(s.String()) {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &fields), "%s", line)
		if fields["message"] == message {
			found = append(found, fields)
		}
	}
	return found
}

// waitForLine returns the first log line with this message, which may be written after the answer.
func waitForLine(t *testing.T, r *running, message string) map[string]any {
	t.Helper()
	return waitForLineOf(t, r, message, "")
}

// waitForLineOf is waitForLine for the request with this correlation ID; "": any.
func waitForLineOf(t *testing.T, r *running, message, correlationID string) map[string]any {
	t.Helper()
	var found map[string]any
	require.Eventually(t, func() bool {
		for _, line := range r.logs.lines(t, message) {
			if correlationID == "" || line["correlation_id"] == correlationID {
				found = line
				return true
			}
		}
		return false
	}, 10*time.Second, time.Millisecond)
	return found
}

// Values of a patient that must not appear in logs, metrics or errors.
const (
	patientID   = "PID-7788-SECRET"
	patientName = "SECRETNAME^PLANTED"
	studyUID    = "1.2.840.99999.1"
)

func queryRequest() goclient.QueryRequest {
	return goclient.QueryRequest{
		PACSIP: "127.0.0.1", PACSPort: 104, PACSAETitle: "PACS", CFindAETitle: "GATEWAY", PatientID: patientID,
	}
}

func retrieveRequest() goclient.RetrieveRequest {
	return goclient.RetrieveRequest{
		PACSIP: "127.0.0.1", PACSPort: 104, PACSAETitle: "PACS", CFindAETitle: "GATEWAY", PatientID: patientID,
		CMoveAETitle: "DEST",
	}
}

const (
	queryBody    = `{"pacs_ip":"127.0.0.1","pacs_port":104,"pacs_ae_title":"PACS","c_find_ae_title":"GATEWAY","patient_id":"` + patientID + `"}`
	retrieveBody = `{"pacs_ip":"127.0.0.1","pacs_port":104,"pacs_ae_title":"PACS","c_find_ae_title":"GATEWAY","patient_id":"` + patientID +
		`","c_move_ae_title":"DEST"}`
)

func study(uid string) qr.Study {
	return qr.Study{PatientName: patientName, PatientID: patientID, StudyInstanceUID: uid, ModalitiesInStudy: []string{"CT"}}
}

var errUnexpected = errors.New("unexpected text with " + patientName)
