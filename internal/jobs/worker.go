package jobs

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"dicom-qr-gateway/internal/pool"
)

// worker takes the items of one PACS from its queues.
type worker struct {
	service   *Service
	name      string // of the PACS
	consumers map[Priority]jetstream.Consumer
	items     sync.WaitGroup
	found     bool               // the last look into the queue found an item
	bell      chan struct{}      // an item was queued
	ringing   *nats.Subscription // nil: not yet
}

// listen has JetStream ring the bell when it queues an item. Without it, items are found by looking.
func (w *worker) listen() {
	c := w.service.options.Broker.Conn()
	if w.ringing != nil || c == nil {
		return
	}
	ringing, err := c.Subscribe(bellPrefix+w.name+".>", func(*nats.Msg) {
		select {
		case w.bell <- struct{}{}:
		default:
		}
	})
	if err == nil {
		w.ringing = ringing
	}
}

// run takes items until ctx ends, and waits for those that run: at most for the drain timeout, then they are stopped.
func (w *worker) run(ctx context.Context) {
	o := &w.service.options
	during, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	defer func() {
		if w.ringing != nil {
			_ = w.ringing.Unsubscribe()
		}
	}()
	places := make(chan struct{}, o.MaxPerPACS)
	for ctx.Err() == nil {
		peer, known := o.PACS.Lookup(w.name)
		if !known {
			break
		}
		w.listen()
		if w.take(ctx, during, peer, places) {
			continue
		}
		idle := time.NewTimer(o.Idle)
		select {
		case <-ctx.Done():
		case <-w.bell:
		case <-idle.C:
		}
		idle.Stop()
	}
	timer := time.AfterFunc(o.DrainTimeout, func() { stop(errDraining) })
	defer timer.Stop()
	w.items.Wait()
}

// take begins the next item once there is room. It returns false if there was none.
func (w *worker) take(ctx, during context.Context, peer pool.Peer, places chan struct{}) bool {
	if !w.found && !w.queued(ctx) {
		return false // room for nothing would be taken from other gateways
	}
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	begun := false
	leave, err := w.service.room(ctx, peer)
	done := func() {
		if leave != nil {
			leave()
		}
		<-places
	}
	defer func() {
		if !begun {
			done()
		}
	}()
	if err != nil {
		return false
	}
	m := w.next(ctx)
	w.found = m != nil
	if m == nil {
		return false
	}
	begun = true
	w.items.Go(func() {
		defer done()
		w.service.handle(during, m, peer)
	})
	return true
}

// next returns the next item by priority; nil if none is queued.
func (w *worker) next(ctx context.Context) jetstream.Msg {
	for _, p := range Priorities() {
		if ctx.Err() != nil {
			return nil
		}
		m, err := w.fetch(ctx, p)
		if err != nil {
			w.consumers = nil
			w.service.options.Log.Debug().Err(err).Str("pacs", w.name).Msg("no items from JetStream")
			return nil
		}
		if m != nil {
			return m
		}
	}
	return nil
}

func (w *worker) fetch(ctx context.Context, p Priority) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, w.service.options.Timeout)
	defer cancel()
	c, err := w.consumer(ctx, p)
	if err != nil {
		return nil, err
	}
	batch, err := c.FetchNoWait(1)
	if err != nil {
		return nil, w.service.store.lost(err)
	}
	for m := range batch.Messages() {
		return m, nil
	}
	return nil, w.service.store.lost(batch.Error())
}

// queued reports whether an item is queued or may be delivered again.
func (w *worker) queued(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, w.service.options.Timeout)
	defer cancel()
	for _, p := range Priorities() {
		c, err := w.consumer(ctx, p)
		var about *jetstream.ConsumerInfo
		if err == nil {
			about, err = c.Info(ctx)
		}
		if err != nil {
			w.consumers = nil
			w.service.options.Log.Debug().Err(w.service.store.lost(err)).Str("pacs", w.name).Msg("no items from JetStream")
			return false
		}
		if about.NumPending > 0 || about.NumAckPending > 0 {
			return true
		}
	}
	return false
}

// consumer returns the consumer of the items with the priority.
func (w *worker) consumer(ctx context.Context, p Priority) (jetstream.Consumer, error) {
	if c := w.consumers[p]; c != nil {
		return c, nil
	}
	c, err := w.service.store.consumer(ctx, workConsumer(w.name, p), workPrefix+w.name+"."+string(p)+".>")
	if err != nil {
		return nil, err
	}
	if w.consumers == nil {
		w.consumers = map[Priority]jetstream.Consumer{}
	}
	w.consumers[p] = c
	return c, nil
}

// room waits for room at the peer.
func (s *Service) room(ctx context.Context, peer pool.Peer) (leave func(), err error) {
	if s.options.Room == nil {
		return nil, ctx.Err()
	}
	return s.options.Room.Room(ctx, peer)
}

// handle does what a message of the queue asks for. It confirms the message when what became of it is recorded; a message that is not
// confirmed is delivered again.
func (s *Service) handle(ctx context.Context, m jetstream.Msg, peer pool.Peer) {
	w, ok := decodeWork(m.Data())
	if !ok {
		s.options.Log.Error().Str("pacs", peer.Name).Msg("a message in the queue of items cannot be read")
		_ = m.Term()
		return
	}
	var sent time.Time
	if about, err := m.Metadata(); err == nil {
		if sent = about.Timestamp; about.NumDelivered > 1 {
			s.options.Watch.Redelivered(peer.Name)
		}
	}
	stop := s.keep(m)
	err := s.do(ctx, w, peer, sent)
	stop()
	switch {
	case err == nil:
		confirm, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.Timeout)
		defer cancel()
		_ = m.DoubleAck(confirm) // else it is delivered again, and found done
	case errors.Is(err, errDraining):
		_ = m.Nak()
	default:
		s.options.Log.Warn().Err(err).Str("job", w.Job).Int("item", w.Index+1).Msg("an item could not be handled; it is delivered again")
		_ = m.NakWithDelay(s.options.AckWait / 2)
	}
}

// keep has JetStream wait for the confirmation of a message until stop is called.
func (s *Service) keep(m jetstream.Msg) (stop func()) {
	ticker := time.NewTicker(s.options.AckWait / 3)
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			select {
			case <-ticker.C:
				_ = m.InProgress()
			case <-done:
				return
			}
		}
	})
	return func() {
		ticker.Stop()
		close(done)
		ended.Wait()
	}
}

// do works on an item that JetStream has put into the queue at the time sent. nil: the message is done with, because what became of it is
// recorded, or because it was out of date.
func (s *Service) do(ctx context.Context, w *work, peer pool.Peer, sent time.Time) error {
	request, cancel := context.WithTimeout(ctx, 2*s.options.Timeout)
	defer cancel()
	v, err := s.views.get(request, w.Owner, w.Job)
	if err != nil || v == nil {
		return err
	}
	defer s.views.leave(v)
	if i, run := v.item(w.Index); run > w.Run || run == w.Run && i.state.Ended() {
		return nil
	}
	now := s.options.Now()
	if sent.After(now) {
		now = sent // the clock is behind that of JetStream, which delivers at the time that was asked for
	}
	if opens := v.record.opensAt(now, s.options.Location); opens.After(now) {
		return s.store.schedule(request, w, opens, false)
	}
	a, err := s.begin(request, v, w, peer)
	if err != nil || a == nil {
		return err
	}
	cancel()
	return s.finish(ctx, a)
}

// begin makes the start of an attempt known. The attempt is nil if the message is out of date: what is in the stream before the start
// decides, and everything that comes after it sees the item as running.
func (s *Service) begin(ctx context.Context, v *view, w *work, peer pool.Peer) (*attempt, error) {
	if err := s.fail("start"); err != nil {
		return nil, err
	}
	m := nats.NewMsg(itemEvent(w.Job, kindStart, w.Run, w.Index))
	m.Header.Set(headerAttempt, strconv.Itoa(w.Attempt))
	sequence, _, err := s.store.put(ctx, m, false)
	if err != nil {
		return nil, err
	}
	if err := v.reach(ctx, sequence); err != nil {
		return nil, err
	}
	i, run := v.item(w.Index)
	switch {
	case run != w.Run || i.state.Ended() || i.waits > w.Attempt:
		return nil, nil
	case i.waits == w.Attempt && i.state == Waiting:
		return nil, s.again(ctx, w, i.until) // the gateway crashed between the event and this
	case i.waits >= w.Attempt:
		return nil, nil
	}
	before, err := s.store.report(ctx, i.report)
	if err != nil {
		return nil, err
	}
	return &attempt{service: s, view: v, work: w, peer: peer, number: w.Attempt, report: before}, nil
}

// again schedules the attempt that follows.
func (s *Service) again(ctx context.Context, w *work, at time.Time) error {
	next := *w
	next.Attempt++
	return s.store.schedule(ctx, &next, at, false)
}

// finish does the attempt and records what follows.
func (s *Service) finish(ctx context.Context, a *attempt) error {
	during, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var watching sync.WaitGroup
	defer watching.Wait()
	watched, end := context.WithCancel(during)
	defer end()
	watching.Go(func() {
		if s.stopped(watched, a.work) {
			stop(errStopped)
		}
	})
	verdict, task := a.run(during)
	end()
	err := s.record(ctx, a, verdict)
	if verdict.state == Queued || err != nil {
		task.End("")
	} else {
		task.End(verdict.state)
	}
	return err
}

// stopped waits until the run of the item is cancelled or over, and returns true then; false if ctx ends before.
func (s *Service) stopped(ctx context.Context, w *work) bool {
	over := func(p *replay) bool { return p.run > w.Run || p.run == w.Run && p.cancelled }
	for ctx.Err() == nil {
		v, err := s.views.get(ctx, w.Owner, w.Job)
		switch {
		case err == nil && v == nil:
			return true
		case err == nil:
			err = v.until(ctx, over)
			s.views.leave(v)
			if err == nil {
				return true
			}
		}
		sleep(ctx, time.Second) // JetStream is gone; what runs goes on
	}
	return false
}

// record makes what follows an attempt known. It goes on until that succeeds, or until the gateway has to end: then the item is delivered
// again.
func (s *Service) record(ctx context.Context, a *attempt, v verdict) error {
	// The end of ctx interrupts an attempt; what became of it must still be recorded.
	patient, cancel := patience(ctx, s.options.Patience)
	defer cancel()
	w := a.work
	if err := s.fail("record"); err != nil {
		return err
	}
	m := &nats.Msg{Header: nats.Header{}, Data: a.report.encode()}
	m.Header.Set(headerAttempt, strconv.Itoa(a.number))
	if a.report.anything() {
		m.Header.Set(headerState, string(Partial)) // that of the item if its job is cancelled before the next attempt
	}
	switch v.state {
	case Queued:
		m.Subject = itemEvent(w.Job, kindBack, w.Run, w.Index)
		if _, _, err := s.store.put(patient, m, false); err != nil {
			return err
		}
		return errDraining
	case Waiting:
		m.Subject = waitEvent(w.Job, w.Run, w.Index, a.number)
		m.Header.Set(headerUntil, strconv.FormatInt(v.until.UnixMilli(), 10))
		if _, err := s.store.insist(patient, m); err != nil {
			return err
		}
		if err := s.fail("schedule"); err != nil {
			return err
		}
		return s.again(patient, w, v.until)
	}
	m.Subject = itemEvent(w.Job, kindDone, w.Run, w.Index)
	m.Header.Set(headerState, string(v.state))
	recorded, err := s.store.insist(patient, m)
	if err != nil {
		return err
	}
	if recorded {
		s.options.Watch.Recorded(&Work{
			JobID: w.Job, Number: w.Index + 1, Run: w.Run, Attempt: a.number, PACS: a.peer, Destination: a.view.record.Destination,
			DryRun: a.view.record.DryRun, Item: w.Item, FiledBy: a.view.record.Caller.principal(),
		}, v.state)
	}
	return s.fail("confirm")
}

// patience returns a context that ends some time after ctx.
func patience(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		sleep(longer, after)
		cancel()
	})
	return longer, func() {
		stop()
		cancel()
	}
}

// fail returns an error if a test has the gateway crash before the step.
func (s *Service) fail(step string) error {
	if s.options.failpoint == nil {
		return nil
	}
	return s.options.failpoint(step)
}
