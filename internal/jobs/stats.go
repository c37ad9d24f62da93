package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Stats returns what was known some seconds ago. It never blocks.
func (s *Service) Stats() Stats {
	known := *s.stats.Load()
	known.Up = s.options.Broker.Err() == nil
	return known
}

// observe keeps Stats up to date until ctx ends.
func (s *Service) observe(ctx context.Context) {
	for ctx.Err() == nil {
		if known, err := s.count(ctx); err == nil {
			s.stats.Store(known)
		}
		sleep(ctx, s.options.Refresh)
	}
}

func (s *Service) count(ctx context.Context) (*Stats, error) {
	known := &Stats{}
	for _, peer := range s.options.PACS.List() {
		for _, p := range Priorities() {
			request, cancel := context.WithTimeout(ctx, s.options.Timeout)
			q, err := s.countQueue(request, peer.Name, p)
			cancel()
			if err != nil {
				return nil, err
			}
			known.Queues = append(known.Queues, q)
		}
	}
	return known, nil
}

func (s *Service) countQueue(ctx context.Context, pacs string, p Priority) (Queue, error) {
	q := Queue{PACS: pacs, Priority: p}
	o, err := s.store.open(ctx)
	if err != nil {
		return q, err
	}
	tail := pacs + "." + string(p) + ".>"
	// Both consumers count for us what their subjects have; nobody takes messages from the second.
	queued, err := s.store.consumer(ctx, workConsumer(pacs, p), workPrefix+tail)
	if err != nil {
		return q, err
	}
	waiting, err := s.store.consumer(ctx, "wait-"+pacs+"-"+string(p), atPrefix+tail)
	if err != nil {
		return q, err
	}
	about := queued.CachedInfo() // made just now
	q.Queued = int(about.NumPending) + about.NumAckPending
	q.Waiting = int(waiting.CachedInfo().NumPending)
	if q.Queued == 0 {
		return q, nil
	}
	oldest, err := o.work.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(workPrefix+tail))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return q, nil
	}
	if err != nil {
		return q, s.store.lost(err)
	}
	q.Oldest = max(s.options.Now().Sub(oldest.Time), time.Millisecond)
	return q, nil
}

// workConsumer returns the name of the consumer of a queue.
func workConsumer(pacs string, p Priority) string { return "work-" + pacs + "-" + string(p) }
