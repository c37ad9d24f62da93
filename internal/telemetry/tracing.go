package telemetry

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"dicom-qr-gateway/internal/pool"
)

// Tracing says where spans are exported. The zero value is off.
type Tracing struct {
	On       bool
	Endpoint string        // URL of the collector, with the path of traces
	Header   http.Header   // of each export; may hold secrets
	Timeout  time.Duration // of an export, including its retries
	Gzip     bool
	TLS      *tls.Config // nil: the system's authorities are trusted
}

const serviceName = "dicom-qr-gateway"

// tracer makes spans; a nil *tracer makes none.
type tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	caller   propagation.TraceContext
}

func newTracer(o Options) (*tracer, error) {
	// The error handler is the only way in which the SDK reports variables that it cannot read and spans that it lost.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		o.Logger.Warn().Str("reason", err.Error()).Msg("tracing")
	}))
	// A later value of an attribute replaces an earlier one, so the variables take precedence.
	described, err := resource.New(context.Background(),
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", serviceName), attribute.String("service.version", o.Version)),
		resource.WithFromEnv(),
	)
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, err
	}
	exporter := &loggedExporter{SpanExporter: otlptrace.NewUnstarted(newOTLPClient(o.Tracing)), log: o.Logger}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described))
	return &tracer{provider: provider, tracer: provider.Tracer(serviceName)}, nil
}

// loggedExporter logs when exports begin to fail and when they succeed again, and nothing in between.
type loggedExporter struct {
	sdktrace.SpanExporter
	log     zerolog.Logger
	failing atomic.Bool
}

func (e *loggedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	switch err := e.SpanExporter.ExportSpans(ctx, spans); {
	case err != nil && !e.failing.Swap(true):
		e.log.Warn().Str("reason", err.Error()).Int("spans", len(spans)).Msg("traces cannot be exported")
	case err == nil && e.failing.Swap(false):
		e.log.Info().Msg("traces are exported again")
	}
	return nil
}

func (t *tracer) close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// span is a running span; the zero value is none.
type span struct{ trace.Span }

// request begins the span of a request, in the caller's trace if the header names one (W3C Trace Context). The span does not hold
// the path, which can contain anything.
func (t *tracer) request(ctx context.Context, header http.Header, method, correlationID string) (context.Context, span) {
	if t == nil {
		return ctx, span{}
	}
	ctx = t.caller.Extract(ctx, propagation.HeaderCarrier(header))
	ctx, s := t.tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", method),
		attribute.String("correlation_id", correlationID),
	))
	return ctx, span{s}
}

func (s span) traceID() string {
	if s.Span == nil {
		return ""
	}
	return s.SpanContext().TraceID().String()
}

// endRequest ends the span of a request. A fault of the caller is not an error of the span.
func (s span) endRequest(method string, a Answer) {
	if s.Span == nil {
		return
	}
	s.SetName(method + " " + a.Route)
	s.SetAttributes(attribute.String("http.route", a.Route))
	if a.Status != 0 {
		s.SetAttributes(attribute.Int("http.response.status_code", a.Status))
	}
	if a.Operation != "" {
		s.SetAttributes(attribute.String("dicom.operation", a.Operation), attribute.String("dicom.outcome", a.Outcome))
	}
	if a.Failed {
		s.fail(a.Outcome)
	}
	s.End()
}

// step begins the span of a step.
func (t *tracer) step(ctx context.Context, step pool.PeerStep) (context.Context, span) {
	if t == nil {
		return ctx, span{}
	}
	ctx, s := t.tracer.Start(ctx, string(step.Name), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("server.address", step.Peer.Host),
		attribute.Int("server.port", step.Peer.Port),
		attribute.String("dicom.called_ae_title", step.Peer.CalledAETitle),
		attribute.String("dicom.calling_ae_title", step.Peer.CallingAETitle),
	))
	if step.Peer.Name != "" {
		s.SetAttributes(attribute.String("dicom.pacs", step.Peer.Name))
	}
	return ctx, span{s}
}

// end ends the span of a step; code says why the step failed, or is "".
func (s span) end(code string) {
	if s.Span == nil {
		return
	}
	if code != "" {
		s.fail(code)
	}
	s.End()
}

func (s span) fail(code string) {
	s.SetStatus(codes.Error, code)
	s.SetAttributes(attribute.String("error.type", code))
}
