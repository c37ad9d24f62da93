package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/broker/brokertest"
	"dicom-qr-gateway/qr"
)

func TestGatewaysShareTheItemsOfAJob(t *testing.T) {
	t.Parallel()
	server := brokertest.Server(t)
	var services []*Service
	retrievers := []*retriever{{}, {}, {}}
	for _, r := range retrievers {
		r.answer = func(_ context.Context, f qr.Filter, _ int) (*qr.RetrieveResult, error) {
			time.Sleep(time.Millisecond)
			return outcome(study("1."+f.PatientID, qr.RetrievalOK)), nil
		}
		o := options(t, r)
		o.Broker, o.MaxPerPACS = brokertest.Shared(t, server.ClientURL()), 2
		s := New(o)
		require.Eventually(t, func() bool { return o.Broker.Err() == nil }, time.Minute, 10*time.Millisecond)
		run(t, s)
		services = append(services, s)
	}
	const n = 60
	wanted := order(n)
	wanted.IdempotencyKey = "same"
	var filing sync.WaitGroup
	ids := make([]string, len(services))
	for i, s := range services {
		filing.Go(func() {
			if j, _, err := s.File(context.Background(), someone, wanted); assert.NoError(t, err) {
				ids[i] = j.ID
			}
		})
	}
	filing.Wait()
	assert.Equal(t, ids[0], ids[1])
	assert.Equal(t, ids[0], ids[2])
	total := 0
	for i, s := range services {
		assert.Equal(t, Counts{Items: n, Moved: n}, finished(t, s, ids[0]).Counts)
		calls, most := retrievers[i].total()
		assert.Equal(t, 1, most)
		assert.Positive(t, calls, "each takes its share")
		total += calls
	}
	assert.Equal(t, n, total)
	assert.Len(t, outcomes(t, services[0], ids[0]), n)
}

func TestItemsThatRunWhenTheGatewayEndsGoOnOrGoBackToTheQueue(t *testing.T) {
	t.Parallel()
	begun := make(chan string, 4)
	r := &retriever{answer: func(ctx context.Context, f qr.Filter, _ int) (*qr.RetrieveResult, error) {
		begun <- f.PatientID
		if f.PatientID == "1000" {
			time.Sleep(50 * time.Millisecond) // ends in time
			return outcome(study("1.1000", qr.RetrievalOK)), nil
		}
		<-ctx.Done()
		return outcome(study("1.1", qr.RetrievalOK), study("1.2", qr.RetrievalCancelled)), nil
	}}
	o := options(t, r)
	w := &watch{}
	o.DrainTimeout, o.Watch, o.MaxPerPACS = 300*time.Millisecond, w, 2
	s := New(o)
	stop := run(t, s)
	j := file(t, s, order(3))
	<-begun
	<-begun
	stop()
	assert.Len(t, begun, 0, "nothing begins any more")
	assert.Equal(t, map[ItemState]int{Moved: 1, "": 1}, w.states)

	r.mu.Lock()
	r.answer = func(_ context.Context, f qr.Filter, _ int) (*qr.RetrieveResult, error) {
		if f.PatientID == "1001" && fmt.Sprint(f.Except) != "[1.1]" {
			return nil, errors.New("a study is moved again")
		}
		return outcome(study("1.2", qr.RetrievalOK)), nil
	}
	r.mu.Unlock()
	o.Watch = nil
	after := New(o)
	run(t, after)
	assert.Equal(t, Counts{Items: 3, Moved: 3}, finished(t, after, j.ID).Counts)
	all := items(t, after, j.ID)
	assert.Equal(t, 1, all[1].Attempts, "an attempt that was interrupted does not count")
	assert.Len(t, all[1].Retrievals, 2)
}

func TestAnOutcomeIsRecordedWhenJetStreamIsBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := brokertest.Server(t, brokertest.In(dir))
	port := brokertest.Port(server)
	begun, goOn := make(chan struct{}, 1), make(chan struct{})
	r := &retriever{answer: func(_ context.Context, f qr.Filter, call int) (*qr.RetrieveResult, error) {
		if call == 1 {
			begun <- struct{}{}
			<-goOn
		}
		return outcome(study("1."+f.PatientID, qr.RetrievalOK)), nil
	}}
	o := options(t, r)
	o.Broker, o.Timeout = brokertest.Shared(t, server.ClientURL()), 5*time.Second
	require.Eventually(t, func() bool { return o.Broker.Err() == nil }, time.Minute, 10*time.Millisecond)
	s := New(o)
	run(t, s)
	j := file(t, s, order(1))
	<-begun
	server.Shutdown()
	server.WaitForShutdown()
	require.Eventually(t, func() bool { return o.Broker.Err() != nil }, time.Minute, 10*time.Millisecond)
	for _, err := range []error{
		func() error { _, err := s.Job(t.Context(), someone, j.ID); return err }(),
		func() error { _, _, err := s.File(t.Context(), someone, order(1)); return err }(),
		func() error { _, _, err := s.Jobs(t.Context(), someone, Page{}); return err }(),
		func() error { _, err := s.Cancel(t.Context(), someone, j.ID); return err }(),
	} {
		require.ErrorAs(t, err, new(*UnavailableError))
		assert.Equal(t, "JetStream is unavailable", err.Error())
	}
	close(goOn)
	brokertest.Server(t, brokertest.In(dir), brokertest.At(port))
	require.Eventually(t, func() bool { return o.Broker.Err() == nil }, time.Minute, 10*time.Millisecond)
	assert.Equal(t, Counts{Items: 1, Moved: 1}, finished(t, s, j.ID).Counts)
	assert.Equal(t, map[int]int{0: 1}, outcomes(t, s, j.ID))
	second := file(t, s, order(2))
	assert.Equal(t, Counts{Items: 2, Moved: 2}, finished(t, s, second.ID).Counts)
}
