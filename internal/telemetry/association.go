package telemetry

import (
	"context"
	"errors"
	"strings"

	"dicom-qr-gateway/dicomnet"
)

// exchange is what is known of the PACS that a request is at. Steps and the callbacks of a trace run one after the other,
// so that it needs no lock.
type exchange struct {
	peer string // host:port
}

type exchangeKey struct{}

func withExchange(ctx context.Context) context.Context {
	return context.WithValue(ctx, exchangeKey{}, &exchange{})
}

// exchangeOf is that of the request which ctx belongs to, and one that nobody reads outside of any.
func exchangeOf(ctx context.Context) *exchange {
	if e, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return e
	}
	return &exchange{}
}

// Trace measures associations, and tells next what it is told; next may be nil.
func (t *Telemetry) Trace(next *dicomnet.Trace) *dicomnet.Trace {
	var trace dicomnet.Trace
	if next != nil {
		trace = *next
	}
	established, ended, operation := trace.Established, trace.Ended, trace.Operation
	trace.Established = func(ctx context.Context, s dicomnet.Summary) {
		t.established(ctx, s)
		if established != nil {
			established(ctx, s)
		}
	}
	trace.Ended = func(ctx context.Context, s dicomnet.Summary) {
		t.ended(ctx, s)
		if ended != nil {
			ended(ctx, s)
		}
	}
	trace.Operation = func(ctx context.Context, o dicomnet.OperationSummary) {
		t.operation(ctx, o)
		if operation != nil {
			operation(ctx, o)
		}
	}
	return &trace
}

// peerOf is the address as the operation names it, which may be another than the one that was dialled.
func peerOf(ctx context.Context, s *dicomnet.Summary) string {
	if e := exchangeOf(ctx); e.peer != "" {
		return e.peer
	}
	return s.Remote
}

func (t *Telemetry) established(ctx context.Context, s dicomnet.Summary) {
	address := peerOf(ctx, &s)
	t.peers.accepted(address)
	t.metrics.associationsOpen.WithLabelValues(t.peers.label(address)).Inc()
}

func (t *Telemetry) ended(ctx context.Context, s dicomnet.Summary) {
	peer := t.peers.label(peerOf(ctx, &s))
	if s.Established {
		t.metrics.associationsOpen.WithLabelValues(peer).Dec()
	}
	t.metrics.associations.WithLabelValues(s.Outcome, peer).Inc()
	t.metrics.associationSeconds.WithLabelValues(s.Outcome).Observe(s.Duration.Seconds())
	if r, ok := errors.AsType[*dicomnet.RejectError](s.Err); ok {
		t.metrics.rejections.WithLabelValues(word(r.ResultText()), word(r.SourceText()), word(r.ReasonText()), peer).Inc()
		return
	}
	if abort, by := abortOf(&s); abort != nil {
		t.metrics.aborts.WithLabelValues(by, word(abort.SourceText()), word(abort.ReasonText()), peer).Inc()
	}
}

// abortOf is the A-ABORT that ended the association and who sent it; nil where none did.
func abortOf(s *dicomnet.Summary) (abort *dicomnet.AbortError, by string) {
	if abort, ok := errors.AsType[*dicomnet.AbortError](s.Err); ok && abort.Remote {
		return abort, "peer"
	}
	if s.Outcome != "aborted" && s.Outcome != "timeout" {
		return nil, ""
	}
	if broken, ok := errors.AsType[*dicomnet.ProtocolError](s.Err); ok {
		const serviceProvider = 2
		return &dicomnet.AbortError{Source: serviceProvider, Reason: broken.Abort}, "gateway"
	}
	return &dicomnet.AbortError{}, "gateway"
}

// word is the standard's, or "reserved" for numbers that it gives none: a peer may send any.
func word(text string) string {
	for _, unknown := range []string{"result ", "source ", "reason "} {
		if strings.HasPrefix(text, unknown) {
			return "reserved"
		}
	}
	return text
}

func (t *Telemetry) operation(ctx context.Context, o dicomnet.OperationSummary) {
	peer := t.peers.label(exchangeOf(ctx).peer)
	if o.FirstResponse >= 0 {
		t.metrics.firstResponse.WithLabelValues(string(o.Step), peer).Observe(o.FirstResponse.Seconds())
	}
	if o.Matches > 0 {
		t.metrics.matches.WithLabelValues(peer).Add(float64(o.Matches))
	}
}
