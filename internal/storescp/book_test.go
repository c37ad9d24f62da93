package storescp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"dicom-qr-gateway/internal/messageid"
)

const testGrace = 10 * time.Second

var (
	// sourceA and sourceA2 are two names of one PACS.
	sourceA  = source{pacs: "a", calling: []string{"PACS"}, from: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	sourceA2 = source{pacs: "a2", calling: []string{"OTHER", "PACS"}, from: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}}
	sourceB  = source{pacs: "b", calling: []string{"PACS"}, from: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32")}}
	fromA    = remote{address: netip.MustParseAddr("192.0.2.7")}
	fromB    = remote{address: netip.MustParseAddr("198.51.100.1")}
)

func newTestLease(s source, sc scope) *Lease {
	l := &Lease{scope: sc, source: s}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	return l
}

// retrieval is a retrieval of the model: what the PACS sends for it, and what has arrived.
type retrieval struct {
	lease   *Lease
	remote  remote
	toSend  []scope
	result  chan error
	granted bool
	ended   time.Time // zero: it runs
	err     error
}

// model drives a book as gateways, PACS and time do.
type model struct {
	book   *book
	titles []string
	all    []*retrieval
}

// settle waits until nothing happens any more.
func (m *model) settle() {
	synctest.Wait()
	for _, r := range m.all {
		select {
		case r.err = <-r.result:
			r.granted = r.err == nil
		default:
		}
	}
}

func (m *model) running() []*retrieval {
	return slices.DeleteFunc(slices.Clone(m.all), func(r *retrieval) bool { return !r.granted || !r.ended.IsZero() })
}

func allInstances(of scope) []scope {
	var all []scope
	for _, series := range []string{"1", "2"} {
		for _, instance := range []string{"1", "2"} {
			s := scope{of.study, of.study + "." + series, of.study + "." + series + "." + instance}
			if of.contains(s) {
				all = append(all, s)
			}
		}
	}
	return all
}

func (m *model) start(t *rapid.T) {
	sc := scope{study: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "study")}
	if level := rapid.IntRange(0, 2).Draw(t, "level"); level > 0 {
		one := rapid.SampledFrom(allInstances(sc)).Draw(t, "instance")
		sc.series = one.series
		if level > 1 {
			sc.instance = one.instance
		}
	}
	r := &retrieval{remote: fromA}
	from := rapid.SampledFrom([]source{sourceA, sourceA2, sourceB}).Draw(t, "source")
	if from.pacs == "b" {
		r.remote = fromB
	}
	r.lease, r.toSend = newTestLease(from, sc), allInstances(sc)
	r.lease.syntax = Preference(max(rapid.IntRange(-4, 2).Draw(t, "syntax"), 0))
	m.all = append(m.all, r)
	r.result = make(chan error, 1)
	go func() { r.result <- m.book.lease(r.lease.ctx, r.lease, m.titles) }()
	m.settle()
}

// arrive has the PACS send one instance that it has not sent yet, of any retrieval, in any order and with any message ID.
func (m *model) arrive(t *rapid.T) {
	var sending []*retrieval
	for _, r := range m.all {
		if r.granted && len(r.toSend) > 0 && (r.ended.IsZero() || time.Since(r.ended) < testGrace) {
			sending = append(sending, r)
		}
	}
	if len(sending) == 0 {
		return
	}
	r := rapid.SampledFrom(sending).Draw(t, "retrieval")
	i := rapid.IntRange(0, len(r.toSend)-1).Draw(t, "which")
	a := &arrival{scope: r.toSend[i], called: r.lease.AETitle(), calling: "PACS", remote: r.remote}
	r.toSend = slices.Delete(r.toSend, i, i+1)
	switch rapid.IntRange(0, 3).Draw(t, "originator") {
	case 0: // absent
	case 1:
		a.messageID = r.lease.MessageID()
	case 2:
		if other := m.running(); len(other) > 0 {
			a.messageID = rapid.SampledFrom(other).Draw(t, "other").lease.MessageID()
		}
	case 3:
		a.messageID = 60_000
	}
	owner := m.book.begin(a)
	if owner != nil {
		m.book.end(owner)
	}
	switch {
	case owner != nil && owner != r.lease:
		t.Fatalf("an instance of %+v reached %+v", r.lease.scope, owner.scope)
	case r.ended.IsZero() && owner == nil:
		t.Fatalf("an instance of the running %+v was dropped", r.lease.scope)
	case !r.ended.IsZero() && owner != nil:
		t.Fatalf("a late instance was delivered")
	}
}

func (m *model) finish(t *rapid.T) {
	running := m.running()
	if len(running) == 0 {
		return
	}
	r := rapid.SampledFrom(running).Draw(t, "finished")
	if len(r.toSend) == 0 {
		r.lease.Complete()
	}
	r.lease.Release()
	r.ended = time.Now()
	m.settle()
}

func (m *model) leave(t *rapid.T) {
	if len(m.all) == 0 {
		return
	}
	if r := rapid.SampledFrom(m.all).Draw(t, "leaver"); !r.granted && r.err == nil {
		r.lease.cancel(errLeft)
		m.settle()
	}
}

var errLeft = errors.New("the caller has left")

// check verifies what holds at any time.
func (m *model) check(t *rapid.T) {
	ids := map[uint16]bool{}
	for _, r := range m.running() {
		if ids[r.lease.id] {
			t.Fatal("two retrievals have the same message ID")
		}
		ids[r.lease.id] = true
		for _, other := range m.running() {
			if other != r && other.lease.title == r.lease.title && other.lease.confusable(r.lease) {
				t.Fatal("two retrievals that can be confused have the same title")
			}
			if other.lease.title == r.lease.title && other.lease.otherSyntax(r.lease) {
				t.Fatal("two retrievals of one title want different syntaxes of one PACS")
			}
		}
	}
}

// inBubble hides the deadline of the test, which a bubble of synctest does not permit to ask for. rapid then takes a day, of which a
// check uses up minutes: each bubble makes a hundred checks.
type inBubble struct{ *testing.T }

func TestNoInstanceReachesAnotherRetrieval(t *testing.T) {
	for _, titles := range [][]string{{"ONE"}, {"ONE", "TWO", "THREE", "FOUR"}} {
		t.Run(fmt.Sprintf("titles=%d", len(titles)), func(t *testing.T) {
			for range 20 {
				synctest.Test(t, func(t *testing.T) {
					rapid.Check(inBubble{t}, func(t *rapid.T) { retrieveAtRandom(t, titles) })
				})
			}
		})
	}
}

func retrieveAtRandom(t *rapid.T, titles []string) {
	m := &model{book: newBook(testGrace, &messageid.Allocator{}), titles: titles}
	defer m.book.close()
	t.Repeat(map[string]func(*rapid.T){
		"":             m.check,
		"start":        m.start,
		"arrive":       m.arrive,
		"arrive again": m.arrive,
		"and again":    m.arrive,
		"finish":       m.finish,
		"leave":        m.leave,
		"wait": func(t *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(0, 12).Draw(t, "seconds")) * time.Second)
			m.settle()
		},
	})
	m.drain(t)
}

// drain ends everything: each retrieval that still waits gets its turn, and nothing is left.
func (m *model) drain(t *rapid.T) {
	for range len(m.all) + 1 {
		for _, r := range m.running() {
			r.lease.Release()
			r.ended = time.Now()
		}
		time.Sleep(testGrace)
		m.settle()
		if len(m.book.studies) == 0 {
			break
		}
	}
	for _, r := range m.all {
		if !r.granted && r.err == nil {
			t.Fatalf("%+v waits for ever", r.lease.scope)
		}
	}
	b := m.book
	if len(b.waiting)+len(b.running)+len(b.studies) != 0 {
		t.Fatalf("%d waiting, %d titles, %d studies are left", len(b.waiting), len(b.running), len(b.studies))
	}
}
