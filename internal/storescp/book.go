package storescp

import (
	"context"
	"slices"
	"sync"
	"time"

	"dicom-qr-gateway/internal/messageid"
)

// book holds the leases of all AE titles, and decides to which of them an instance belongs. Two leases of the same title never overlap:
// an instance fits at most one of them, whatever a PACS says in the Move Originator elements. It knows nothing of the network.
type book struct {
	grace time.Duration
	ids   *messageid.Allocator

	mu      sync.Mutex
	closed  bool
	waiting []*Lease            // in the order in which they began to wait
	running map[string][]*Lease // by title
	// studies has the running and the resting leases, by title and Study Instance UID.
	studies map[titleStudy][]*Lease
}

type titleStudy struct{ title, study string }

func newBook(grace time.Duration, ids *messageid.Allocator) *book {
	return &book{grace: grace, ids: ids, running: map[string][]*Lease{}, studies: map[titleStudy][]*Lease{}}
}

// arrival is what is known of an arriving instance and its association.
type arrival struct {
	scope
	called, calling string
	remote          remote
	messageID       uint16 // of the Move Originator; 0: absent
}

// lease waits until l has one of titles to itself.
func (b *book) lease(ctx context.Context, l *Lease, titles []string) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	l.book, l.titles, l.granted = b, titles, make(chan struct{})
	b.waiting = append(b.waiting, l)
	b.grant()
	b.mu.Unlock()
	select {
	case <-l.granted:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed && l.state == leaseWaiting:
		return ErrClosed
	case l.state == leaseWaiting:
		b.waiting = slices.DeleteFunc(b.waiting, func(other *Lease) bool { return other == l })
		b.grant()
		return context.Cause(ctx)
	}
	return nil
}

// grant gives titles to waiting leases in their order. A lease does not overtake one that it would keep waiting.
func (b *book) grant() {
	var still []*Lease
	for _, l := range b.waiting {
		if slices.ContainsFunc(still, l.behind) || !b.choose(l) {
			still = append(still, l)
			continue
		}
		l.id, l.state, l.last = b.ids.Hold(), leaseRunning, time.Now()
		b.running[l.title] = append(b.running[l.title], l)
		key := titleStudy{l.title, l.scope.study}
		b.studies[key] = append(b.studies[key], l)
		close(l.granted)
	}
	clear(b.waiting[len(still):])
	b.waiting = append(b.waiting[:0], still...)
}

// choose gives the lease the title with the fewest retrievals of those that it may have now, and reports whether there is one.
func (b *book) choose(l *Lease) bool {
	l.forSyntax = false
	for _, title := range l.titles {
		if slices.ContainsFunc(b.studies[titleStudy{title, l.scope.study}], func(other *Lease) bool {
			return (other.state == leaseRunning || !other.complete) && l.confusable(other)
		}) {
			continue
		}
		if slices.ContainsFunc(b.running[title], l.otherSyntax) {
			l.forSyntax = true
			continue
		}
		if l.title == "" || len(b.running[title]) < len(b.running[l.title]) {
			l.title = title
		}
	}
	return l.title != ""
}

// owner returns the running lease that an instance belongs to; nil: none waits for it. The caller holds the lock.
func (b *book) owner(a *arrival) *Lease {
	var fitting []*Lease
	for _, l := range b.studies[titleStudy{a.called, a.study}] {
		if l.scope.contains(a.scope) && l.comesFrom(a) {
			fitting = append(fitting, l)
		}
	}
	decided := fitting
	if len(fitting) > 1 {
		decided = slices.DeleteFunc(slices.Clone(fitting), func(l *Lease) bool { return l.id != a.messageID })
	}
	if len(decided) == 0 {
		// A retrieval that ended complete expects nothing more.
		decided = slices.DeleteFunc(fitting, func(l *Lease) bool { return l.state == leaseResting && l.complete })
	}
	if len(decided) != 1 || decided[0].state != leaseRunning {
		return nil
	}
	return decided[0]
}

// only returns the one running lease that could have caused an instance that belongs to no lease; nil if there is none or more than one, or
// if a retrieval that has ended asked for the instance.
func (b *book) only(a *arrival) *Lease {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.ContainsFunc(b.studies[titleStudy{a.called, a.study}], func(l *Lease) bool { return l.scope.contains(a.scope) && l.comesFrom(a) }) {
		return nil
	}
	var found *Lease
	for _, l := range b.running[a.called] {
		if l.comesFrom(a) {
			if found != nil {
				return nil
			}
			found = l
		}
	}
	return found
}

// begin returns the lease that an instance belongs to, and counts a store in progress; nil if there is none. The caller must call end.
func (b *book) begin(a *arrival) *Lease {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.owner(a)
	if l != nil {
		l.storing++
		l.active()
	}
	return l
}

func (b *book) end(l *Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.storing--
	l.active()
}

// seen records the beginning or end of an association as activity of all leases that it may belong to.
func (b *book) seen(a *arrival) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.running[a.called] {
		if l.comesFrom(a) {
			l.active()
		}
	}
}

// preference returns which transfer syntaxes the running leases want that an association may belong to.
func (b *book) preference(a *arrival) Preference {
	b.mu.Lock()
	defer b.mu.Unlock()
	// All leases of one title and source want the same.
	i := slices.IndexFunc(b.running[a.called], func(l *Lease) bool { return l.comesFrom(a) })
	if i < 0 {
		return UncompressedFirst
	}
	return b.running[a.called][i].syntax
}

// declined records that a compressed transfer syntax was proposed, and an uncompressed one accepted in its place.
func (b *book) declined(a *arrival) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.running[a.called] {
		if l.comesFrom(a) {
			l.declined.Store(true)
		}
	}
}

// release ends a lease: its title rests for the grace period, and is free afterwards.
func (b *book) release(l *Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.state != leaseRunning {
		return
	}
	l.state = leaseResting
	l.active()
	b.running[l.title] = without(b.running[l.title], l)
	if len(b.running[l.title]) == 0 {
		delete(b.running, l.title)
	}
	if b.closed || b.grace <= 0 {
		b.forget(l)
		return
	}
	l.rest = time.AfterFunc(b.grace, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.forget(l)
	})
	if l.complete {
		b.grant()
	}
}

// forget ends the rest of a lease.
func (b *book) forget(l *Lease) {
	if l.state != leaseResting {
		return
	}
	l.state = leaseGone
	key := titleStudy{l.title, l.scope.study}
	if b.studies[key] = without(b.studies[key], l); len(b.studies[key]) == 0 {
		delete(b.studies, key)
	}
	b.ids.Release(l.id)
	b.grant()
}

// close ends all leases, and the waits for them.
func (b *book) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, l := range b.waiting {
		close(l.granted)
	}
	b.waiting = nil
	for _, all := range b.studies {
		for _, l := range slices.Clone(all) {
			if l.rest != nil {
				l.rest.Stop()
				b.forget(l)
			}
			l.cancel(ErrClosed)
		}
	}
}

func without(all []*Lease, l *Lease) []*Lease {
	return slices.DeleteFunc(all, func(other *Lease) bool { return other == l })
}
