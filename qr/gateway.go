package qr

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// What stands in for the Options of these names where they are zero.
const (
	DefaultMaxMatches             = 10000
	DefaultMaxAssociationsPerPeer = 10
	DefaultQueueTimeout           = 5 * time.Second
)

// Options are the settings of a Gateway.
type Options struct {
	Timeouts         dicomnet.Timeouts
	OperationTimeout time.Duration // zero: none
	MaxMatches       int           // of one C-FIND; zero: DefaultMaxMatches
	TLS              *tls.Config   // for peers with TLS set
	// Allow is where the gateway may connect to; nil: anywhere.
	Allow *Allowlist
	// MaxAssociationsPerPeer are open at once to one address and port, from before connecting until the connection is closed;
	// zero: DefaultMaxAssociationsPerPeer. An operation that finds no place waits in line for QueueTimeout (zero:
	// DefaultQueueTimeout; less: not at all) and then ends with a *BusyError. A peer by several names is one peer; one by several addresses is as many, and counts
	// at the address that is dialled: the first that LookupHost gives, the next only where those before do not answer.
	MaxAssociationsPerPeer int
	QueueTimeout           time.Duration
	// AssociationIdle is how long an association that an operation has ended in order is kept for the next one of its kind;
	// zero: it is released at once. One that is kept has a place, and gives it up to whoever waits for one.
	AssociationIdle time.Duration
	// Background is the context of what no operation does: Trace is told with it of the end of associations that are kept.
	// nil: context.Background().
	Background context.Context //nolint:containedctx // It stands for those who have none.
	// DialContext opens connections to addresses, never to names; nil: that of a net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// LookupHost gives the addresses of a name, in the order in which to try them; nil: that of net.DefaultResolver.
	LookupHost func(ctx context.Context, host string) ([]string, error)
	Trace      *dicomnet.Trace
	Observe    Observer         // nil: nothing is observed
	Now        func() time.Time // nil: time.Now
}

// Gateway runs operations; safe for concurrent use.
type Gateway struct {
	options  Options
	keys     *keys
	places   *places
	releases releases
}

// New makes a Gateway.
func New(o Options) *Gateway {
	if o.MaxMatches == 0 {
		o.MaxMatches = DefaultMaxMatches
	}
	if o.MaxAssociationsPerPeer == 0 {
		o.MaxAssociationsPerPeer = DefaultMaxAssociationsPerPeer
	}
	if o.QueueTimeout == 0 {
		o.QueueTimeout = DefaultQueueTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if o.Background == nil {
		o.Background = context.Background()
	}
	g := &Gateway{options: o, keys: newKeys(), places: newPlaces(o.MaxAssociationsPerPeer)}
	g.places.keep, g.places.background = o.AssociationIdle, g.releases.run
	return g
}

// Wait blocks until the associations that are being released in the background are gone, or ctx is done.
func (g *Gateway) Wait(ctx context.Context) error { return g.releases.wait(ctx) }

// bounded is ctx with the operation timeout as the cause of its end.
func (g *Gateway) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	after := g.options.OperationTimeout
	if after <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, after, &OperationTimeoutError{After: after})
}

// releases counts what runs behind the answers. A sync.WaitGroup would not do:
// it can neither be waited for with a context nor be added to during a wait.
type releases struct {
	mu      sync.Mutex
	running int
	idle    chan struct{} // closed when running is back at zero
}

func (r *releases) run(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == 0 {
		r.idle = make(chan struct{})
	}
	r.running++
	go func() {
		defer r.finish()
		f()
	}()
}

func (r *releases) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running--; r.running == 0 {
		close(r.idle)
	}
}

func (r *releases) wait(ctx context.Context) error {
	r.mu.Lock()
	running, idle := r.running, r.idle
	r.mu.Unlock()
	if running == 0 {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
