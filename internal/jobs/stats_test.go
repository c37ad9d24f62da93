package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/qr"
)

func TestStatsCountWhatIsQueuedAndWhatWaits(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	o := options(t, &retriever{answer: func(context.Context, qr.Filter, int) (*qr.RetrieveResult, error) {
		<-goOn
		return outcome(), nil
	}})
	o.MaxPerPACS, o.Refresh = 1, 20*time.Millisecond
	s := New(o)
	assert.Equal(t, Stats{Up: true}, s.Stats())
	run(t, s)
	j := file(t, s, order(3))
	later := order(2)
	later.NotBefore, later.Priority = time.Now().Add(time.Hour), Low
	file(t, s, later)
	require.Eventually(t, func() bool {
		q := s.Stats().Queues
		return len(q) == 3 && q[1].Queued == 3 && q[2].Waiting == 2
	}, time.Minute, 10*time.Millisecond)
	known := s.Stats()
	assert.True(t, known.Up)
	assert.Equal(t, Queue{PACS: "main", Priority: High}, known.Queues[0])
	assert.Positive(t, known.Queues[1].Oldest)
	assert.Zero(t, known.Queues[2].Oldest)
	close(goOn)
	finished(t, s, j.ID)
	require.Eventually(t, func() bool { return s.Stats().Queues[1].Queued == 0 }, time.Minute, 10*time.Millisecond)
}

func TestACancellationThatOvertakesTheQueueingLeavesNothingQueued(t *testing.T) {
	t.Parallel()
	o := options(t, &retriever{})
	reached, goOn := make(chan struct{}), make(chan struct{})
	n := 0
	o.failpoint = func(step string) error {
		if step == "queue" {
			if n++; n == 600 { // after the first part
				close(reached)
				<-goOn
			}
		}
		return nil
	}
	s := New(o)
	run(t, s)
	wanted := order(2000)
	wanted.NotBefore = time.Now().Add(time.Hour)
	j := file(t, s, wanted)
	<-reached
	_, err := s.Cancel(t.Context(), someone, j.ID)
	require.NoError(t, err)
	opened, err := s.store.open(t.Context())
	require.NoError(t, err)
	left := func() uint64 {
		info, err := opened.work.Info(t.Context())
		require.NoError(t, err)
		return info.State.Msgs
	}
	require.Eventually(t, func() bool { return left() == 1 }, time.Minute, 5*time.Millisecond, "the request that is under way")
	close(goOn)
	require.Eventually(t, func() bool { return left() == 0 }, time.Minute, 5*time.Millisecond)
	assert.LessOrEqual(t, n, 1000)
}

func TestItemsAreQueuedTogetherUnlessSomeAreQueued(t *testing.T) {
	s := New(options(t, &retriever{}))
	o, err := s.store.open(t.Context())
	require.NoError(t, err)
	list := func(from, to int) (messages []*nats.Msg) {
		for n := from; n < to; n++ {
			w := &work{PACS: "main", Priority: Low, Job: newID(noon), Run: 1, Index: n}
			m := w.message(place{pacs: "main", priority: Low, job: "x", run: 1, index: n}.at())
			m.Header = scheduleHeader(time.Now().Add(time.Hour), w.place().work())
			messages = append(messages, m)
		}
		return messages
	}
	require.NoError(t, s.store.putTogether(t.Context(), list(0, 100)))
	require.ErrorIs(t, s.store.putTogether(t.Context(), list(99, 150)), errNotTogether)
	require.NoError(t, s.store.putAll(t.Context(), list(90, 200)))
	info, err := o.work.Info(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 200, info.State.Msgs)
	assert.Error(t, committed([]byte("x"), 1))
}
