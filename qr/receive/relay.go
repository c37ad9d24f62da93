package receive

import (
	"context"
	"sync"

	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// relay forwards events to the observer of a caller until the caller leaves.
type relay struct {
	qr.Unobserved

	mu sync.Mutex
	to qr.Observer // nil: the caller has left
}

// end stops the forwarding. Once it returns, the observer is not called any more.
func (r *relay) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = nil
}

// Step forwards the beginning and the end of a step.
func (r *relay) Step(ctx context.Context, s pool.PeerStep) (during context.Context, end func(err error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to == nil {
		return ctx, func(error) {}
	}
	during, ended := r.to.Step(ctx, s)
	return during, func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.to != nil {
			ended(err)
		}
	}
}

// Sent forwards an identifier.
func (r *relay) Sent(i qr.Identifier) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to != nil {
		r.to.Sent(i)
	}
}
