package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// view follows the events of one job.
type view struct {
	store  *store
	record *record
	cancel context.CancelFunc

	uses int       // of those who have got the view and not left it; guarded by views.mu
	used time.Time // when it was last left; guarded by views.mu

	mu      sync.Mutex
	replay  *replay
	changed chan struct{} // closed when replay changes
	broken  error         // why it follows no more
}

// follow reads events until ctx ends.
func (v *view) follow(ctx context.Context) {
	err := v.store.follow(ctx, v.record.ID, 1, true, func(e *event, _ []byte) bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.replay.apply(e)
		v.signal()
		return true
	})
	if err == nil {
		err = context.Canceled
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.broken = err
	v.signal()
}

// signal wakes those who wait. It is called with the lock.
func (v *view) signal() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// reach waits until all events up to the sequence were applied.
func (v *view) reach(ctx context.Context, sequence uint64) error {
	return v.until(ctx, func(p *replay) bool { return p.sequence >= sequence })
}

// until waits for a state.
func (v *view) until(ctx context.Context, wanted func(*replay) bool) error {
	for {
		v.mu.Lock()
		done, broken, changed := wanted(v.replay), v.broken, v.changed
		v.mu.Unlock()
		if done {
			return nil
		}
		if broken != nil {
			return broken
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// sync waits until all events were applied that are in the stream now.
func (v *view) sync(ctx context.Context) error {
	last, err := v.store.last(ctx, v.record.ID)
	if err != nil {
		return err
	}
	return v.reach(ctx, last)
}

// read calls f with the state.
func (v *view) read(f func(*replay)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(v.replay)
}

// goesOn reports whether the run is the current one, and was not cancelled.
func (v *view) goesOn(run int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.replay.goesOn(run)
}

// item returns the state of one item, and the current run.
func (v *view) item(index int) (i item, run int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if index >= len(v.replay.items) {
		return item{state: Cancelled}, v.replay.run
	}
	return v.replay.items[index], v.replay.run
}

// last returns the sequence of the last event of a job; zero if it has none.
func (s *store) last(ctx context.Context, id string) (uint64, error) {
	o, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	m, err := o.events.GetLastMsgForSubject(ctx, eventPrefix+id+".>")
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, s.lost(err)
	}
	return m.Sequence, nil
}

// follow calls each for the events of a job from a sequence, those to come included, until it returns false or ctx ends.
func (s *store) follow(ctx context.Context, id string, from uint64, headersOnly bool, each func(e *event, data []byte) bool) error {
	o, err := s.open(ctx)
	if err != nil {
		return err
	}
	consumer, err := o.events.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{eventPrefix + id + ".>"}, HeadersOnly: headersOnly, InactiveThreshold: time.Minute,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
	})
	if err != nil {
		return s.lost(err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(500))
	if err != nil {
		return s.lost(err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return s.lost(err)
		}
		about, err := m.Metadata()
		if err != nil {
			return err
		}
		e, ok := parseEvent(m.Subject(), m.Headers())
		e.sequence, e.at = about.Sequence.Stream, about.Timestamp
		if !ok {
			e.kind = ""
		}
		if !each(&e, m.Data()) {
			return nil
		}
	}
}

// views are the views of the jobs that are asked for or worked on.
type views struct {
	store *store
	limit int           // of views that nobody uses
	idle  time.Duration // after which a view that nobody uses ends

	mu   sync.Mutex
	all  map[string]*view // by identifier
	done sync.WaitGroup
	shut bool
}

// get returns the view of a job; nil if there is no such job. The caller must leave it.
func (s *views) get(ctx context.Context, owner, id string) (*view, error) {
	s.mu.Lock()
	v := s.all[id]
	if v != nil && v.usable() && v.record.Caller.owner() == owner {
		v.uses++
		s.mu.Unlock()
		return v, nil
	}
	s.mu.Unlock()
	r, err := s.store.record(ctx, owner, id)
	if err != nil || r == nil {
		return nil, err
	}
	return s.start(r)
}

var errShut = errors.New("shut down")

// start returns the view of the record.
func (s *views) start(r *record) (*view, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return nil, errShut
	}
	if v := s.all[r.ID]; v != nil && v.usable() {
		v.uses++
		return v, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	v := &view{store: s.store, record: r, cancel: cancel, uses: 1, replay: newReplay(r), changed: make(chan struct{})}
	if old := s.all[r.ID]; old != nil {
		old.cancel()
	}
	s.all[r.ID] = v
	s.done.Go(func() { v.follow(ctx) })
	s.evict(time.Now())
	return v, nil
}

func (v *view) usable() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.broken == nil
}

func (s *views) leave(v *view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.uses--
	v.used = time.Now()
	s.evict(v.used)
}

// evict ends views that nobody uses: those that are idle for long, and the oldest of too many. It is called with the lock.
func (s *views) evict(now time.Time) {
	for {
		unused, oldest := 0, (*view)(nil)
		for id, v := range s.all {
			switch {
			case v.uses > 0:
			case now.Sub(v.used) > s.idle || !v.usable():
				v.cancel()
				delete(s.all, id)
			default:
				if unused++; oldest == nil || v.used.Before(oldest.used) {
					oldest = v
				}
			}
		}
		if unused <= s.limit {
			return
		}
		oldest.cancel()
		delete(s.all, oldest.record.ID)
	}
}

// forget ends the view of a job that was deleted.
func (s *views) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.all[id]; v != nil {
		v.cancel()
		delete(s.all, id)
	}
}

// end ends all views.
func (s *views) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, v := range s.all {
		v.cancel()
		delete(s.all, id)
	}
}

// close ends all views for good.
func (s *views) close() {
	s.mu.Lock()
	s.shut = true
	s.mu.Unlock()
	s.end()
	s.done.Wait()
}
