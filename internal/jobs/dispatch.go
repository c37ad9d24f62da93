package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// dispatch is the message that commits a request: once it is in the stream, the request is carried out, by whichever gateway takes the
// message, and as often as it is delivered.
type dispatch struct {
	Kind   string  `json:"kind"`
	Record *record `json:"record"`
	Run    int     `json:"run"`
}

func (d *dispatch) message() *nats.Msg {
	m := nats.NewMsg(dispatchSubject(d.Record.ID, d.Kind, d.Run))
	m.Data, _ = json.Marshal(d) // never fails
	return m
}

// errLater has a dispatch message delivered again soon.
var errLater = errors.New("not yet")

// dispatcher takes dispatch messages until ctx ends.
func (s *Service) dispatcher(ctx context.Context) {
	const parallel = 4 // so that a large job does not hold up others
	places := make(chan struct{}, parallel)
	var running sync.WaitGroup
	defer running.Wait()
	for ctx.Err() == nil {
		m, err := s.nextDispatch(ctx)
		if err != nil {
			s.options.Log.Debug().Err(err).Msg("no requests from JetStream")
			sleep(ctx, time.Second)
		}
		if m == nil {
			continue
		}
		places <- struct{}{}
		running.Go(func() {
			s.takeDispatch(ctx, m)
			<-places
		})
	}
}

func (s *Service) nextDispatch(ctx context.Context) (jetstream.Msg, error) {
	request, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	c, err := s.store.consumer(request, "dispatch", dispatchPrefix+">")
	if err != nil {
		return nil, err
	}
	batch, err := c.Fetch(1, jetstream.FetchContext(request))
	if err != nil {
		return nil, s.store.lost(err)
	}
	for m := range batch.Messages() {
		return m, nil
	}
	if err := batch.Error(); err != nil && request.Err() == nil {
		return nil, s.store.lost(err)
	}
	return nil, nil
}

func (s *Service) takeDispatch(ctx context.Context, m jetstream.Msg) {
	d := &dispatch{}
	if err := json.Unmarshal(m.Data(), d); err != nil || d.Record == nil || !validID(d.Record.ID) {
		s.options.Log.Error().Msg("a message in the queue of requests cannot be read")
		_ = m.Term()
		return
	}
	stop := s.keep(m)
	err := s.carryOut(ctx, d)
	stop()
	switch {
	case err == nil:
		confirm, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.Timeout)
		defer cancel()
		_ = m.DoubleAck(confirm)
	case errors.Is(err, errLater):
		_ = m.NakWithDelay(time.Second)
	default:
		if ctx.Err() == nil {
			s.options.Log.Warn().Err(err).Str("job", d.Record.ID).Msg("a request could not be carried out; it is delivered again")
		}
		_ = m.NakWithDelay(time.Second)
	}
}

func (s *Service) carryOut(ctx context.Context, d *dispatch) error {
	if err := s.fail("dispatch"); err != nil {
		return err
	}
	if d.Kind == dispatchDelete {
		return s.remove(ctx, d.Record)
	}
	kept, err := s.store.keep(ctx, d.Record)
	if err != nil || kept == nil {
		return err
	}
	v, err := s.views.get(ctx, kept.Caller.owner(), kept.ID)
	if err != nil || v == nil {
		return err
	}
	defer s.views.leave(v)
	if err := v.sync(ctx); err != nil {
		return err
	}
	switch d.Kind {
	case dispatchCancel:
		return s.stopItems(ctx, v, d.Run)
	case dispatchRetry:
		if err := s.mark(ctx, v, kindRetry, d.Run); err != nil {
			return err
		}
	}
	return s.queueItems(ctx, v, d.Run)
}

// mark records an event of the job and waits until the view has it.
func (s *Service) mark(ctx context.Context, v *view, kind string, run int) error {
	if _, _, err := s.store.put(ctx, nats.NewMsg(jobEvent(v.record.ID, kind, run)), true); err != nil {
		return err
	}
	return v.sync(ctx)
}

// queueItems puts every item into the queue that has to be done in the run and was not begun. An item that is queued already stays as it is.
func (s *Service) queueItems(ctx context.Context, v *view, run int) error {
	var open []int
	v.read(func(p *replay) {
		if !p.goesOn(run) {
			return
		}
		for n := range p.items {
			if i := &p.items[n]; i.state == Queued && i.attempts == 0 {
				open = append(open, n)
			}
		}
	})
	q := &queueing{service: s, view: v, run: run, now: s.options.Now(), chunk: -1}
	q.opens = v.record.opensAt(q.now, s.options.Location)
	for part := range slices.Chunk(open, maxTogether) {
		if err := q.publish(ctx, part); err != nil {
			return s.store.lost(err)
		}
		if !v.goesOn(run) {
			break
		}
	}
	// A cancellation may have emptied the queue before the last items were put into it.
	if err := v.sync(ctx); err != nil {
		return err
	}
	if !v.goesOn(run) {
		return s.purgeItems(ctx, v.record, run)
	}
	return nil
}

// queueing puts items of a run into the queue.
type queueing struct {
	service    *Service
	view       *view
	run        int
	now, opens time.Time
	chunk      int // whose items are kept
	first      int
	items      []Item
}

// publish puts some items into the queue and waits until they are stored.
func (q *queueing) publish(ctx context.Context, indexes []int) error {
	messages := make([]*nats.Msg, 0, len(indexes))
	for _, n := range indexes {
		if err := q.service.fail("queue"); err != nil {
			return err
		}
		m, err := q.message(ctx, n)
		if err != nil {
			return err
		}
		messages = append(messages, m)
	}
	return q.service.store.putAll(ctx, messages)
}

// message returns the message of an item: for the queue, or for the time at which it may begin.
func (q *queueing) message(ctx context.Context, n int) (*nats.Msg, error) {
	r := q.view.record
	if c, first := r.chunk(n); c != q.chunk {
		items, err := q.service.store.chunk(ctx, r.ID, c)
		if err != nil {
			return nil, err
		}
		q.chunk, q.first, q.items = c, first, items
	}
	if n-q.first >= len(q.items) {
		return nil, errors.New("a chunk of items is too short")
	}
	w := &work{
		Owner: r.Caller.owner(), PACS: r.PACS, Priority: r.Priority, Job: r.ID, Run: q.run, Index: n, Attempt: 1, Item: q.items[n-q.first],
	}
	if !q.opens.After(q.now) {
		return w.message(w.place().work()), nil
	}
	m := w.message(w.place().at())
	m.Header = scheduleHeader(scheduledFor(q.opens, q.now), w.place().work())
	return m, nil
}

// stopItems makes sure that no item of a cancelled job begins or waits, and gives up those that do not end.
func (s *Service) stopItems(ctx context.Context, v *view, run int) error {
	if err := s.mark(ctx, v, kindCancel, run); err != nil {
		return err
	}
	if err := s.purgeItems(ctx, v.record, run); err != nil {
		return err
	}
	running, current := 0, false
	v.read(func(p *replay) { running, current = p.counts[Running], p.cancelled && p.run == run })
	if !current || running == 0 {
		return nil
	}
	o, err := s.store.open(ctx)
	if err != nil {
		return err
	}
	cancelled, err := o.events.GetLastMsgForSubject(ctx, jobEvent(v.record.ID, kindCancel, run))
	if err != nil {
		return s.store.lost(err)
	}
	if s.options.Now().Sub(cancelled.Time) < s.options.Grace {
		return errLater
	}
	return s.mark(ctx, v, kindClosed, run)
}

// purgeItems removes the items of a run from the queue. A message that is delivered again may be of a run before the current one.
func (s *Service) purgeItems(ctx context.Context, r *record, run int) error {
	return s.purge(ctx, ofRun(atPrefix, r, run), ofRun(workPrefix, r, run))
}

func (s *Service) purge(ctx context.Context, subjects ...string) error {
	o, err := s.store.open(ctx)
	if err != nil {
		return err
	}
	for _, subject := range subjects {
		if err := o.work.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
			return s.store.lost(err)
		}
	}
	return nil
}

// remove forgets a job.
func (s *Service) remove(ctx context.Context, r *record) error {
	o, err := s.store.open(ctx)
	if err != nil {
		return err
	}
	s.views.forget(r.ID)
	// The mark of the deleted key stays, so that a dispatch message that is delivered again does not bring the job back.
	if err := o.jobs.Purge(ctx, r.Caller.owner()+"."+r.ID); err != nil {
		return s.store.lost(err)
	}
	if err := s.purge(ctx, allOf(atPrefix, r), allOf(workPrefix, r)); err != nil {
		return err
	}
	if err := o.events.Purge(ctx, jetstream.WithPurgeSubject(eventPrefix+r.ID+".>")); err != nil {
		return s.store.lost(err)
	}
	return s.store.lost(o.items.Purge(ctx, jetstream.WithPurgeSubject(itemsPrefix+r.ID+".>")))
}

func scheduleHeader(at time.Time, target string) nats.Header {
	h := nats.Header{}
	h.Set("Nats-Schedule", "@at "+at.UTC().Format(time.RFC3339))
	h.Set("Nats-Schedule-Target", target)
	return h
}

// scheduledFor returns the time with which JetStream, which counts in seconds, delivers no earlier than at. It is in the future, so that a
// clock that is behind that of JetStream does not lead to a busy loop.
func scheduledFor(at, now time.Time) time.Time {
	if least := now.Add(time.Second); at.Before(least) {
		at = least
	}
	if whole := at.Truncate(time.Second); whole.Before(at) {
		at = whole.Add(time.Second)
	}
	return at
}

func chunkSubject(job string, n int) string { return itemsPrefix + job + "." + strconv.Itoa(n) }
