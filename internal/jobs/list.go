package jobs

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"dicom-qr-gateway/internal/principal"
)

// MaxPage is the greatest Limit of a Page or Selection. A greater one, and zero, mean MaxPage.
const MaxPage = 1000

// Jobs returns a page of the jobs of the caller, the newest first; all jobs for an administrator. more reports whether others follow.
func (s *Service) Jobs(ctx context.Context, p principal.Principal, page Page) (list []Job, more bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	filter := callerOf(p).owner() + ".*"
	if p.Admin() {
		filter = "*.*"
	}
	o, err := s.store.open(ctx)
	if err != nil {
		return nil, false, unavailable(ctx, err)
	}
	keys, err := s.store.keys(ctx, o.jobs, filter)
	if err != nil {
		return nil, false, unavailable(ctx, err)
	}
	keys = keys[min(max(page.Offset, 0), len(keys)):]
	list = []Job{}
	for i, key := range keys {
		if i >= limitOf(page.Limit) {
			return list, true, nil
		}
		j, err := s.summary(ctx, key)
		if err != nil {
			return nil, false, unavailable(ctx, err)
		}
		if j != nil { // else it was deleted meanwhile
			list = append(list, *j)
		}
	}
	return list, false, nil
}

func limitOf(limit int) int {
	if limit <= 0 || limit > MaxPage {
		return MaxPage
	}
	return limit
}

// summary returns the job with the key; nil if there is none.
func (s *Service) summary(ctx context.Context, key string) (*Job, error) {
	owner, id, _ := strings.Cut(key, ".")
	v, err := s.views.get(ctx, owner, id)
	if err != nil || v == nil {
		return nil, err
	}
	defer s.views.leave(v)
	if err := v.sync(ctx); err != nil {
		return nil, err
	}
	return s.job(v), nil
}

// keys returns the keys of jobs in a bucket that match, the newest first.
func (s *store) keys(ctx context.Context, bucket jetstream.KeyValue, filter string) ([]string, error) {
	lister, err := bucket.ListKeysFiltered(ctx, filter)
	if err != nil {
		return nil, s.lost(err)
	}
	defer func() { _ = lister.Stop() }()
	var keys []string
	for key := range lister.Keys() {
		keys = append(keys, key)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	slices.SortFunc(keys, func(a, b string) int { return strings.Compare(identifier(b), identifier(a)) })
	return keys, nil
}

// identifier returns the identifier in the key of a job.
func identifier(key string) string {
	_, id, _ := strings.Cut(key, ".")
	return id
}

// ownerOf returns the owner of a job; "" if there is no such job.
func (s *store) ownerOf(ctx context.Context, id string) (string, error) {
	o, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	keys, err := s.keys(ctx, o.jobs, "*."+id)
	if err != nil || len(keys) == 0 {
		return "", err
	}
	owner, _, _ := strings.Cut(keys[0], ".")
	return owner, nil
}

// wasDeleted reports whether there was a job that a caller has deleted.
func (s *store) wasDeleted(ctx context.Context, owner, id string) (bool, error) {
	o, err := s.open(ctx)
	if err != nil {
		return false, err
	}
	history, err := o.jobs.History(ctx, owner+"."+id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return false, nil
	}
	return len(history) > 0 && history[len(history)-1].Operation() != jetstream.KeyValuePut, s.lost(err)
}

// Items returns a page of the items of a job, in the order of filing, and how many the selection has in all. The error is a *NotFoundError
// or an *UnavailableError.
func (s *Service) Items(ctx context.Context, p principal.Principal, id string, sel Selection) (page []ItemReport, total int, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	v, err := s.authorized(ctx, p, id)
	if err != nil {
		return nil, 0, err
	}
	defer s.views.leave(v)
	page, sequences, total := s.selected(v, sel)
	if err := s.fill(ctx, v.record, page, sequences); err != nil {
		return nil, 0, unavailable(ctx, err)
	}
	return page, total, nil
}

// selected returns the states of the selected items, and the sequence of the report of each.
func (s *Service) selected(v *view, sel Selection) (page []ItemReport, sequences []uint64, total int) {
	now := s.options.Now()
	opens := v.record.opensAt(now, s.options.Location)
	limit := limitOf(sel.Limit)
	page = []ItemReport{}
	v.read(func(p *replay) {
		for n := range p.items {
			i := &p.items[n]
			state, next := p.now(i, now, opens)
			if sel.State != "" && sel.State != state {
				continue
			}
			if total++; total > sel.Offset && len(page) < limit {
				page = append(page, ItemReport{Number: n + 1, State: state, Attempts: i.attempts, NextAttemptAt: next, EndedAt: i.ended})
				sequences = append(sequences, i.report)
			}
		}
	})
	return page, sequences, total
}

// fill adds the items as filed and their reports.
func (s *Service) fill(ctx context.Context, r *record, page []ItemReport, sequences []uint64) error {
	var items []Item
	chunk, first := -1, 0
	for n := range page {
		i := &page[n]
		if c, f := r.chunk(i.Number - 1); c != chunk {
			var err error
			if items, err = s.store.chunk(ctx, r.ID, c); err != nil {
				return err
			}
			chunk, first = c, f
		}
		if at := i.Number - 1 - first; at < len(items) {
			i.Item = items[at]
		}
		report, err := s.store.report(ctx, sequences[n])
		if err != nil {
			return err
		}
		report.fill(i)
	}
	return nil
}
