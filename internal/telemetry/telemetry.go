// Package telemetry reports what the gateway does: metrics for Prometheus, spans for OpenTelemetry, and log lines of associations.
// It is the only package that imports Prometheus and OpenTelemetry. Metrics and spans hold no patient data: the values of labels
// and attributes are words of this program, host names, ports, AE titles and correlation IDs. The peer of a metric is host:port
// without the AE title, because a PACS that accepts any title would otherwise be many peers.
package telemetry

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dicom-qr-gateway/internal/pool"
)

// Options are the settings of a Telemetry.
type Options struct {
	Version, Commit, GoVersion string
	Logger                     zerolog.Logger // for failed exports
	Tracing                    Tracing        // the zero value is off
	// Code returns why an operation or a step failed, as one of a limited number of words; nil: always "failed".
	Code func(ctx context.Context, err error) string
}

// Telemetry counts, measures and traces. It is safe for concurrent use and implements pool.Observer.
type Telemetry struct {
	metrics *metrics
	peers   *peers
	tracer  *tracer // nil: off
	code    func(ctx context.Context, err error) string
}

// New returns a Telemetry. If tracing is on, it exports spans in the background until Close.
func New(o Options) (*Telemetry, error) {
	t := &Telemetry{metrics: newMetrics(o.Version, o.Commit, o.GoVersion), peers: newPeers(maxPeers), code: o.Code}
	if t.code == nil {
		t.code = func(context.Context, error) string { return outcomeFailed }
	}
	if o.Tracing.On {
		var err error
		if t.tracer, err = newTracer(o); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// WriteMetrics writes all metrics in the format of MetricsType.
func (t *Telemetry) WriteMetrics(w io.Writer) error { return t.metrics.write(w) }

// CountIdle sets the function that returns the number of idle associations when metrics are written.
func (t *Telemetry) CountIdle(count func() int) { t.metrics.idle.Store(&count) }

// CountReserved sets the function that returns the memory that operations have reserved, in bytes, when metrics are written.
func (t *Telemetry) CountReserved(count func() int64) { t.metrics.reserved.Store(&count) }

// CountDropped sets the function that returns the number of log lines dropped since the start, when metrics are written.
func (t *Telemetry) CountDropped(count func() uint64) { t.metrics.dropped.Store(&count) }

// Connections counts the connections of callers.
type Connections struct {
	Open    int    // now
	Yielded uint64 // closed for a new one, since the start
	Refused uint64 // closed because none could give way
}

// CountConnections sets the function that counts the connections of callers when metrics are written.
func (t *Telemetry) CountConnections(count func() Connections) { t.metrics.connections.Store(&count) }

// Close exports the remaining spans, until ctx is done. Later steps and requests are not traced.
func (t *Telemetry) Close(ctx context.Context) error {
	if t.tracer == nil {
		return nil
	}
	return t.tracer.close(ctx)
}

// Answer says how a request ended.
type Answer struct {
	Route  string // as registered; "" if none matched
	Status int    // zero if the connection was cut and there was no answer
	// Operation is find, move or echo; "" if nothing was done at a PACS. Outcome is ok, partial or the code of the problem.
	// Failed is true if the gateway or the PACS failed, and false if the caller did.
	Operation, Outcome string
	Failed             bool
	Peer               string // its name or host:port; "" if it is not known
}

// Request is a running request.
type Request struct {
	telemetry *Telemetry
	method    string
	began     time.Time
	span      span
}

// Request begins to measure a request. The returned context is for everything that is done for the request. The caller must call
// End once.
func (t *Telemetry) Request(ctx context.Context, r *http.Request, correlationID string) (context.Context, *Request) {
	request := &Request{telemetry: t, method: knownMethod(r.Method), began: time.Now()}
	t.metrics.requestsInFlight.Inc()
	ctx, request.span = t.tracer.request(ctx, r.Header, request.method, correlationID)
	return ctx, request
}

// TraceID returns the ID of the trace of the request; "" if it is not traced.
func (r *Request) TraceID() string { return r.span.traceID() }

// End counts the request and its operation.
func (r *Request) End(a Answer) {
	took := time.Since(r.began).Seconds()
	m := r.telemetry.metrics
	if a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable {
		m.refused.WithLabelValues(a.Outcome).Inc()
	}
	if a.Route == "" {
		a.Route = "unmatched"
	}
	m.requestsInFlight.Dec()
	m.requests.WithLabelValues(r.method, a.Route, statusLabel(a.Status)).Inc()
	m.requestSeconds.WithLabelValues(r.method, a.Route).Observe(took)
	if a.Operation != "" {
		peer := r.telemetry.peers.label(a.Peer)
		m.operations.WithLabelValues(a.Operation, a.Outcome, peer).Inc()
		m.operationSeconds.WithLabelValues(a.Operation, peer).Observe(took)
	}
	r.span.endRequest(r.method, a)
}

// MoveCounters are the final numbers of sub-operations in the C-MOVE of one study; nil: the PACS sent no such counter.
type MoveCounters struct{ Completed, Failed, Warning *int }

// Retrieved counts the sub-operations of a retrieve at a peer, host:port.
func (t *Telemetry) Retrieved(address string, studies []MoveCounters) {
	peer := t.peers.label(address)
	add := func(outcome string, n *int) {
		if n != nil {
			t.metrics.subOperations.WithLabelValues(outcome, peer).Add(float64(max(*n, 0)))
		}
	}
	for _, r := range studies {
		add("completed", r.Completed)
		add("failed", r.Failed)
		add("warning", r.Warning)
	}
}

const (
	outcomeOK     = "ok"
	outcomeFailed = "failed"
)

// Step measures a step of an operation.
func (t *Telemetry) Step(ctx context.Context, s pool.PeerStep) (during context.Context, end func(err error)) {
	began, name := time.Now(), s.Name // the closure does not keep s, which is large
	var queue prometheus.Gauge
	if name == pool.StepQueue {
		queue = t.metrics.queueLength.WithLabelValues(t.peers.label(s.Peer.Label()))
		queue.Inc()
	}
	during, span := t.tracer.step(ctx, s)
	return during, func(err error) {
		took, outcome, code := time.Since(began).Seconds(), outcomeOK, ""
		if err != nil {
			outcome, code = outcomeFailed, t.code(ctx, err)
		}
		if name == pool.StepQueue {
			queue.Dec()
			// The code distinguishes a caller that left the queue from one that was refused.
			t.metrics.queueSeconds.WithLabelValues(cmp.Or(code, outcomeOK)).Observe(took)
		} else {
			t.metrics.stepSeconds.WithLabelValues(string(name), outcome).Observe(took)
		}
		span.end(code)
	}
}

// knownMethod limits the values of the label: a caller can send any token.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return method
	}
	return "other"
}
