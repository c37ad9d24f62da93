package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// otlpClient exports spans with OTLP over HTTP in binary protocol buffers. OpenTelemetry's own client links all of gRPC for the
// type of its one message, which adds 5 MB to the binary. TracesData has the same fields under the same numbers.
type otlpClient struct {
	endpoint string
	header   http.Header
	timeout  time.Duration // of one export, including its retries
	backoff  time.Duration // before the first retry; doubled before each further one
	gzip     bool
	http     *http.Client
}

var _ otlptrace.Client = (*otlpClient)(nil)

const firstBackoff = time.Second

func newOTLPClient(c Tracing) *otlpClient {
	// The proxy and dial settings of http.DefaultTransport, with connections of its own.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = c.TLS
	return &otlpClient{
		endpoint: c.Endpoint, header: c.Header, timeout: c.Timeout, backoff: firstBackoff, gzip: c.Gzip,
		http: &http.Client{
			Transport: transport,
			// A redirect could send the secrets in the header to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Start does nothing: the first export opens the connection.
func (*otlpClient) Start(context.Context) error { return nil }

// Stop closes the connections.
func (c *otlpClient) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces exports the spans, and retries if the answer of the collector says that this may help.
func (c *otlpClient) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	if c.gzip {
		body = compressed(body)
	}
	for wait := c.backoff; ; wait *= 2 {
		retry, after, err := c.post(ctx, body)
		if err == nil || !retry {
			return err
		}
		timer := time.NewTimer(max(wait, after))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

func compressed(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body) // a buffer does not fail
	_ = w.Close()
	return b.Bytes()
}

// maxReply limits how much of an answer is read so that the connection can be reused.
const maxReply = 64 << 10

// post makes one attempt. retry says whether another may succeed, and after is how long the collector asks to wait.
func (c *otlpClient) post(ctx context.Context, body []byte) (retry bool, after time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return false, 0, err
	}
	maps.Copy(request.Header, c.header)
	request.Header.Set("Content-Type", "application/x-protobuf")
	if c.gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return true, 0, err
	}
	_, _ = io.CopyN(io.Discard, response.Body, maxReply)
	_ = response.Body.Close()
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		retry = true
	}
	if n, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16); err == nil {
		after = time.Duration(n) * time.Second
	}
	if response.StatusCode/100 != 2 {
		return retry, after, fmt.Errorf("the collector answered %d", response.StatusCode)
	}
	return false, 0, nil
}
