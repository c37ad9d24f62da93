package storescp

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// ErrClosed reports that the SCP has been closed.
var ErrClosed = errors.New("the storage SCP is closed")

// Lease is the right of a retrieval to have instances sent to an AE title of the gateway.
type Lease struct {
	expectation Expectation
	scope       scope
	source      source
	syntax      Preference
	declined    atomic.Bool
	ctx         context.Context //nolint:containedctx // It ends with the lease, whose calls of Receive it bounds.
	cancel      context.CancelCauseFunc
	book        *book
	titles      []string
	granted     chan struct{} // closed when state is not leaseWaiting any more, or when the book is closed

	// Guarded by the lock of the book, but title and id do not change after granted:
	state     leaseState
	title     string
	id        uint16
	forSyntax bool // it waits for retrievals that want other transfer syntaxes
	complete  bool
	rest      *time.Timer // of a resting lease
	storing   int         // stores in progress
	last      time.Time   // of the last activity
	changed   chan struct{}
}

type leaseState int

const (
	leaseWaiting leaseState = iota
	leaseRunning
	leaseResting // released; late instances may come
	leaseGone
)

// AETitle returns the AE title that the PACS is to send to: the Move Destination.
func (l *Lease) AETitle() string { return l.title }

// MessageID returns the Message ID that the C-MOVE of the retrieval is to have. No other open operation of the process has it. Several
// C-MOVEs of the retrieval may use it one after the other.
func (l *Lease) MessageID() uint16 { return l.id }

// Complete records that the final response and everything expected have arrived, so that the title does not have to rest after
// Release.
func (l *Lease) Complete() {
	l.book.mu.Lock()
	defer l.book.mu.Unlock()
	l.complete = true
}

// Release ends the lease, and the contexts of its calls of Receive. Such calls may still run, but none begins. An instance that arrives
// later is answered with 0124 and dropped. The title rests for the grace period of the SCP unless Complete was called: a retrieval that
// could be confused with this one does not get it until then. Further calls do nothing.
func (l *Lease) Release() {
	l.book.release(l)
	l.cancel(context.Canceled)
}

// Quiet waits until the grace period of the SCP has passed without a store or an association that may belong to the retrieval, counted from
// now. It is for a C-MOVE whose final response came before everything had arrived: some PACS send it first. The error is the cause of ctx,
// or ErrClosed.
func (l *Lease) Quiet(ctx context.Context) error {
	b := l.book
	b.mu.Lock()
	l.last = time.Now()
	b.mu.Unlock()
	for {
		b.mu.Lock()
		left, storing := b.grace-time.Since(l.last), l.storing > 0
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed, running := l.changed, l.state == leaseRunning
		b.mu.Unlock()
		if !running || left <= 0 && !storing {
			return nil
		}
		if err := l.pause(ctx, left, storing, changed); err != nil {
			return err
		}
	}
}

// pause waits until something has changed, or, if no store is in progress, until a time has passed.
func (l *Lease) pause(ctx context.Context, left time.Duration, storing bool, changed <-chan struct{}) error {
	var passed <-chan time.Time
	if !storing {
		timer := time.NewTimer(left)
		defer timer.Stop()
		passed = timer.C
	}
	select {
	case <-passed:
	case <-changed:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.ctx.Done():
		if errors.Is(context.Cause(l.ctx), ErrClosed) {
			return ErrClosed
		}
	}
	return nil
}

// active records activity, for Quiet. The caller holds the lock of the book.
func (l *Lease) active() {
	l.last = time.Now()
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// confusable reports whether an instance could belong to both leases if they had the same title.
func (l *Lease) confusable(other *Lease) bool {
	return l.scope.overlaps(other.scope) && l.source.overlaps(&other.source)
}

// otherSyntax reports whether the retrievals of both leases come from one PACS, and want different transfer syntaxes of it: an
// association to a title is negotiated for all of them.
func (l *Lease) otherSyntax(other *Lease) bool {
	return l.syntax != other.syntax && l.source.overlaps(&other.source)
}

// behind reports whether l must wait behind a lease that has waited longer, because it would keep that one waiting.
func (l *Lease) behind(longer *Lease) bool {
	return l.confusable(longer) || longer.forSyntax && l.otherSyntax(longer)
}

// comesFrom reports whether an association comes from the PACS of the lease.
func (l *Lease) comesFrom(a *arrival) bool {
	return slices.Contains(a.remote.pacs, l.source.pacs) || l.source.covers(a.calling, a.remote.address)
}

// DeclinedCompressed reports whether the PACS proposed a compressed transfer syntax and uncompressed ones in one presentation context, of
// which an uncompressed one was accepted. With [CompressedFirst] more may arrive.
func (l *Lease) DeclinedCompressed() bool { return l.declined.Load() }
