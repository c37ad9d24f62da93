// Package telemetry is what the gateway tells of itself in figures, for Prometheus, and in spans, by OpenTelemetry. It is
// the only package that knows either. Nothing that it tells holds patient data: the values of labels and attributes are
// words of this program, host names, ports, AE titles and correlation IDs.
package telemetry

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/qr"
)

// Options are what New makes a Telemetry of.
type Options struct {
	Version, Commit, GoVersion string
	Logger                     zerolog.Logger // for what becomes of exports
	Tracing                    Tracing        // the zero value is off
	// Code names what an operation or a step failed of, in a bounded number of words; nil: "failed".
	Code func(ctx context.Context, err error) string
}

// Telemetry counts, measures and traces; safe for concurrent use. Its methods Step and Trace are for qr.Options.
type Telemetry struct {
	metrics *metrics
	peers   *peers
	tracer  *tracer // nil: off
	code    func(ctx context.Context, err error) string
}

// New begins. Where tracing is on, spans are exported in the background until Close.
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

// WriteMetrics writes all metrics in the text format of MetricsType.
func (t *Telemetry) WriteMetrics(w io.Writer) error { return t.metrics.write(w) }

// CountIdle has count tell how many associations are idle whenever metrics are written.
func (t *Telemetry) CountIdle(count func() int) { t.metrics.idle.Store(&count) }

// Close exports the spans that are left, until ctx is done. What comes later is not traced.
func (t *Telemetry) Close(ctx context.Context) error {
	if t.tracer == nil {
		return nil
	}
	return t.tracer.close(ctx)
}

// Answer is how a request ended.
type Answer struct {
	Route  string // as registered; "" where none matched
	Status int    // zero where the connection was cut instead of an answer
	// Operation is find, move or echo; "" where nothing was done at a PACS. Outcome is ok, partial or the code of the problem,
	// and Failed tells whether that is a failure of this side or the PACS's.
	Operation, Outcome string
	Failed             bool
	Peer               string // host:port
}

// Request is a request that runs.
type Request struct {
	telemetry *Telemetry
	method    string
	began     time.Time
	span      span
}

// Request begins with the arrival of a request. The context is for all that is done for it; End is to be called once.
func (t *Telemetry) Request(ctx context.Context, r *http.Request, correlationID string) (context.Context, *Request) {
	request := &Request{telemetry: t, method: knownMethod(r.Method), began: time.Now()}
	t.metrics.requestsInFlight.Inc()
	ctx = withExchange(ctx)
	ctx, request.span = t.tracer.request(ctx, r.Header, request.method, correlationID)
	return ctx, request
}

// TraceID is that of the trace which the request belongs to; "" where it is not traced.
func (r *Request) TraceID() string { return r.span.traceID() }

// End counts the request and the operation that was asked for.
func (r *Request) End(a Answer) {
	took := time.Since(r.began).Seconds()
	m := r.telemetry.metrics
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

// Retrieved counts the sub-operations of a retrieve, as far as the PACS told them.
func (t *Telemetry) Retrieved(p qr.Peer, result *qr.RetrieveResult) {
	peer := t.peers.label(addressOf(p))
	add := func(outcome string, n *int) {
		if n != nil {
			t.metrics.subOperations.WithLabelValues(outcome, peer).Add(float64(max(*n, 0)))
		}
	}
	for i := range result.Retrievals {
		r := &result.Retrievals[i]
		add("completed", r.Completed)
		add("failed", r.Failed)
		add("warning", r.Warning)
	}
}

const (
	outcomeOK     = "ok"
	outcomeFailed = "failed"
)

// Step measures a step of an operation; it is a qr.Observer.
func (t *Telemetry) Step(ctx context.Context, s qr.Step) (during context.Context, end func(err error)) {
	began := time.Now()
	if e := exchangeOf(ctx); e.peer == "" {
		e.peer = addressOf(s.Peer)
	}
	if s.Name == qr.StepQueue {
		t.metrics.queueLength.Inc()
	}
	during, span := t.tracer.step(ctx, s)
	return during, func(err error) {
		took, outcome, code := time.Since(began).Seconds(), outcomeOK, ""
		if err != nil {
			outcome, code = outcomeFailed, t.code(ctx, err)
		}
		if s.Name == qr.StepQueue {
			t.metrics.queueLength.Dec()
			// A caller that left the queue is not one that was refused.
			t.metrics.queueSeconds.WithLabelValues(cmp.Or(code, outcomeOK)).Observe(took)
		} else {
			t.metrics.stepSeconds.WithLabelValues(string(s.Name), outcome).Observe(took)
		}
		span.end(code)
	}
}

// knownMethod keeps the label bounded: a caller may send any token.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return method
	}
	return "other"
}
