package qr

import (
	"context"
	"errors"
	"slices"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/qr/window"
)

// newest returns the newest studies of a search with a limit, up to the end of the page and one more, in order. It asks for one
// window of Study Date after the other. A PACS that does not apply the dates is asked without them.
func (s *searcher) newest(ctx context.Context) ([]*Match, error) {
	p := s.plan
	w := &windows{
		searcher: s, kept: newFound(), most: p.offset + p.limit + 1, seen: map[string]struct{}{}, timeless: map[string]struct{}{},
		planner: window.New(p.earliest, p.latest, s.gateway.options.Now(), s.gateway.options.MaxMatches),
	}
	if w.most < 0 || w.most > maxSeen {
		w.most = maxSeen + 1 // a larger limit is met if there are no more studies
	}
	if err := w.dated(ctx); err != nil {
		return nil, err
	}
	if len(w.kept.list) < w.most && !w.complete && (!p.dated() || len(w.seen) == 0) {
		if err := w.undated(ctx); err != nil {
			return nil, err
		}
	}
	if len(w.kept.list) > maxSeen {
		return nil, &SearchTooBroadError{Max: maxSeen}
	}
	if !w.complete {
		s.counts[timelessUnread] += len(w.timeless)
	}
	return w.kept.list, nil
}

// windows is a search that is divided into windows.
type windows struct {
	*searcher
	planner  *window.Planner
	kept     *found              // in order
	most     int                 // studies that are needed
	seen     map[string]struct{} // Study Instance UIDs of all windows, up to maxSeen
	timeless map[string]struct{} // Study Instance UIDs without a time that no part of a day has, up to maxSeen
	complete bool                // every match was read, undated ones included
	tried    bool                // a query without a window
}

// maxSeen is the largest number of studies that one search can go through.
const maxSeen = 100_000

// dated asks for the studies of one window after the other.
func (w *windows) dated(ctx context.Context) error {
	for dates, ok := w.planner.Next(); ok && len(w.kept.list) < w.most; dates, ok = w.planner.Next() {
		before := w.remember()
		batch, err := w.entities(ctx, request{levelPlan: w.plan.levels[LevelStudy], window: &dates})
		if err == nil && batch.outside > 0 || refused(err) {
			// The PACS does not apply the dates as it should.
			if without := w.withoutWindows(ctx); without == nil || !isTooBroad(without) {
				return without
			}
		}
		switch {
		case ctx.Err() != nil:
			return err
		case isTooBroad(err) && batch.outside > 0:
			return err // it would return as many for a smaller window
		case isTooBroad(err), outOfResources(err) && dates.From != dates.To:
			if !w.planner.Split() {
				return err
			}
			w.forget(before)
			continue
		case err != nil:
			return err
		}
		if err := w.keepBatch(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// keepBatch keeps the studies of one window, but nothing else than the order of those before the page.
func (w *windows) keepBatch(ctx context.Context, batch *found) error {
	for _, uid := range batch.timeless {
		if len(w.timeless) < maxSeen {
			w.timeless[uid] = struct{}{}
		}
	}
	for _, m := range batch.list {
		if len(w.seen) < maxSeen {
			w.seen[m.StudyInstanceUID] = struct{}{}
		}
	}
	before, n := len(w.kept.list), len(batch.list)
	if err := w.keepStudies(ctx, batch.list, w.kept, w.most); err != nil {
		return err
	}
	now := len(w.kept.list)
	for _, m := range w.kept.list[before:max(before, min(now, w.plan.offset))] {
		m.set, m.more = nil, nil
	}
	if now <= w.plan.offset {
		w.give(batch.size)
	}
	w.planner.Found(n, now-before, w.most-now)
	return nil
}

// withoutWindows asks for all studies at once. It does so only once.
func (w *windows) withoutWindows(ctx context.Context) error {
	if w.tried {
		return &SearchTooBroadError{Max: w.gateway.options.MaxMatches}
	}
	w.tried = true
	before := w.remember()
	f, err := w.entities(ctx, request{levelPlan: w.plan.levels[LevelStudy]})
	if err != nil {
		w.forget(before)
		return err
	}
	w.kept, w.complete = newFound(), true
	return w.keepStudies(ctx, f.list, w.kept, w.most)
}

// undated asks for studies without a date, which no window has: for all studies, since a key without a value matches everything.
// If the PACS has too many of them, the answer has those that came first.
func (w *windows) undated(ctx context.Context) error {
	f, err := w.entities(ctx, request{levelPlan: w.plan.levels[LevelStudy], seen: w.seen})
	switch {
	case ctx.Err() != nil:
		return err
	case isTooBroad(err) && len(w.seen) == 0 && slices.ContainsFunc(f.list, func(m *Match) bool { return m.date != 0 }):
		return err // the archive has dates but finds nothing by them
	case isTooBroad(err):
		w.counts[undatedUnread]++
	case err != nil:
		return err
	default:
		w.complete = true
	}
	for _, m := range f.list {
		// A study with a date that no window had comes after the others, as it does not appear among them on any page.
		m.late = m.date != 0 && len(w.seen) > 0
	}
	return w.keepStudies(ctx, f.list, w.kept, w.most)
}

func isTooBroad(err error) bool {
	_, ok := errors.AsType[*SearchTooBroadError](err)
	return ok
}

// outOfResources reports whether the PACS refused a query because it has too many matches, as status A700 says (PS3.4 section
// C.4.1.1.4).
func outOfResources(err error) bool {
	final, ok := errors.AsType[*dicomnet.StatusError](err)
	return ok && final.Status == 0xA700
}
