package jobs

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/qr"
)

var errCrashed = errors.New("crashed")

// crash returns a failpoint at which everything fails from the nth time on at which the step is reached, and a function that reports
// whether that happened.
func crash(step string, nth int64) (failpoint func(string) error, crashed func() bool) {
	var dead atomic.Bool
	var reached atomic.Int64
	return func(at string) error {
		if at == step && reached.Add(1) >= nth {
			dead.Store(true)
		}
		if dead.Load() {
			return errCrashed
		}
		return nil
	}, dead.Load
}

// outcomes counts the outcomes that the stream has for each item of the job.
func outcomes(t *testing.T, s *Service, id string) map[int]int {
	t.Helper()
	counts := map[int]int{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	last, err := s.store.last(ctx, id)
	require.NoError(t, err)
	require.NoError(t, s.store.follow(ctx, id, 1, true, func(e *event, _ []byte) bool {
		if e.kind == kindDone {
			counts[e.index]++
		}
		return e.sequence < last
	}))
	return counts
}

func TestACrashBetweenAnyTwoStepsLeavesOneOutcomeForEachItem(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"chunk", "commit", "filed", "dispatch", "queue", "start", "record", "schedule", "confirm"} {
		for _, nth := range []int64{1, 3} {
			if nth > 1 && (step == "chunk" || step == "commit" || step == "filed" || step == "dispatch") {
				continue // reached once
			}
			t.Run(step, func(t *testing.T) {
				t.Parallel()
				const items = 5
				r := &retriever{answer: func(_ context.Context, f qr.Filter, call int) (*qr.RetrieveResult, error) {
					if call == 1 && f.PatientID != "1000" {
						return nil, &dicomnet.ConnectError{Err: errors.New("refused")}
					}
					return outcome(study("1."+f.PatientID, qr.RetrievalOK)), nil
				}}
				o := options(t, r)
				o.Attempts = 4 // a crash in an attempt does not use one up
				first := o
				var crashed func() bool
				first.failpoint, crashed = crash(step, nth)
				before := New(first)
				stop := run(t, before)
				wanted := order(items)
				wanted.IdempotencyKey = "once"
				_, _, err := before.File(t.Context(), someone, wanted)
				require.Eventually(t, crashed, time.Minute, 5*time.Millisecond)
				stop()

				after := New(o)
				run(t, after)
				j, replayed, errAgain := after.File(t.Context(), someone, wanted)
				require.NoError(t, errAgain)
				if err == nil {
					assert.True(t, replayed)
				}
				end := finished(t, after, j.ID)
				assert.Equal(t, Counts{Items: items, Moved: items}, end.Counts)
				counts := outcomes(t, after, j.ID)
				assert.Len(t, counts, items)
				for item, n := range counts {
					assert.Equal(t, 1, n, "outcomes of item %d", item)
				}
				calls, most := r.total()
				assert.GreaterOrEqual(t, calls, items)
				assert.LessOrEqual(t, most, 3)
			})
		}
	}
}
