package telemetry

import (
	"context"
	"errors"
	"strings"

	"dicom-qr-gateway/dicomnet"
)

// Trace returns a trace that measures the associations with a peer, its name or host:port, and then calls the
// functions of next, which may be nil.
func (t *Telemetry) Trace(peer string, next *dicomnet.Trace) *dicomnet.Trace {
	var trace dicomnet.Trace
	if next != nil {
		trace = *next
	}
	established, ended, operation := trace.Established, trace.Ended, trace.Operation
	trace.Established = func(ctx context.Context, s dicomnet.Summary) {
		t.established(peer)
		if established != nil {
			established(ctx, s)
		}
	}
	trace.Ended = func(ctx context.Context, s dicomnet.Summary) {
		t.ended(peer, s)
		if ended != nil {
			ended(ctx, s)
		}
	}
	trace.Operation = func(ctx context.Context, o dicomnet.OperationSummary) {
		t.operation(peer, o)
		if operation != nil {
			operation(ctx, o)
		}
	}
	return &trace
}

func (t *Telemetry) established(address string) {
	t.peers.accepted(address)
	t.metrics.associationsOpen.WithLabelValues(t.peers.label(address)).Inc()
}

func (t *Telemetry) ended(address string, s dicomnet.Summary) {
	peer := t.peers.label(address)
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

// abortOf returns the A-ABORT that ended the association, and the side that sent it; nil if none did.
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

// word returns the text of the standard, or "reserved" for a number without one: a peer can send any number.
func word(text string) string {
	for _, unknown := range []string{"result ", "source ", "reason "} {
		if strings.HasPrefix(text, unknown) {
			return "reserved"
		}
	}
	return text
}

func (t *Telemetry) operation(address string, o dicomnet.OperationSummary) {
	peer := t.peers.label(address)
	if o.FirstResponse >= 0 {
		t.metrics.firstResponse.WithLabelValues(string(o.Step), peer).Observe(o.FirstResponse.Seconds())
	}
	if o.Matches > 0 {
		t.metrics.matches.WithLabelValues(peer).Add(float64(o.Matches))
	}
}
