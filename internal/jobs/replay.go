package jobs

import (
	"maps"
	"slices"
	"time"
)

// replay is the state of a job after some of its events. Events are applied in the order of their sequences; those that say what is known
// already, or come from an attempt that no longer counts, change nothing.
type replay struct {
	record     *record
	run        int
	items      []item
	counts     map[ItemState]int
	begun      bool // an item of this run
	cancelled  bool // in this run
	finishedAt time.Time
	sequence   uint64 // of the last event
}

// item is the state of an item.
type item struct {
	state    ItemState
	attempts int       // the number of the last attempt that was begun in this run
	waits    int       // attempts that failed in this run and were followed by another
	until    time.Time // of an item that waits
	report   uint64    // sequence of the last event with a report; zero: none
	moved    bool      // something of it was moved, in any run
	ended    time.Time
}

func newReplay(r *record) *replay {
	p := &replay{record: r, run: 1, items: make([]item, r.items()), counts: map[ItemState]int{Queued: r.items()}}
	for i := range p.items {
		p.items[i].state = Queued
	}
	return p
}

// clone returns a copy that changes by itself.
func (p *replay) clone() *replay {
	c := *p
	c.items, c.counts = slices.Clone(p.items), maps.Clone(p.counts)
	return &c
}

// goesOn reports whether the run is the current one, and was not cancelled.
func (p *replay) goesOn(run int) bool { return p.run == run && !p.cancelled }

// finished reports whether every item has an outcome.
func (p *replay) finished() bool {
	return p.counts[Queued]+p.counts[Running]+p.counts[Waiting] == 0
}

func (p *replay) set(i *item, s ItemState) {
	p.counts[i.state]--
	p.counts[s]++
	i.state = s
}

// end gives an item its outcome.
func (p *replay) end(i *item, s ItemState, at time.Time) {
	p.set(i, s)
	i.ended = at
}

// apply applies an event. changed reports whether the state is another one.
func (p *replay) apply(e *event) (changed bool) {
	p.sequence = e.sequence
	before := p.finished()
	if e.index < 0 {
		changed = p.applyToJob(e)
	} else if e.index < len(p.items) && e.run == p.run {
		changed = p.applyToItem(e, &p.items[e.index])
	}
	if !before && p.finished() {
		p.finishedAt = e.at
	}
	return changed
}

func (p *replay) applyToJob(e *event) bool {
	switch {
	case e.kind == kindRetry && e.run == p.run+1 && p.finished():
		p.retry(e.run)
	case e.kind == kindCancel && e.run == p.run && !p.cancelled && !p.finished():
		p.cancelled = true
		p.giveUp(e.at, Queued, Waiting)
	case e.kind == kindClosed && e.run == p.run && p.cancelled:
		p.giveUp(e.at, Running)
	default:
		return false
	}
	return true
}

// retry opens the items that can be done again.
func (p *replay) retry(run int) {
	p.run, p.begun, p.cancelled, p.finishedAt = run, false, false, time.Time{}
	for n := range p.items {
		if i := &p.items[n]; again(i.state) {
			p.set(i, Queued)
			*i = item{state: Queued, report: i.report, moved: i.moved}
		}
	}
}

// again reports whether a retry does an item again.
func again(s ItemState) bool { return s == Failed || s == Partial || s == Cancelled }

// giveUp ends the items in these states.
func (p *replay) giveUp(at time.Time, states ...ItemState) {
	for n := range p.items {
		i := &p.items[n]
		if slices.Contains(states, i.state) {
			p.abandon(i, at)
		}
	}
}

// abandon ends an item that was cancelled: it is partial if something of it was moved before.
func (p *replay) abandon(i *item, at time.Time) {
	if i.moved {
		p.end(i, Partial, at)
		return
	}
	p.end(i, Cancelled, at)
}

func (p *replay) applyToItem(e *event, i *item) bool {
	if i.state.Ended() {
		return false
	}
	switch e.kind {
	case kindStart:
		if e.attempt <= i.waits {
			return false
		}
		i.attempts, p.begun = e.attempt, true
		p.set(i, Running)
	case kindBack:
		if e.attempt <= i.waits {
			return false
		}
		i.moved = i.moved || e.state == Partial
		i.report = e.sequence // also if the start of the attempt is no longer in the stream, since the next one has replaced it
		if i.state != Running || e.attempt != i.attempts {
			return false
		}
		i.attempts = i.waits
		p.queue(e, i, Queued)
	case kindWait:
		if e.attempt <= i.waits {
			return false
		}
		i.moved = i.moved || e.state == Partial
		i.waits, i.attempts, i.until, i.report = e.attempt, e.attempt, e.until, e.sequence
		p.queue(e, i, Waiting)
	case kindDone:
		if !e.state.Ended() {
			return false
		}
		i.moved = i.moved || e.state == Partial
		i.report = e.sequence
		p.end(i, e.state, e.at)
	default:
		return false
	}
	return true
}

// queue makes an item wait for its next attempt, which it does not get if the job was cancelled.
func (p *replay) queue(e *event, i *item, s ItemState) {
	if p.cancelled {
		p.abandon(i, e.at)
		return
	}
	p.set(i, s)
}

// now returns the state of an item at a time, and when it begins if it waits: the window or the time that the record names may be what an
// item waits for, and the time for which it waited may be over.
func (p *replay) now(i *item, at, opens time.Time) (ItemState, time.Time) {
	switch i.state {
	case Queued:
		if opens.After(at) {
			return Waiting, opens
		}
	case Waiting:
		if i.until.After(at) {
			return Waiting, i.until
		}
		if opens.After(at) {
			return Waiting, opens
		}
		return Queued, time.Time{}
	}
	return i.state, time.Time{}
}

// job describes the job at a time. location is that of windows.
func (p *replay) job(at time.Time, location *time.Location, retention time.Duration) *Job {
	r := p.record
	j := &Job{
		ID: r.ID, PACS: r.PACS, Destination: r.Destination, DryRun: r.DryRun, NotBefore: r.NotBefore, Window: r.Window,
		Priority: r.Priority, FiledAt: r.FiledAt, FiledBy: r.Caller.principal().Name(), FinishedAt: p.finishedAt,
		ExpiresAt: r.FiledAt.Add(retention), Run: p.run,
		Counts: Counts{
			Items: len(p.items), Running: p.counts[Running],
			Moved: p.counts[Moved], Partial: p.counts[Partial], Failed: p.counts[Failed], NoStudyMatched: p.counts[NoStudyMatched],
			Cancelled: p.counts[Cancelled], Found: p.counts[Found],
		},
	}
	if p.counts[Queued]+p.counts[Waiting] > 0 {
		p.countOpen(&j.Counts, at, r.opensAt(at, location))
	}
	switch {
	case p.cancelled:
		j.State = JobCancelled
	case p.finished():
		j.State = JobFinished
	case j.Counts.Running > 0, p.begun && j.Counts.Queued > 0:
		j.State = JobRunning
	case j.Counts.Queued > 0:
		j.State = JobQueued
	default:
		j.State = JobWaiting
	}
	return j
}

// countOpen counts the items that are queued and that wait.
func (p *replay) countOpen(c *Counts, at, opens time.Time) {
	closed := opens.After(at)
	switch {
	case closed:
		c.Waiting = p.counts[Queued] + p.counts[Waiting]
	case p.counts[Waiting] == 0:
		c.Queued = p.counts[Queued]
	default:
		for n := range p.items {
			switch s, _ := p.now(&p.items[n], at, opens); s {
			case Queued:
				c.Queued++
			case Waiting:
				c.Waiting++
			}
		}
	}
}
