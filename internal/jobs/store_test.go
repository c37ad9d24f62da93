package jobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/qr"
)

func TestAChangedRetentionAppliesToWhatIsKept(t *testing.T) {
	o := options(t, &retriever{})
	_, err := New(o).store.open(t.Context())
	require.NoError(t, err)
	o.Retention = 24 * time.Hour
	opened, err := New(o).store.open(t.Context())
	require.NoError(t, err)
	for _, name := range []string{streamWork, streamEvents, streamItems, "KV_" + bucketJobs, "KV_" + bucketOpen, "KV_" + bucketKeys} {
		stream, err := opened.js.Stream(t.Context(), name)
		require.NoError(t, err)
		assert.Equal(t, 24*time.Hour, stream.CachedInfo().Config.MaxAge, name)
		assert.True(t, stream.CachedInfo().Config.AllowDirect, name)
	}
}

func TestStreamsThatSomebodyDeletedAreMadeAgain(t *testing.T) {
	t.Parallel()
	options := options(t, &retriever{})
	options.Timeout = 4 * time.Second
	s := New(options)
	run(t, s)
	filed := func(o Order) *Job { // on a busy machine JetStream may not answer within Timeout
		return patiently(t, func() (*Job, error) {
			j, _, err := s.File(t.Context(), someone, o)
			return j, err
		})
	}
	finished(t, s, filed(order(1)).ID)
	waiting := order(1)
	waiting.NotBefore = time.Now().Add(time.Hour)
	old := filed(waiting)
	var o *opened
	var err error
	require.Eventually(t, func() bool {
		o, err = s.store.open(t.Context())
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	require.NoError(t, o.js.DeleteStream(t.Context(), "KV_"+bucketJobs))
	s.views.end()
	require.Eventually(t, func() bool {
		_, err := s.Job(t.Context(), someone, old.ID)
		return errors.As(err, new(*NotFoundError))
	}, time.Minute, 20*time.Millisecond, "a request to read finds out, too")
	old = filed(waiting)
	require.NoError(t, o.js.DeleteStream(t.Context(), streamEvents))
	require.Eventually(t, func() bool {
		_, err := s.Cancel(t.Context(), someone, old.ID)
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	assert.Equal(t, Counts{Items: 1, Cancelled: 1}, finished(t, s, old.ID).Counts)
	for _, name := range []string{streamWork, streamEvents, streamItems, "KV_" + bucketJobs, "KV_" + bucketOpen, "KV_" + bucketKeys} {
		require.NoError(t, o.js.DeleteStream(t.Context(), name))
	}
	var j *Job
	require.Eventually(t, func() bool {
		j, _, err = s.File(t.Context(), someone, order(1))
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	assert.Equal(t, Counts{Items: 1, Moved: 1}, finished(t, s, j.ID).Counts)
}

func TestMessagesThatNoGatewayWritesAreDropped(t *testing.T) {
	s := New(options(t, &retriever{}))
	o, err := s.store.open(t.Context())
	require.NoError(t, err)
	at := place{pacs: "main", priority: High, job: newID(noon), run: 1}
	for subject, data := range map[string]string{
		at.work():                                  "{",
		dispatchSubject(newID(noon), "file", 1):    "[]",
		dispatchSubject(newID(noon), "unknown", 1): `{"record": {"id": "../x"}}`,
	} {
		_, err := o.js.Publish(t.Context(), subject, []byte(data))
		require.NoError(t, err)
	}
	run(t, s)
	require.Eventually(t, func() bool {
		info, err := o.work.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	}, time.Minute, 10*time.Millisecond)
}

func TestAnUnansweredRequestIsMadeAgainUntilItsTimeIsOver(t *testing.T) {
	s := New(options(t, &retriever{}))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	m := (&work{Job: newID(noon)}).message("jobs.nowhere")
	_, err := s.store.insist(ctx, m)
	assert.Error(t, err)
	assert.False(t, s.store.same(ctx, m))
	assert.ErrorIs(t, unavailable(ctx, err), context.DeadlineExceeded)
	assert.ErrorAs(t, unavailable(t.Context(), err), new(*UnavailableError))
	assert.NoError(t, unavailable(ctx, nil))
	assert.True(t, exists(&jetstream.APIError{ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence}))
	assert.False(t, exists(errors.New("other")))
}

func TestAReportThatIsTooLongIsCut(t *testing.T) {
	long := &report{}
	long.add(&qr.RetrieveResult{Retrievals: []qr.Retrieval{
		{StudyInstanceUID: "1.1", Status: qr.RetrievalPartial, FailedSOPInstanceUIDs: uids(20000)},
		{StudyInstanceUID: "1.2", Status: qr.RetrievalOK},
	}})
	encoded := long.encode()
	assert.LessOrEqual(t, len(encoded), maxReport)
	short, err := decodeReport(encoded)
	require.NoError(t, err)
	assert.Len(t, short.Retrievals, 2)
	assert.Equal(t, 20000, short.Cut+len(short.Retrievals[0].FailedUIDs))
	assert.Equal(t, []string{"1.2"}, short.moved())
	assert.Len(t, long.Retrievals[0].FailedUIDs, 20000, "the report itself stays whole")

	studies := &report{Studies: make([]found, 5000)}
	short, err = decodeReport(studies.encode())
	require.NoError(t, err)
	assert.Equal(t, 5000, short.Cut+len(short.Studies))
	_, err = decodeReport([]byte("{"))
	assert.Error(t, err)
}

func TestWhatAnEarlierAttemptMovedStays(t *testing.T) {
	r := &report{}
	partial := qr.Retrieval{StudyInstanceUID: "1.1", Status: qr.RetrievalPartial, Completed: new(5)}
	r.add(&qr.RetrieveResult{Retrievals: []qr.Retrieval{partial}})
	r.add(&qr.RetrieveResult{Retrievals: []qr.Retrieval{{StudyInstanceUID: "1.1", Status: qr.RetrievalFailed}}})
	assert.Equal(t, 5, *r.Retrievals[0].Completed)
	r.add(&qr.RetrieveResult{Retrievals: []qr.Retrieval{{StudyInstanceUID: "1.1", Status: qr.RetrievalOK, Completed: new(7)}}})
	assert.Equal(t, 7, *r.Retrievals[0].Completed)
	assert.True(t, r.anything())
	assert.True(t, passing(&budget.BusyError{}))
}

func TestAConsumerThatAnEarlierProcessMakesLateIsRemoved(t *testing.T) {
	s := New(options(t, &retriever{}))
	o, err := s.store.open(t.Context())
	require.NoError(t, err)
	_, err = o.work.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
		Durable: "work-main-normal-earlier", FilterSubject: workPrefix + "main.normal.>", AckPolicy: jetstream.AckExplicitPolicy,
	})
	require.NoError(t, err)
	run(t, s)
	assert.Equal(t, Counts{Items: 1, Moved: 1}, finished(t, s, file(t, s, order(1)).ID).Counts)
}
