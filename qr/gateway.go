package qr

import (
	"context"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/pool"
)

// Options are the settings of a Gateway.
type Options struct {
	Pool             *pool.Pool
	OperationTimeout time.Duration    // zero: none
	MaxMatches       int              // of one C-FIND; zero: no limit
	Now              func() time.Time // nil: time.Now
}

// Gateway runs operations. It is safe for concurrent use.
type Gateway struct {
	options Options
	keys    *keys
}

// New returns a Gateway that opens its associations through o.Pool.
func New(o Options) *Gateway {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Gateway{options: o, keys: newKeys()}
}

// Bounded returns ctx with the operation timeout, and an *OperationTimeoutError as the cause of its end.
func (g *Gateway) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	after := g.options.OperationTimeout
	if after <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, after, &OperationTimeoutError{After: after})
}

// operation is one operation that runs: what it is called with and its session with the peer.
type operation struct {
	*pool.Session
	gateway  *Gateway
	observer Observer
	memory   *budget.Account
	full     error // why memory could not be counted
	most     int   // matches of one C-FIND; zero: no limit
	// findModel and moveModel are the information models of C-FIND and C-MOVE: that of the peer, or the other one if the PACS does
	// not accept it.
	findModel, moveModel dicomnet.Model
	preferred            dicomnet.Model // that of the peer
	anyPatient           bool           // only Study Root finds studies without a Patient ID (PS3.4 section C.6.1.1)
}

// begin returns an operation; the caller must call End.
func (g *Gateway) begin(c Call, p Peer) *operation {
	o := &operation{
		gateway: g, observer: c.Observer, memory: c.Memory, most: g.options.MaxMatches,
		findModel: p.Model(), moveModel: p.Model(), preferred: p.Model(),
	}
	if o.observer == nil {
		o.Session, o.observer = g.options.Pool.Session(p, c.Principal.Identity(), nil), Unobserved{}
	} else {
		o.Session = g.options.Pool.Session(p, c.Principal.Identity(), o.observer)
	}
	if o.memory != nil {
		o.LimitMemory(o.memory)
	}
	if c.Batch {
		o.Batch()
	}
	return o
}

// take counts bytes of memory that a match needs and returns how many it counted: all, or none if that fails. The C-FIND then ends
// after the match.
func (o *operation) take(ctx context.Context, bytes int) int {
	if bytes > 0 && o.full == nil {
		o.full = o.memory.Take(ctx, bytes)
	}
	if o.full != nil {
		return 0
	}
	return bytes
}

// plan prepares the operation for the studies that are asked for.
func (o *operation) plan(p *plan) {
	if p.anyPatient() {
		o.findModel, o.moveModel, o.preferred, o.anyPatient = dicomnet.StudyRoot, dicomnet.StudyRoot, dicomnet.StudyRoot, true
	}
}
