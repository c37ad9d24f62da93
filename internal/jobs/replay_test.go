package jobs

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// history applies events to a job of two items.
type history struct {
	*replay
	sequence uint64
}

func newHistory(r record) *history {
	r.Ends = []int{2}
	return &history{replay: newReplay(&r)}
}

func (h *history) event(e event) bool {
	h.sequence++
	e.sequence, e.at = h.sequence, noon.Add(time.Duration(h.sequence)*time.Second)
	if e.run == 0 {
		e.run = 1
	}
	return h.apply(&e)
}

func (h *history) ofJob(kind string, run int) bool {
	return h.event(event{kind: kind, run: run, index: -1})
}

func (h *history) job() *Job { return h.replay.job(noon, time.UTC, time.Hour) }

func TestTheStateFollowsFromTheEvents(t *testing.T) {
	h := newHistory(record{FiledAt: noon})
	h.ofJob(kindFiled, 1)
	assert.Equal(t, JobQueued, h.job().State)
	assert.Equal(t, noon.Add(time.Hour), h.job().ExpiresAt)

	assert.True(t, h.event(event{kind: kindStart, index: 0, attempt: 1}))
	assert.Equal(t, Counts{Items: 2, Running: 1, Queued: 1}, h.job().Counts)
	assert.Equal(t, JobRunning, h.job().State)

	assert.True(t, h.event(event{kind: kindWait, index: 0, attempt: 1, until: noon.Add(time.Minute)}))
	assert.Equal(t, Counts{Items: 2, Waiting: 1, Queued: 1}, h.job().Counts)
	assert.Equal(t, Counts{Items: 2, Queued: 2}, h.replay.job(noon.Add(time.Minute), time.UTC, 0).Counts, "it waits no more")

	assert.Equal(t, JobRunning, h.job().State, "an item has begun")
	assert.False(t, h.event(event{kind: kindWait, index: 0, attempt: 1}), "known already")
	assert.False(t, h.event(event{kind: kindStart, index: 0, attempt: 1}), "of an attempt that has ended")
	assert.True(t, h.event(event{kind: kindStart, index: 0, attempt: 2}))
	assert.True(t, h.event(event{kind: kindBack, index: 0, attempt: 2}), "interrupted")
	assert.False(t, h.event(event{kind: kindBack, index: 0, attempt: 2}))
	assert.Equal(t, 1, h.items[0].attempts, "an interrupted attempt does not count")

	assert.True(t, h.event(event{kind: kindDone, index: 0, state: Failed}))
	assert.False(t, h.event(event{kind: kindDone, index: 0, state: Moved}), "the first outcome stands")
	assert.False(t, h.event(event{kind: kindDone, index: 1, state: Running}), "no outcome")
	assert.False(t, h.event(event{kind: "unknown", index: 1}))
	assert.False(t, h.event(event{kind: kindDone, index: 2, state: Moved}), "no such item")
	assert.False(t, h.ofJob(kindRetry, 2), "not before it has finished")
	assert.True(t, h.event(event{kind: kindDone, index: 1, state: Moved}))
	assert.Equal(t, JobFinished, h.job().State)
	assert.Equal(t, noon.Add(time.Duration(h.sequence)*time.Second), h.job().FinishedAt)
	assert.False(t, h.ofJob(kindCancel, 1), "nothing is left to cancel")

	assert.False(t, h.ofJob(kindRetry, 3), "not the next run")
	assert.True(t, h.ofJob(kindRetry, 2))
	assert.Equal(t, Counts{Items: 2, Queued: 1, Moved: 1}, h.job().Counts)
	assert.Equal(t, 2, h.job().Run)
	assert.Zero(t, h.job().FinishedAt)
	assert.False(t, h.event(event{kind: kindDone, index: 0, state: Moved}), "of another run")
	assert.True(t, h.event(event{kind: kindDone, run: 2, index: 0, state: Moved}))
	assert.Equal(t, Counts{Items: 2, Moved: 2}, h.job().Counts)
}

func TestWhatAnInterruptedAttemptMovedIsKnownWithoutItsStart(t *testing.T) {
	h := newHistory(record{FiledAt: noon})
	h.ofJob(kindFiled, 1)
	// The next start of the attempt has replaced the first one in the stream.
	assert.False(t, h.event(event{kind: kindBack, index: 0, attempt: 1}))
	moved := h.sequence
	assert.True(t, h.event(event{kind: kindStart, index: 0, attempt: 1}))
	assert.Equal(t, moved, h.items[0].report)
	assert.Equal(t, Counts{Items: 2, Running: 1, Queued: 1}, h.job().Counts)
}

func TestACancelledJobHasWhatItsRunningItemsCameTo(t *testing.T) {
	begin := func() *history {
		h := newHistory(record{})
		h.event(event{kind: kindStart, index: 0, attempt: 1})
		assert.True(t, h.ofJob(kindCancel, 1))
		assert.False(t, h.ofJob(kindCancel, 1))
		assert.Equal(t, JobCancelled, h.job().State)
		assert.Equal(t, Counts{Items: 2, Running: 1, Cancelled: 1}, h.job().Counts)
		assert.False(t, h.event(event{kind: kindStart, index: 1, attempt: 1}), "too late")
		return h
	}
	h := begin()
	h.event(event{kind: kindDone, index: 0, state: Moved})
	assert.Equal(t, Counts{Items: 2, Moved: 1, Cancelled: 1}, h.job().Counts)
	assert.NotZero(t, h.job().FinishedAt)
	assert.Equal(t, JobCancelled, h.job().State)

	for _, kind := range []string{kindWait, kindBack} {
		h = begin()
		assert.True(t, h.event(event{kind: kind, index: 0, attempt: 1}))
		assert.Equal(t, Counts{Items: 2, Cancelled: 2}, h.job().Counts, kind)

		h = begin()
		assert.True(t, h.event(event{kind: kind, index: 0, attempt: 1, state: Partial}))
		assert.Equal(t, Counts{Items: 2, Partial: 1, Cancelled: 1}, h.job().Counts, "something was moved")

		h = newHistory(record{})
		h.event(event{kind: kindStart, index: 0, attempt: 1})
		h.event(event{kind: kind, index: 0, attempt: 1, state: Partial})
		assert.True(t, h.ofJob(kindCancel, 1))
		assert.Equal(t, Counts{Items: 2, Partial: 1, Cancelled: 1}, h.job().Counts, "before the cancellation")
		assert.True(t, h.ofJob(kindRetry, 2))
		assert.True(t, h.ofJob(kindCancel, 2))
		assert.Equal(t, Counts{Items: 2, Partial: 1, Cancelled: 1}, h.job().Counts, "in the run before")
	}

	h = begin()
	assert.True(t, h.ofJob(kindClosed, 1))
	assert.Equal(t, Counts{Items: 2, Cancelled: 2}, h.job().Counts)
	assert.False(t, h.event(event{kind: kindDone, index: 0, state: Moved}), "given up")
	assert.True(t, h.ofJob(kindRetry, 2))
	assert.Equal(t, Counts{Items: 2, Queued: 2}, h.job().Counts)
	assert.Equal(t, JobQueued, h.job().State)
	assert.False(t, h.ofJob(kindClosed, 2), "not cancelled")
}

func TestAJobWaitsForItsWindow(t *testing.T) {
	h := newHistory(record{Window: &Window{From: 20 * 60, To: 6 * 60}})
	assert.Equal(t, JobWaiting, h.job().State)
	assert.Equal(t, Counts{Items: 2, Waiting: 2}, h.job().Counts)
	state, next := h.now(&h.items[0], noon, h.record.opensAt(noon, time.UTC))
	assert.Equal(t, Waiting, state)
	assert.Equal(t, noon.Add(8*time.Hour), next)
	h.event(event{kind: kindWait, index: 0, attempt: 1, until: noon.Add(-time.Minute)})
	state, next = h.now(&h.items[0], noon, h.record.opensAt(noon, time.UTC))
	assert.Equal(t, Waiting, state)
	assert.Equal(t, noon.Add(8*time.Hour), next)
}

func TestWhatNoGatewayWritesIsNoEvent(t *testing.T) {
	for _, subject := range []string{"jobs.ev.x", "jobs.ev.x.done", "jobs.ev.x.done.-1", "jobs.ev.x.done.one", "jobs.ev.x.done.1.two"} {
		_, ok := parseEvent(subject, nats.Header{})
		assert.False(t, ok, subject)
	}
	e, ok := parseEvent(waitEvent("x", 2, 7, 3), nats.Header{
		headerAttempt: {"3"}, headerState: {"failed"}, headerUntil: {"1000"},
	})
	assert.True(t, ok)
	assert.Equal(t, event{kind: kindWait, run: 2, index: 7, attempt: 3, state: Failed, until: time.UnixMilli(1000)}, e)
}
