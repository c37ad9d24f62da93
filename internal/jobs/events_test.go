package jobs

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func kinds(events []Event) (list []EventKind) {
	for _, e := range slices.Backward(events) {
		list = append(list, e.Kind)
	}
	return list
}

func TestEventsReportWhatHappenedAndResume(t *testing.T) {
	t.Parallel()
	s := New(options(t, &retriever{}))
	run(t, s)
	j := file(t, s, order(3))
	all := last(t, s, j.ID, 0)
	assert.Equal(t, []EventKind{EventJob, EventItem, EventItem, EventItem, EventFinished}, kinds(all))
	assert.Equal(t, Counts{Items: 3, Moved: 3}, all[0].Job.Counts)
	assert.Equal(t, all[1].Sequence, all[0].Sequence)
	for n, e := range all[1:4] {
		assert.Equal(t, 3-n, e.Job.Counts.Moved)
		assert.Equal(t, Moved, e.Item.State)
		assert.Len(t, e.Item.Retrievals, 1)
		assert.Equal(t, order(3).Items[e.Item.Number-1], e.Item.Item)
		assert.Equal(t, kinds(all[:n+1]), kinds(last(t, s, j.ID, e.Sequence)), "after event %d", n)
	}
	now := last(t, s, j.ID, Now)
	assert.Equal(t, []EventKind{EventJob, EventFinished}, kinds(now))
	assert.Equal(t, now[0].Sequence, now[1].Sequence)
	for _, after := range []uint64{all[0].Sequence + 1, Now - 1} {
		for _, err := range s.Events(t.Context(), someone, j.ID, after) {
			assert.ErrorAs(t, err, new(*GoneError))
			assert.Equal(t, "events are gone", err.Error())
		}
	}
	second := file(t, s, order(1))
	for e, err := range s.Events(t.Context(), someone, second.ID, all[0].Sequence) {
		assert.ErrorAs(t, err, new(*GoneError), "a sequence of another job: %v", e)
		break
	}
	finished(t, s, second.ID)
}

func TestEventsEndWithTheirContext(t *testing.T) {
	s := New(options(t, &retriever{}))
	j := file(t, s, order(1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ended error
	for e, err := range s.Events(ctx, someone, j.ID, Now) {
		if err == nil {
			assert.Equal(t, EventJob, e.Kind)
			assert.NotZero(t, e.Sequence)
			cancel()
		}
		ended = err
	}
	require.ErrorIs(t, ended, context.Canceled)
	for range s.Events(t.Context(), someone, j.ID, 0) {
		break
	}
	s.views.close()
}

func TestViewsThatNobodyUsesEnd(t *testing.T) {
	s := New(options(t, &retriever{}))
	defer s.views.close()
	s.views.limit = 2
	var ids []string
	for range 4 {
		ids = append(ids, file(t, s, order(1)).ID)
	}
	assert.Len(t, s.views.all, 2)
	assert.NotContains(t, s.views.all, ids[0])
	_, err := s.Job(t.Context(), someone, ids[0])
	require.NoError(t, err)
	assert.Len(t, s.views.all, 2)
	s.views.idle = time.Nanosecond
	_, err = s.Job(t.Context(), someone, ids[1])
	require.NoError(t, err)
	s.views.mu.Lock()
	s.views.evict(time.Now().Add(time.Second))
	s.views.mu.Unlock()
	assert.Empty(t, s.views.all)
}
