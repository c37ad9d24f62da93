//go:build crash

package crash

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// during runs request and kills a gateway at a random instant of it, up to span after its beginning. Both have ended then, and the
// gateway runs again.
func (w *world) during(t *testing.T, g *gateway, span time.Duration, request func()) {
	t.Helper()
	var killer sync.WaitGroup
	killer.Go(func() {
		time.Sleep(w.random.upTo(span))
		g.kill()
	})
	request()
	killer.Wait()
	require.NoError(t, g.start())
}

// later is a time at which no test runs any more.
func later() string { return time.Now().Add(20 * time.Hour).UTC().Format(time.RFC3339) }

// A caller that does not repeat its request finds the job with all its items, or none; one that repeats it finds one.
func TestAJobIsFiledWholeOrNotAtAll(t *testing.T) {
	for name, shared := range map[string]bool{"embedded": false, "shared": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, shared, 1)
			o := order{PACS: pacsName, Destination: destination, NotBefore: later()}
			for i := range 3000 {
				o.Items = append(o.Items, itemFilter{AccessionNumber: fmt.Sprintf("B%06d", i)})
			}
			began := time.Now()
			first := w.file(t, "", o)
			span := time.Since(began) + 100*time.Millisecond
			repeated := map[string]bool{}
			const rounds = 8
			for i := range rounds {
				key := fmt.Sprintf("key-%d", i)
				w.during(t, w.gateways[0], span, func() {
					_, _ = w.gateways[0].file(t.Context(), key, o)
				})
				if i%2 == 0 {
					repeated[w.file(t, key, o).ID] = true
				}
			}
			var list struct{ Jobs []job }
			w.get(t, "/jobs?limit=100", &list)
			found := 0
			for _, j := range list.Jobs {
				whole := w.job(t, j.ID)
				assert.Equal(t, len(o.Items), whole.Counts.Items)
				assert.Equal(t, "waiting", whole.State)
				if repeated[j.ID] {
					found++
				}
				var page struct{ Items []item }
				w.get(t, fmt.Sprintf("/jobs/%s?offset=%d&limit=1", j.ID, len(o.Items)-1), &page)
				assert.Len(t, page.Items, 1)
			}
			assert.Equal(t, rounds/2, found)
			assert.Len(t, repeated, rounds/2)
			assert.LessOrEqual(t, len(list.Jobs), rounds+1)
			t.Logf("%d jobs after %d filings of which each was killed, and %d repeated", len(list.Jobs)-1, rounds, rounds/2)
			w.post(t, "/jobs/"+first.ID+"/cancel", nil)
			for _, j := range list.Jobs {
				if j.ID != first.ID {
					w.post(t, "/jobs/"+j.ID+"/cancel", nil)
				}
			}
			w.checkQueues(t)
		})
	}
}

// A cancellation or a retry that was killed happened or did not; the caller sees which, and can repeat it.
func TestCancelAndRetryThatAreKilledCanBeRepeated(t *testing.T) {
	for name, shared := range map[string]bool{"embedded": false, "shared": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, shared, 1)
			w.pause.Store(int64(30 * time.Millisecond))
			for range 4 {
				studies := w.newStudies(t, 40)
				j := w.file(t, "", order{PACS: pacsName, Destination: destination, Items: itemsOf(studies)})
				time.Sleep(w.random.upTo(400 * time.Millisecond))
				g := w.gateways[0]
				w.during(t, g, 60*time.Millisecond, func() { g.try(t.Context(), "/jobs/"+j.ID+"/cancel") })
				w.insistOn(t, "/jobs/"+j.ID+"/cancel", "job_finished")
				j = w.end(t, j.ID)
				assert.Equal(t, len(studies), j.Counts.Moved+j.Counts.Partial+j.Counts.Cancelled)
				w.checkStates(t, j)
				for i, it := range w.items(t, j.ID) {
					w.checkReported(t, it, studies[i])
				}
				w.checkEvents(t, j, w.items(t, j.ID))
				if j.Counts.Moved == len(studies) {
					continue // nothing is left to retry
				}
				w.during(t, g, 60*time.Millisecond, func() { g.try(t.Context(), "/jobs/"+j.ID+"/retry") })
				if w.job(t, j.ID).Run == 1 {
					w.insistOn(t, "/jobs/"+j.ID+"/retry", "job_not_finished")
				}
				j = w.end(t, j.ID)
				assert.Equal(t, 2, j.Run)
				w.checkMoved(t, j, studies)
			}
			w.checkQueues(t)
		})
	}
}

// try posts once.
func (g *gateway) try(ctx context.Context, path string) {
	_ = call(ctx, http.MethodPost, g.url()+path, nil, nil, nil)
}

// insistOn posts until it succeeds, or until it is a 409 because it was done before, or has one of the other statuses.
func (w *world) insistOn(t *testing.T, path, done string, others ...int) {
	t.Helper()
	insist(t, "POST "+path, func() error {
		err := call(t.Context(), http.MethodPost, w.any().url()+path, nil, nil, nil)
		switch status := problem(err); {
		case status == http.StatusConflict:
			assert.ErrorContains(t, err, done)
			return nil
		case slices.Contains(others, status):
			return nil
		}
		return err
	})
}

// checkStates checks that the counters are those of the items.
func (w *world) checkStates(t *testing.T, j job) {
	t.Helper()
	c := counts{}
	for _, it := range w.items(t, j.ID) {
		c.Items++
		switch it.State {
		case "moved":
			c.Moved++
		case "partial":
			c.Partial++
		case "failed":
			c.Failed++
		case "cancelled":
			c.Cancelled++
		case "no_study_matched":
			c.NoStudyMatched++
		default:
			t.Errorf("item %d is %s", it.Number, it.State)
		}
	}
	assert.Equal(t, c, j.Counts)
}
