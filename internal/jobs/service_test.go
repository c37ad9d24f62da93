package jobs

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAJobIsFiledDoneAndReported(t *testing.T) {
	r := &retriever{}
	s := New(options(t, r))
	j := file(t, s, order(20))
	assert.Equal(t, JobQueued, j.State)
	assert.Equal(t, Counts{Items: 20, Queued: 20}, j.Counts)
	assert.Equal(t, "ward-3", j.FiledBy)
	run(t, s)
	end := finished(t, s, j.ID)
	assert.Equal(t, JobFinished, end.State)
	assert.Equal(t, Counts{Items: 20, Moved: 20}, end.Counts)
	calls, most := r.total()
	assert.Equal(t, 20, calls)
	assert.Equal(t, 1, most)
	for i, item := range items(t, s, j.ID) {
		assert.Equal(t, i+1, item.Number)
		assert.Equal(t, Moved, item.State)
		assert.Equal(t, order(20).Items[i], item.Item)
		assert.Equal(t, 1, item.Attempts)
		assert.Len(t, item.Retrievals, 1)
	}
	list, more, err := s.Jobs(t.Context(), someone, Page{})
	assert.NoError(t, err)
	assert.False(t, more)
	assert.Len(t, list, 1)
}
