package receive

import (
	"context"
	"time"
)

const (
	// askedTwice is the time in which a second request for an instance of a series retrieves the whole series.
	askedTwice = time.Minute
	// seriesIdle is how long a series is still retrieved if no caller waits for an instance of it.
	seriesIdle = 10 * time.Second
	// maxSeriesWait is how long a caller waits for its instance of a series before it retrieves the instance alone.
	maxSeriesWait = 20 * time.Second
	// instanceGuess is the size of an instance of which no size is known.
	instanceGuess = 512 << 10
	// maxViewed bounds the series that are remembered.
	maxViewed = 1000
)

// viewed is a series whose instances callers request one by one. The lock of the receiver guards it.
type viewed struct {
	first   string    // SOP Instance UID of the first request
	last    time.Time // of the last request
	fetch   *fetch    // nil: none runs
	blocked time.Time // no other begins before
}

// fetch is a retrieval of a series into the cache.
type fetch struct {
	done    chan struct{} // closed at the end
	waiting int           // guarded by the lock of the receiver
	idle    *time.Timer   // ends it
}

// awaitSeries waits for an instance of a series, or of a study, that is being retrieved. If this is the second request for an instance of
// a series that fits the cache, it begins to retrieve the series. It reports whether the cache may have the instance now.
func (r *Receiver) awaitSeries(ctx context.Context, q Request, list *Inventory) bool {
	over, leave := r.retrieving(ctx, q, list)
	if over == nil {
		return false
	}
	defer leave()
	stored, forget := r.options.Cache.Await(cacheKey(&q, q.SOPInstanceUID))
	defer forget()
	timer := time.NewTimer(maxSeriesWait)
	defer timer.Stop()
	select {
	case <-stored:
	case <-over:
	case <-timer.C:
	case <-ctx.Done():
	}
	return true
}

// retrieving returns the end of a retrieval that will bring the instance, which it may begin; nil if there is none. The caller must call
// leave when it no longer waits.
func (r *Receiver) retrieving(ctx context.Context, q Request, list *Inventory) (over <-chan struct{}, leave func()) {
	series, study := q.Target, q.Target
	series.SOPInstanceUID, study.SOPInstanceUID, study.SeriesInstanceUID = "", "", ""
	r.mu.Lock()
	defer r.mu.Unlock()
	v, again := r.view(flightKey{q.Peer, series, q.Uncompressed}, q.SOPInstanceUID)
	if v.fetch != nil {
		return v.join(r)
	}
	for _, t := range [...]Target{series, study} {
		if f := r.flights[flightKey{q.Peer, t, q.Uncompressed}]; f != nil {
			return f.over, func() {}
		}
	}
	if !again || r.options.Now().Before(v.blocked) || !r.fits(&q, v.first, len(list.Instances)) {
		return nil, nil
	}
	q.Target, q.Call.Observer = series, nil // which may not be called once the caller has left
	r.fetch(context.WithoutCancel(ctx), q, list, v)
	return v.join(r)
}

// view notes a request for an instance of a series, and reports whether there was one before. It is called with the lock.
func (r *Receiver) view(key flightKey, uid string) (v *viewed, again bool) {
	now := r.options.Now()
	if v = r.series[key]; v != nil && (v.fetch != nil || now.Sub(v.last) < askedTwice) {
		v.last = now
		return v, true
	}
	if len(r.series) >= maxViewed {
		for other, v := range r.series {
			if v.fetch == nil && (now.Sub(v.last) >= askedTwice || len(r.series) >= maxViewed) {
				delete(r.series, other)
			}
		}
	}
	v = &viewed{first: uid, last: now}
	r.series[key] = v
	return v, false
}

// fits reports whether the cache can hold the series, by the size of its first instance if that is known.
func (r *Receiver) fits(q *Request, first string, instances int) bool {
	size, ok := r.options.Cache.Size(cacheKey(q, first))
	if !ok {
		size = instanceGuess
	}
	return instances > 1 && r.options.Cache.Fits(size*int64(instances))
}

// fetch begins to retrieve a series into the cache. It is called with the lock.
func (r *Receiver) fetch(ctx context.Context, q Request, list *Inventory, v *viewed) {
	ctx, cancel := context.WithCancelCause(ctx)
	f := &fetch{done: make(chan struct{}), idle: time.AfterFunc(seriesIdle, func() { cancel(errEnded) })}
	v.fetch = f
	r.running.Go(func() {
		defer close(f.done)
		stop := context.AfterFunc(r.closing, func() { cancel(errEnded) })
		defer stop()
		r.drain(ctx, q, list)
		f.idle.Stop()
		cancel(errEnded)
		r.mu.Lock()
		defer r.mu.Unlock()
		v.fetch = nil
		v.blocked = r.options.Now().Add(askedTwice) // what is not in the cache now would not be there after another one
	})
}

// drain retrieves without handing anything to a caller.
func (r *Receiver) drain(ctx context.Context, q Request, list *Inventory) {
	x, err := r.fly(ctx, q, list)
	if err != nil {
		return // the callers that wait retrieve alone, and see why
	}
	defer x.Close()
	for _, err := range x.All() {
		if err != nil {
			return
		}
	}
}

// join counts a caller that waits for a fetch. It is called with the lock.
func (v *viewed) join(r *Receiver) (over <-chan struct{}, leave func()) {
	f := v.fetch
	f.waiting++
	f.idle.Stop()
	return f.done, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if f.waiting--; f.waiting == 0 {
			f.idle.Reset(seriesIdle)
		}
	}
}
