// Package pool opens associations to PACS on behalf of operations and keeps them for reuse. It decides which peers may be
// dialled (Allowlist), at which addresses, how many associations with one peer are open at once (slots), how many operations run at
// once (permits), how long an operation waits for both and whose turn it is, which idle associations serve the next operation, and what is retried. What an operation sends on its
// association is up to the caller.
//
// An operation takes a Session, opens associations through it, and ends it:
//
//	s := p.Session(peer, caller, observer)
//	defer s.End(ctx)
//	err := s.Open(ctx, dicomnet.StudyRoot.Find)
//	for match, err := range s.Association().Find(ctx, dicomnet.StudyRoot, query) { ... }
package pool

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// Options are the settings of a Pool. Zero fields mean what their comments say; there are no hidden defaults.
type Options struct {
	Timeouts dicomnet.Timeouts
	TLS      *tls.Config // for peers with TLS set; nil: TLS 1.2 or later with the system's certificates
	Allow    *Allowlist  // peers that may be dialled; nil: any
	// MaxAssociationsPerPeer is how many associations may be open at once with one address and port, counted from before the
	// connection is opened until it is closed; zero: no limit. A peer with several names is one peer. A peer with several
	// addresses counts at the address that is dialled: the first that LookupHost returns, a later one only if those before it
	// do not answer.
	MaxAssociationsPerPeer int
	// MaxOperations is how many operations run at once with all peers, counted from their first slot to End; zero: no limit. One
	// caller gets at most three quarters of them. An operation beyond waits, and so does one without a slot. At most twice
	// MaxOperations wait for one peer, and of one caller no more than places are left in the queue.
	MaxOperations int
	// QueueTimeout is how long an operation waits to run and for a free slot before it fails with a *BusyError; zero: not at all.
	QueueTimeout time.Duration
	// AssociationIdle is how long an association that an operation left in order is kept for the next one of its kind; zero:
	// it is released at once. An idle association holds a slot, and is released as soon as another operation needs the slot.
	AssociationIdle time.Duration
	// Background is the context of the work that belongs to no operation: Trace receives it when an idle association ends.
	// nil: context.Background().
	Background context.Context //nolint:containedctx // It stands for operations that have no context.
	// DialContext opens connections to addresses, never to names; nil: a net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// LookupHost returns the addresses of a name in the order in which to try them; nil: net.DefaultResolver.
	LookupHost func(ctx context.Context, host string) ([]string, error)
	// Trace returns the trace of a new association with the peer; nil: no association is traced.
	Trace func(Peer) *dicomnet.Trace
	// MessageID returns the message ID of the next operation on any association; nil: each association counts.
	MessageID func() uint16
}

// Pool holds the associations of a gateway. It is safe for concurrent use.
type Pool struct {
	options  Options
	slots    *slots
	shares   atomic.Pointer[map[shareKey]*Share] // nil: none
	releases background
}

// New returns a Pool without associations.
func New(o Options) *Pool {
	if o.TLS == nil {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if o.Background == nil {
		o.Background = context.Background()
	}
	p := &Pool{options: o}
	p.slots = newSlots(o.MaxOperations, p.releases.run)
	return p
}

// Drain releases the idle associations in the background and keeps none from now on. Wait waits for the releases.
func (p *Pool) Drain() { p.slots.drain() }

// Wait blocks until no association is being released in the background, or until ctx is done, whose error it then returns.
func (p *Pool) Wait(ctx context.Context) error { return p.releases.wait(ctx) }

// Waiting returns the number of operations that wait for a slot or until they may run.
func (p *Pool) Waiting() int {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	return p.slots.waiting
}

// Running returns the number of operations that run.
func (p *Pool) Running() int {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	return p.slots.permits.running
}

// Idle returns the number of associations that are open and in no operation's use.
func (p *Pool) Idle() int {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	return p.slots.idle
}

// InUse returns the number of slots in use with all peers, those of idle associations included.
func (p *Pool) InUse() int {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	n := 0
	for _, q := range p.slots.peers {
		n += q.taken
	}
	return n
}
