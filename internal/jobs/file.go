package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"dicom-qr-gateway/internal/principal"
)

// File files a job: whole or not at all. replayed reports that it was filed before with the same idempotency key. The error is an
// *InvalidError, a *LimitError, a *ConflictError or an *UnavailableError.
func (s *Service) File(ctx context.Context, p principal.Principal, o Order) (job *Job, replayed bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if o.Priority == "" {
		o.Priority = Normal
	}
	o.Items = slices.Clone(o.Items) // their padding is trimmed
	now := s.options.Now()
	if err := s.check(&o, now); err != nil {
		return nil, false, err
	}
	r := &record{
		ID: newID(now), Caller: callerOf(p), PACS: o.PACS, Destination: o.Destination, DryRun: o.DryRun, NotBefore: o.NotBefore,
		Window: o.Window, Priority: o.Priority, FiledAt: now.UTC(),
	}
	chunks := r.cut(o.Items)
	known := false
	if o.IdempotencyKey != "" {
		if known, err = s.reserve(ctx, r, &o); err != nil {
			return nil, false, unavailable(ctx, err)
		}
	}
	if !known {
		if err := s.limit(ctx, p); err != nil {
			return nil, false, unavailable(ctx, err)
		}
		if err := s.commit(ctx, r, chunks); err != nil {
			return nil, false, unavailable(ctx, err)
		}
	}
	// The job is carried out from now on, even if its caller leaves.
	committed, end := s.bounded(context.WithoutCancel(ctx))
	defer end()
	j, err := s.filed(committed, r)
	if !known {
		filed := j
		if err != nil {
			filed = newReplay(r).job(now, s.options.Location, s.options.Retention)
		}
		s.options.Watch.Requested(RequestFile, filed, p)
	}
	if err != nil {
		return nil, false, unavailable(committed, err)
	}
	return j, known, nil
}

// cut divides the items into chunks that fit into messages.
func (r *record) cut(items []Item) [][]byte {
	const most, size = 500, 128 << 10
	var chunks [][]byte
	for first := 0; first < len(items); {
		chunk, last := []byte{'['}, first
		for last < len(items) && last-first < most {
			encoded, _ := json.Marshal(&items[last]) // never fails
			if last > first {
				if len(chunk)+len(encoded) > size {
					break
				}
				chunk = append(chunk, ',')
			}
			chunk = append(chunk, encoded...)
			last++
		}
		chunks, r.Ends = append(chunks, append(chunk, ']')), append(r.Ends, last)
		first = last
	}
	return chunks
}

// commit publishes the items, and then the message that files the job.
func (s *Service) commit(ctx context.Context, r *record, chunks [][]byte) error {
	for n, chunk := range chunks {
		if err := s.fail("chunk"); err != nil {
			return err
		}
		m := nats.NewMsg(chunkSubject(r.ID, n))
		m.Data = chunk
		if _, _, err := s.store.put(ctx, m, false); err != nil {
			return err
		}
	}
	if err := s.fail("commit"); err != nil {
		return err
	}
	_, _, err := s.store.put(ctx, (&dispatch{Kind: dispatchFile, Record: r, Run: 1}).message(), true)
	return err
}

// filed returns a job that was committed. It does the first steps of its dispatch, so that the job is there when the caller asks for it.
func (s *Service) filed(ctx context.Context, r *record) (*Job, error) {
	if err := s.fail("filed"); err != nil {
		return nil, err
	}
	kept, err := s.store.keep(ctx, r)
	if err != nil {
		return nil, err
	}
	if kept == nil {
		return nil, errors.New("the job was deleted meanwhile")
	}
	v, err := s.views.start(kept)
	if err != nil {
		return nil, err
	}
	defer s.views.leave(v)
	if err := v.sync(ctx); err != nil {
		return nil, err
	}
	return s.job(v), nil
}

// reservation is what an idempotency key stands for.
type reservation struct {
	Job   string `json:"job"`
	Order string `json:"order"` // digest
}

// reserve looks up the idempotency key. If it is new, it stands for the record from now on. If the same order was filed with it, or its
// filing began, the record gets the identifier of that; known reports that it was committed.
func (s *Service) reserve(ctx context.Context, r *record, o *Order) (known bool, err error) {
	opened, err := s.store.open(ctx)
	if err != nil {
		return false, err
	}
	owner := r.Caller.owner()
	key := owner + "." + digest(o.IdempotencyKey)
	order := *o
	order.IdempotencyKey = ""
	encoded, _ := json.Marshal(&order) // never fails
	mine := reservation{Job: r.ID, Order: digest(string(encoded))}
	encoded, _ = json.Marshal(&mine) // never fails
	_, err = opened.keys.Create(ctx, key, encoded)
	if err == nil {
		return false, nil
	}
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return false, s.store.lost(err)
	}
	entry, err := opened.keys.Get(ctx, key)
	if err != nil {
		return false, s.store.lost(err)
	}
	var theirs reservation
	if err := json.Unmarshal(entry.Value(), &theirs); err != nil {
		return false, err
	}
	if theirs.Order != mine.Order {
		return false, &ConflictError{Kind: KeyReused}
	}
	r.ID = theirs.Job
	kept, err := s.store.record(ctx, owner, r.ID)
	if err != nil || kept != nil {
		return kept != nil, err
	}
	deleted, err := s.store.wasDeleted(ctx, owner, r.ID)
	if err != nil || !deleted {
		return false, err // its filing began, and may have been committed: filing it again changes nothing then
	}
	r.ID = mine.Job
	_, err = opened.keys.Update(ctx, key, encoded, entry.Revision())
	return false, s.store.lost(err)
}

// limit returns a *LimitError if the caller has as many unfinished jobs as it may. Which jobs may be unfinished is noted, so that those that
// have finished are looked at once.
func (s *Service) limit(ctx context.Context, p principal.Principal) error {
	o, err := s.store.open(ctx)
	if err != nil {
		return err
	}
	keys, err := s.store.keys(ctx, o.unfinished, callerOf(p).owner()+".*")
	if err != nil || len(keys) < s.options.MaxJobs {
		return err
	}
	unfinished := 0
	for _, key := range keys {
		j, err := s.summary(ctx, key)
		if err != nil {
			return err
		}
		if j != nil && j.FinishedAt.IsZero() {
			if unfinished++; unfinished >= s.options.MaxJobs {
				return &LimitError{Max: s.options.MaxJobs}
			}
			continue
		}
		if err := o.unfinished.Purge(ctx, key); err != nil {
			return s.store.lost(err)
		}
	}
	return nil
}
