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

// otlpClient is OTLP over HTTP in binary protocol buffers. OpenTelemetry's own client links all of gRPC for the type of the
// one message, which adds 5 MB to the binary: TracesData has the same fields under the same numbers.
type otlpClient struct {
	endpoint string
	header   http.Header
	timeout  time.Duration // of one export, its repetitions included
	backoff  time.Duration // before the first repetition; twice as long before each other
	gzip     bool
	http     *http.Client
}

var _ otlptrace.Client = (*otlpClient)(nil)

const firstBackoff = time.Second

func newOTLPClient(c Tracing) *otlpClient {
	// http.DefaultTransport's proxy and dial settings, on connections of our own.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = c.TLS
	return &otlpClient{
		endpoint: c.Endpoint, header: c.Header, timeout: c.Timeout, backoff: firstBackoff, gzip: c.Gzip,
		http: &http.Client{
			Transport: transport,
			// The header may hold secrets that are meant for one collector.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Start has nothing to do: connections come with the first export.
func (*otlpClient) Start(context.Context) error { return nil }

// Stop closes the connections.
func (c *otlpClient) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces sends the spans, again where the collector says that this may help.
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
		again, after, err := c.post(ctx, body)
		if err == nil || !again {
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
	_, _ = w.Write(body) // a buffer takes all
	_ = w.Close()
	return b.Bytes()
}

// maxReply is what is read of an answer, so that the connection can be used again.
const maxReply = 64 << 10

// post is one attempt; again tells whether another may succeed, and after how long the collector wants it.
func (c *otlpClient) post(ctx context.Context, body []byte) (again bool, after time.Duration, err error) {
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
		again = true
	}
	if n, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16); err == nil {
		after = time.Duration(n) * time.Second
	}
	if response.StatusCode/100 != 2 {
		return again, after, fmt.Errorf("the collector answered %d", response.StatusCode)
	}
	return false, 0, nil
}
