package storescp_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/storescp"
)

var rounds = flag.Int("rounds", 25, "rounds of concurrent retrievals through the storage SCP")

const concurrent = 8

// TestConcurrentRetrievalsNeverCross has eight retrievals at once receive from PACS that scramble whatever they can: the order of the
// instances of all retrievals, on which association they come, with whose Move Originator, and before or after the final response. Some
// ask for equal studies, of one PACS or of two, and one leaves early. Every byte of what arrives is compared.
func TestConcurrentRetrievalsNeverCross(t *testing.T) {
	for _, titles := range [][]string{{"GATEWAY"}, {"GATEWAY1", "GATEWAY2", "GATEWAY3", "GATEWAY4"}} {
		t.Run(fmt.Sprintf("titles=%d", len(titles)), func(t *testing.T) {
			s := listen(t, func(o *storescp.Options) {
				o.AETitles, o.MaxAssociations, o.Observer = titles, 200, nil
				o.PACS = crossingPACS
			})
			random := rand.New(rand.NewPCG(1, uint64(len(titles))))
			for number := range *rounds {
				r := &round{t: t, site: s, random: random, number: number, seed: random.Uint64()}
				if r.run(); t.Failed() {
					t.Fatalf("in round %d", number)
				}
			}
		})
	}
}

// round is one round of concurrent retrievals, and the PACS that they retrieve from.
type round struct {
	t      *testing.T
	site   *site
	random *rand.Rand // of the PACS
	seed   uint64
	number int

	mu    sync.Mutex
	moves []*move

	cancel context.CancelFunc
}

// fail ends the round.
func (r *round) fail(format string, args ...any) {
	r.t.Helper()
	r.t.Errorf(format, args...)
	r.cancel()
}

// move is a C-MOVE as the PACS sees it.
type move struct {
	title     string
	from      pool.Peer
	messageID uint16
	images    []image // that are still to be sent
	late      bool    // the caller has left
}

// crossingPACS are the PACS of a round. The first and the last differ by their address only, the second and the third by their name only.
func crossingPACS() []pool.Peer {
	all := []pool.Peer{pacs("a", "PACSA"), pacs("b", "PACSB"), pacs("b2", "PACSB"), pacs("c", "PACSA")}
	if runtime.GOOS != "linux" {
		return all[:3] // elsewhere, 127.0.0.1 is the only loopback address as a rule
	}
	all[3].Host = "127.0.0.2"
	return all
}

func (r *round) run() {
	ctx, cancel := context.WithTimeoutCause(r.t.Context(), 30*time.Second, errors.New("the round takes too long"))
	defer cancel()
	sending, stop := context.WithCancel(ctx)
	r.cancel = cancel
	var senders, callers sync.WaitGroup
	for i := range 3 {
		senders.Go(func() { r.send(sending, rand.New(rand.NewPCG(r.seed, uint64(i)))) })
	}
	for i := range concurrent {
		// Two studies for eight retrievals, so that several ask for the same.
		study := fmt.Sprintf("1.%d.%d", r.number+1, r.random.IntN(2)+1)
		level, from := r.random.IntN(3), crossingPACS()[r.random.IntN(len(crossingPACS()))]
		leaves := i == 0
		if leaves {
			study += ".9" // its title rests for longer than the round
		}
		callers.Go(func() { r.retrieve(ctx, i, from, study, level, leaves) })
	}
	callers.Wait()
	stop()
	senders.Wait()
}

// retrieve takes a lease, has the PACS send, and compares what arrives. Every retrieval has data sets of its own, also for equal UIDs.
func (r *round) retrieve(ctx context.Context, number int, from pool.Peer, study string, level int, leaves bool) {
	got := newReceived()
	e := storescp.Expectation{Peer: from, StudyInstanceUID: study, Receive: got.receive}
	if level > 0 {
		e.SeriesInstanceUID = study + ".1"
	}
	if level > 1 {
		e.SOPInstanceUID = study + ".1.1"
	}
	lease, err := r.site.Lease(ctx, e)
	if err != nil {
		r.fail("no lease: %v", err)
		return
	}
	defer lease.Release()
	var want []image
	for series := range 2 {
		for instance := range 2 {
			i := image{study: study, series: fmt.Sprintf("%s.%d", study, series+1)}
			i.instance = fmt.Sprintf("%s.%d", i.series, instance+1)
			i.comment = fmt.Sprintf("retrieval %d of round %d ", number, r.number) + strings.Repeat("x", 100*(instance+series))
			if (level < 1 || series == 0) && (level < 2 || instance == 0) {
				want = append(want, i)
			}
		}
	}
	m := &move{title: lease.AETitle(), from: from, messageID: lease.MessageID(), images: slices.Clone(want)}
	r.mu.Lock()
	r.moves = append(r.moves, m)
	r.mu.Unlock()
	expected := len(want)
	if leaves {
		expected = min(1, len(want)-1)
	}
	for range expected {
		select {
		case <-got.arrived:
		case <-ctx.Done():
			r.fail("%d of %d instances arrived: %v", got.count(), len(want), context.Cause(ctx))
			return
		}
	}
	if leaves {
		lease.Release()
		r.mu.Lock()
		m.late = true
		r.mu.Unlock()
	} else {
		lease.Complete()
	}
	lease.Release()
	r.compare(got, want, leaves)
}

func (r *round) compare(got *received, want []image, leaves bool) {
	got.mu.Lock()
	defer got.mu.Unlock()
	for i, uid := range got.instances {
		at := slices.IndexFunc(want, func(w image) bool { return w.instance == uid })
		if at < 0 {
			r.fail("instance %s arrived, which was not expected", uid)
			continue
		}
		if !bytes.Equal(got.data[i], want[at].encode()) {
			r.fail("instance %s arrived from another retrieval: %q", uid, got.data[i])
		}
		want = slices.Delete(slices.Clone(want), at, at+1)
	}
	if len(want) > 0 && !leaves {
		r.fail("%d instances have not arrived", len(want))
	}
}

// send is a PACS with one association at a time: it sends what it likes of all open moves to one destination.
func (r *round) send(ctx context.Context, random *rand.Rand) {
	var assoc *dicomnet.Association
	var last *move
	for ctx.Err() == nil {
		m, i := r.next(random)
		if m == nil {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		if assoc != nil && (m.title != last.title || m.from.CalledAETitle != last.from.CalledAETitle || m.from.Host != last.from.Host || random.IntN(4) == 0) {
			_ = assoc.Close()
			assoc = nil
		}
		if assoc == nil {
			var err error
			if assoc, err = r.site.dialFrom(context.WithoutCancel(ctx), m.from.Host, m.from.CalledAETitle, m.title); err != nil {
				r.fail("the PACS cannot open an association: %v", err)
				return
			}
			last = m
		}
		r.mu.Lock()
		late := m.late
		r.mu.Unlock()
		status, err := store(context.WithoutCancel(ctx), assoc, i)
		switch {
		case err != nil:
			r.fail("the PACS cannot send: %v", err)
			return
		case late && status != statusNotAuthorized:
			r.fail("a late instance was answered with %v", status)
		}
	}
	if assoc != nil {
		_ = assoc.Close()
	}
}

// next takes an instance of an open move, with the Move Originator of any.
func (r *round) next(random *rand.Rand) (*move, image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	open := slices.DeleteFunc(slices.Clone(r.moves), func(m *move) bool { return len(m.images) == 0 })
	if len(open) == 0 {
		return nil, image{}
	}
	m := open[random.IntN(len(open))]
	at := random.IntN(len(m.images))
	i := m.images[at]
	m.images = slices.Delete(m.images, at, at+1)
	switch random.IntN(4) {
	case 0: // absent
	case 1:
		i.originator = m.messageID
	case 2:
		i.originator = open[random.IntN(len(open))].messageID
	case 3:
		i.originator = uint16(1<<16 - 1 - random.IntN(1<<15)) // of nobody
	}
	return m, i
}
