package receive_test

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
	"dicom-qr-gateway/qr/receive"
)

// site is a PACS with one series, and a Receiver.
type site struct {
	*receive.Receiver
	pacs  *dicomtest.PACS
	peer  qr.Peer
	study receive.Target
	spool *spool.Spool
	has   dicomtest.Study
}

// newSite returns a PACS with a series of instances with the bytes of pixels each. Its C-GETs wait for gate at each instance, if it is set.
func newSite(t *testing.T, instances int, bytesEach int64, gate func(ctx context.Context), o receive.Options) *site {
	t.Helper()
	study := dicomtest.GeneratedStudy("P1", instances, bytesEach)
	pacs, peer := qrtest.Archive(t, dicomtest.PACSConfig{AETitle: "PACS", Before: func(ctx context.Context, op dicomnet.Step) {
		if gate != nil && op == dicomnet.StepGet {
			gate(ctx)
		}
	}}, study)
	const timeout = 5 * time.Second
	g := qrtest.New(qrtest.Options{
		Timeouts:   dicomnet.Timeouts{Connection: timeout, ACSE: timeout, DIMSE: timeout, Move: timeout, Network: timeout},
		Background: context.Background(), MaxAssociationsPerPeer: 20, MaxOperations: 100, QueueTimeout: timeout, OperationTimeout: time.Minute,
	})
	s, err := spool.New(spool.Settings{})
	require.NoError(t, err)
	o.Gateway, o.Pool, o.Spool = g.Gateway, g.Pool, s
	r := receive.New(o)
	t.Cleanup(func() {
		r.Wait()
		assert.Zero(t, s.Stats().Memory, "everything is freed")
		require.NoError(t, s.Close())
	})
	return &site{Receiver: r, pacs: pacs, peer: peer, study: receive.Target{StudyInstanceUID: study.UID()}, spool: s, has: study}
}

func (s *site) request(target receive.Target) receive.Request {
	return receive.Request{Target: target, Peer: s.peer}
}

func (s *site) retrieve(t *testing.T, ctx context.Context, target receive.Target) *receive.Retrieval { //nolint:revive // t comes first
	t.Helper()
	x, err := s.Retrieve(ctx, s.request(target))
	require.NoError(t, err)
	t.Cleanup(x.Close)
	return x
}

// take reads everything, compares it with what the PACS has, and returns the number of instances.
func (s *site) take(t *testing.T, x *receive.Retrieval) (instances int) {
	t.Helper()
	for in, err := range x.All() {
		if !assert.NoError(t, err) {
			break
		}
		got, want := crc32.NewIEEE(), crc32.NewIEEE()
		_, err = in.WriteTo(got)
		assert.NoError(t, err)
		sent, err := s.pacs.Instance(in.SOPInstanceUID).Open(in.TransferSyntax)
		assert.NoError(t, err)
		_, err = io.Copy(want, sent)
		assert.NoError(t, err)
		assert.Equal(t, want.Sum32(), got.Sum32())
		instances++
	}
	return instances
}

func TestCallersOfTheSameTargetShareOneRetrieval(t *testing.T) {
	open := make(chan struct{})
	s := newSite(t, 5, 100_000, func(ctx context.Context) {
		select {
		case <-open:
		case <-ctx.Done():
		}
	}, receive.Options{})
	const callers = 8
	var all sync.WaitGroup
	shared := make(chan receive.Way, callers)
	for range callers {
		all.Go(func() {
			x, err := s.Retrieve(t.Context(), s.request(s.study))
			if !assert.NoError(t, err) {
				return
			}
			defer x.Close()
			assert.Equal(t, 5, s.take(t, x))
			o := x.Outcome()
			assert.True(t, o.Complete)
			assert.Equal(t, 5, o.Received)
			shared <- o.Way
		})
	}
	time.AfterFunc(200*time.Millisecond, func() { close(open) })
	all.Wait()
	close(shared)
	ways := map[receive.Way]int{}
	for way := range shared {
		ways[way]++
	}
	assert.Equal(t, map[receive.Way]int{receive.WayGet: 1, receive.WayShared: callers - 1}, ways)
	assert.Equal(t, 1, s.pacs.Operations(dicomnet.StepGet))
}

// stepwise lets a PACS send one instance at a time.
func stepwise() (gate func(context.Context), next chan struct{}) {
	next = make(chan struct{}, 100)
	return func(ctx context.Context) {
		select {
		case <-next:
		case <-ctx.Done():
		}
	}, next
}

func TestACallerThatLeavesDoesNotEndTheRetrievalOfAnother(t *testing.T) {
	for name, leaver := range map[string]int{"the first": 0, "the one who joined": 1} {
		t.Run(name, func(t *testing.T) {
			gate, next := stepwise()
			s := newSite(t, 6, 10_000, gate, receive.Options{})
			next <- struct{}{}
			next <- struct{}{}
			callers := []*receive.Retrieval{s.retrieve(t, t.Context(), s.study)}
			callers = append(callers, s.retrieve(t, t.Context(), s.study))
			callers[leaver].Close()
			o := callers[leaver].Outcome()
			assert.Equal(t, qr.RetrievalCancelled, o.Status)
			assert.False(t, o.Complete)
			assert.Equal(t, 6, o.MissingCount)
			close(next)
			assert.Equal(t, 6, s.take(t, callers[1-leaver]))
			assert.True(t, callers[1-leaver].Outcome().Complete)
			assert.Equal(t, 1, s.pacs.Operations(dicomnet.StepGet))
		})
	}
}

func TestTheLastCallerThatLeavesCancelsTheRetrieval(t *testing.T) {
	gate, next := stepwise()
	s := newSite(t, 50, 10_000, gate, receive.Options{})
	next <- struct{}{}
	next <- struct{}{}
	first, second := s.retrieve(t, t.Context(), s.study), s.retrieve(t, t.Context(), s.study)
	first.Close()
	second.Close()
	close(next)
	o := second.Outcome()
	assert.Equal(t, qr.RetrievalCancelled, o.Status)
	assert.Less(t, o.Received, 50)
	third := s.retrieve(t, t.Context(), s.study)
	assert.Equal(t, 50, s.take(t, third), "a later caller has a retrieval of its own")
	assert.Equal(t, 2, s.pacs.Operations(dicomnet.StepGet))
}

func TestACallerThatIsTooLateToJoinRetrievesAlone(t *testing.T) {
	gate, next := stepwise()
	s := newSite(t, 4, 3<<20, gate, receive.Options{})
	for range 4 {
		next <- struct{}{}
	}
	first := s.retrieve(t, t.Context(), s.study)
	taken := 0
	for in, err := range first.All() {
		require.NoError(t, err)
		_, err = in.WriteTo(io.Discard)
		require.NoError(t, err)
		if taken++; taken == 3 { // more than is kept for later callers
			close(next)
			second := s.retrieve(t, t.Context(), s.study)
			assert.Equal(t, 4, s.take(t, second))
			second.Close()
		}
	}
	assert.True(t, first.Outcome().Complete)
	assert.Equal(t, 2, s.pacs.Operations(dicomnet.StepGet))
}

func TestOtherTargetsAndSyntaxesAreNotShared(t *testing.T) {
	gate, next := stepwise()
	s := newSite(t, 2, 10_000, gate, receive.Options{})
	close(next)
	whole := s.retrieve(t, t.Context(), s.study)
	uncompressed, err := s.Retrieve(t.Context(), receive.Request{Target: s.study, Peer: s.peer, Uncompressed: true})
	require.NoError(t, err)
	defer uncompressed.Close()
	series := s.study
	series.SeriesInstanceUID = whole.Inventory().Series[0].SeriesInstanceUID
	part := s.retrieve(t, t.Context(), series)
	for _, x := range []*receive.Retrieval{whole, uncompressed, part} {
		assert.Equal(t, 2, s.take(t, x))
	}
	assert.Equal(t, 3, s.pacs.Operations(dicomnet.StepGet))
}

func TestAllCallersGetTheErrorOfTheRetrievalThatTheyShare(t *testing.T) {
	s := newSite(t, 1, 10_000, nil, receive.Options{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			_, err := s.Retrieve(t.Context(), s.request(receive.Target{StudyInstanceUID: "1.2.3"}))
			_, ok := errors.AsType[*receive.NotFoundError](err)
			assert.True(t, ok, err)
		})
	}
	all.Wait()
}

func TestACallerThatLeavesWhileItWaitsIsCounted(t *testing.T) {
	gate, next := stepwise()
	s := newSite(t, 3, 10_000, gate, receive.Options{})
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := s.Retrieve(ctx, s.request(s.study))
		left <- err
	}()
	joined := make(chan *receive.Retrieval, 1)
	go func() {
		x, err := s.Retrieve(t.Context(), s.request(s.study))
		assert.NoError(t, err)
		joined <- x
	}()
	time.AfterFunc(100*time.Millisecond, leave)
	require.ErrorIs(t, <-left, context.Canceled)
	close(next)
	x := <-joined
	assert.Equal(t, 3, s.take(t, x))
	x.Close()
}

// watcher notes what is observed, without a lock, so that a call after the caller has left is a data race.
type watcher struct {
	qr.Unobserved
	steps []dicomnet.Step
	ended int
}

func (w *watcher) Step(ctx context.Context, s pool.PeerStep) (during context.Context, end func(err error)) {
	w.steps = append(w.steps, s.Name)
	return ctx, func(error) { w.ended++ }
}

func (w *watcher) Sent(qr.Identifier) { w.steps = append(w.steps, "sent") }

func TestTheObserverOfACallerIsNotCalledAfterItHasLeft(t *testing.T) {
	gate, next := stepwise()
	s := newSite(t, 3, 10_000, gate, receive.Options{})
	w := &watcher{}
	request := s.request(s.study)
	request.Call.Observer = w
	next <- struct{}{}
	next <- struct{}{}
	first, err := s.Retrieve(t.Context(), request)
	require.NoError(t, err)
	second := s.retrieve(t, t.Context(), s.study)
	first.Close()
	assert.Contains(t, w.steps, dicomnet.StepGet)
	assert.Contains(t, w.steps, dicomnet.Step("sent"))
	w.steps, w.ended = nil, 0
	close(next)
	assert.Equal(t, 3, s.take(t, second))
	second.Close()
	s.Wait()
	assert.Empty(t, w.steps)
	assert.Zero(t, w.ended)
}

// faulty panics when it observes a step.
type faulty struct {
	qr.Unobserved
	at    dicomnet.Step
	value any
}

func (f *faulty) Step(ctx context.Context, s pool.PeerStep) (during context.Context, end func(err error)) {
	if s.Name == f.at {
		panic(f.value)
	}
	return ctx, func(error) {}
}

// fault returns a panic of the runtime.
func fault() (value any) {
	defer func() { value = recover() }()
	value = ""
	return []int{}[len(value.(string))]
}

func TestAPanicEndsTheRetrievalAndNotTheProcess(t *testing.T) {
	s := newSite(t, 1, 10_000, nil, receive.Options{})
	for at, value := range map[dicomnet.Step]any{dicomnet.StepFind: "Patient^Name", dicomnet.StepGet: fault()} {
		request := s.request(s.study)
		request.Call.Observer = &faulty{at: at, value: value}
		_, err := s.Retrieve(t.Context(), request)
		panicked, ok := errors.AsType[*receive.PanicError](err)
		require.True(t, ok, err)
		assert.NotContains(t, err.Error(), "Patient")
		assert.Contains(t, string(panicked.Stack), "faulty")
		assert.Equal(t, at == dicomnet.StepGet, panicked.Reason != "")
	}
	x := s.retrieve(t, t.Context(), s.study)
	assert.Equal(t, 1, s.take(t, x))
}
