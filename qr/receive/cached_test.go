package receive_test

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/cache"
	"dicom-qr-gateway/qr/receive"
)

// clock is a time that a test sets forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// cachedSite is a site with a cache.
func cachedSite(t *testing.T, instances int, bytesEach, size int64, gate func(context.Context)) (*site, *cache.Cache, *clock) {
	t.Helper()
	c, err := cache.New(cache.Settings{Size: size, TTL: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		assert.Zero(t, c.Stats().Bytes, "everything is freed")
	})
	k := &clock{}
	return newSite(t, instances, bytesEach, gate, receive.Options{Cache: c, Now: k.now}), c, k
}

// instances returns the targets of all instances of the study.
func (s *site) instances(t *testing.T) []receive.Target {
	t.Helper()
	i, err := s.Inventory(t.Context(), s.request(s.study))
	require.NoError(t, err)
	var all []receive.Target
	for _, in := range i.Instances {
		all = append(all, receive.Target{
			StudyInstanceUID: s.study.StudyInstanceUID, SeriesInstanceUID: i.Series[in.Series].SeriesInstanceUID, SOPInstanceUID: in.SOPInstanceUID,
		})
	}
	return all
}

// get retrieves a target and returns how it came.
func (s *site) get(t *testing.T, target receive.Target, want int) receive.Way {
	t.Helper()
	x, err := s.Retrieve(t.Context(), s.request(target))
	require.NoError(t, err)
	defer x.Close()
	assert.Less(t, x.Stalled(), time.Minute)
	x.OnCutOff(func(error) {})
	assert.Len(t, x.Inventory().Instances, want)
	assert.Equal(t, want, s.take(t, x))
	o := x.Outcome()
	assert.True(t, o.Complete)
	assert.Equal(t, want, o.Received)
	assert.Positive(t, o.Bytes)
	return o.Way
}

func TestWhatTheCacheHasIsNotRetrievedAgain(t *testing.T) {
	s, c, clock := cachedSite(t, 4, 200_000, 16<<20, nil)
	all := s.instances(t)
	assert.Equal(t, receive.WayGet, s.get(t, s.study, 4))
	assert.EqualValues(t, 4, c.Stats().Instances)
	series := all[0]
	series.SOPInstanceUID = ""
	for target, want := range map[receive.Target]int{s.study: 4, series: 4, all[2]: 1} {
		assert.Equal(t, receive.WayCache, s.get(t, target, want))
	}
	assert.Equal(t, 1, s.pacs.Operations(dicomnet.StepGet))
	finds := s.pacs.Operations(dicomnet.StepFind)
	assert.Equal(t, receive.WayCache, s.get(t, all[3], 1))
	assert.Equal(t, finds, s.pacs.Operations(dicomnet.StepFind), "the list is fresh")
	clock.forward(30 * time.Second)
	assert.Equal(t, receive.WayCache, s.get(t, all[3], 1))
	assert.Greater(t, s.pacs.Operations(dicomnet.StepFind), finds, "the list is asked for again")
	x, err := s.Retrieve(t.Context(), receive.Request{Target: s.study, Peer: s.peer, Uncompressed: true})
	require.NoError(t, err)
	x.Close()
	assert.Equal(t, 2, s.pacs.Operations(dicomnet.StepGet), "another policy of transfer syntaxes")
}

func TestAViewerThatOpensASeriesCausesTwoRetrievals(t *testing.T) {
	const slices = 60
	s, c, _ := cachedSite(t, slices, 50_000, 64<<20, nil)
	all := s.instances(t)
	finds := s.pacs.Operations(dicomnet.StepFind)
	var requests sync.WaitGroup
	for _, target := range all {
		requests.Go(func() { s.get(t, target, 1) })
	}
	requests.Wait()
	assert.LessOrEqual(t, s.pacs.Operations(dicomnet.StepGet), 2)
	assert.LessOrEqual(t, s.pacs.Operations(dicomnet.StepFind), finds+3, "one list")
	assert.EqualValues(t, slices, c.Stats().Instances)
}

func TestASeriesThatDoesNotFitIsNotRetrievedAsAWhole(t *testing.T) {
	s, _, _ := cachedSite(t, 10, 200_000, 1<<20, nil)
	all := s.instances(t)
	for _, target := range all[:4] {
		assert.Equal(t, receive.WayGet, s.get(t, target, 1))
	}
	assert.Equal(t, 4, s.pacs.Operations(dicomnet.StepGet))
}

func TestAnInstanceIsAwaitedFromARetrievalOfItsStudy(t *testing.T) {
	gate, next := stepwise()
	s, c, _ := cachedSite(t, 3, 50_000, 16<<20, gate)
	all := s.instances(t)
	next <- struct{}{}
	next <- struct{}{}
	whole := s.retrieve(t, t.Context(), s.study)
	ended := make(chan receive.Way)
	go func() { ended <- s.get(t, all[2], 1) }()
	assert.Eventually(t, func() bool { return c.Stats().Misses >= 4 }, 5*time.Second, time.Millisecond)
	close(next)
	assert.Equal(t, receive.WayCache, <-ended)
	assert.Equal(t, 3, s.take(t, whole))
	assert.Equal(t, 1, s.pacs.Operations(dicomnet.StepGet))
}

func TestTheSeriesIsNoLongerRetrievedWhenTheReceiverEnds(t *testing.T) {
	var silent atomic.Bool
	s, _, _ := cachedSite(t, 5, 50_000, 16<<20, func(ctx context.Context) {
		if silent.Load() {
			<-ctx.Done()
		}
	})
	all := s.instances(t)
	s.get(t, all[0], 1)
	silent.Store(true)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	ended := make(chan error)
	go func() {
		_, err := s.Retrieve(ctx, s.request(all[1]))
		ended <- err
	}()
	assert.Eventually(t, func() bool { return s.pacs.Operations(dicomnet.StepGet) == 2 }, 5*time.Second, time.Millisecond)
	leave()
	require.ErrorIs(t, <-ended, context.Canceled)
	s.Wait() // the test ends although the PACS sends no more
}

func TestACorrectedPatientIsRetrievedAgain(t *testing.T) {
	s, c, clock := cachedSite(t, 2, 50_000, 16<<20, nil)
	s.get(t, s.study, 2)
	s.has.PatientName = "Corrected^Name"
	require.NoError(t, s.pacs.AddStudies(s.has)) // in place of the same instances
	before := s.retrieve(t, t.Context(), s.study)
	assert.Equal(t, receive.WayCache, before.Outcome().Way, "the list is fresh enough")
	clock.forward(30 * time.Second)
	assert.Equal(t, receive.WayGet, s.get(t, s.study, 2))
	assert.EqualValues(t, 2, c.Stats().Outdated)
}

func TestNothingIncompleteIsKept(t *testing.T) {
	gate, next := stepwise()
	s, c, _ := cachedSite(t, 3, 50_000, 16<<20, gate)
	next <- struct{}{}
	next <- struct{}{}
	x := s.retrieve(t, t.Context(), s.study)
	x.Close()
	x.Outcome()
	close(next)
	s.Wait()
	stats := c.Stats()
	assert.Less(t, stats.Instances, int64(3))
}

func TestACachedAnswerEndsWithItsCaller(t *testing.T) {
	s, _, _ := cachedSite(t, 3, 50_000, 16<<20, nil)
	s.get(t, s.study, 3)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	x := s.retrieve(t, ctx, s.study)
	seen := 0
	for _, err := range x.All() {
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			break
		}
		seen++
		leave()
	}
	assert.Equal(t, 1, seen)
	closed := s.retrieve(t, t.Context(), s.study)
	closed.Close()
	closed.Close()
	for _, err := range closed.All() {
		require.Error(t, err)
	}
	left := s.retrieve(t, t.Context(), s.study)
	for in, err := range left.All() {
		require.NoError(t, err)
		left.Close() // while it is read
		_, err = io.Copy(io.Discard, in)
		require.NoError(t, err)
		break
	}
	assert.Equal(t, receive.WayCache, left.Outcome().Way)
}

func TestAnInstanceThatTheListLacksIsAskedFor(t *testing.T) {
	s, _, _ := cachedSite(t, 2, 50_000, 16<<20, nil)
	all := s.instances(t)
	s.has.Series[0].Instances++
	require.NoError(t, s.pacs.AddStudies(s.has))
	instances := s.has.Instances()
	added := all[0]
	added.SOPInstanceUID = instances[len(instances)-1].Text(tag.SOPInstanceUID)
	assert.Equal(t, receive.WayGet, s.get(t, added, 1))
	i, err := s.Inventory(t.Context(), s.request(added))
	require.NoError(t, err)
	assert.Len(t, i.Instances, 1)
	i, err = s.Inventory(t.Context(), s.request(all[0]))
	require.NoError(t, err)
	assert.Equal(t, []string{all[0].SOPInstanceUID}, []string{i.Instances[0].SOPInstanceUID})
	assert.False(t, slices.Contains(all, added))
}

func TestAListOfManyCallersIsAskedForOnceAndEndsWithThem(t *testing.T) {
	s, _, _ := cachedSite(t, 2, 10_000, 16<<20, nil)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	_, err := s.Retrieve(ctx, s.request(s.study))
	require.ErrorIs(t, err, context.Canceled)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { s.get(t, s.study, 2) })
	}
	all.Wait()
	assert.LessOrEqual(t, s.pacs.Operations(dicomnet.StepGet), 1)
}
