package qr

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

func TestACallerThatGoesAwayCancelsTheFind(t *testing.T) {
	gone := errors.New("gone")
	ctx, leave := context.WithCancelCause(t.Context())
	p := &pacs{find: func(a *association, _ string) {
		a.match(study("P1", "1.1"))
		leave(gone)
		a.awaitCancel()
		a.done(dicomnet.StatusCancel)
	}}
	g := p.gateway(t, Options{OperationTimeout: time.Hour})
	_, err := g.Query(ctx, thePACS, Filter{PatientID: "P1"})
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, err, gone, "the cause tells why")
	assert.Equal(t, dicomnet.StepFind, stepOf(t, err))
	assert.Equal(t, []string{"associate FIND", "find STUDY ", "cancel", "release"}, p.seen(t, g))
}

func TestACallerThatIsGoneAlreadyGetsNothing(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	leave()
	p := &pacs{}
	g := p.gateway(t, Options{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, ctx.Err() }})
	_, err := g.Query(ctx, thePACS, Filter{PatientID: "P1"})
	assert.ErrorIs(t, err, context.Canceled)
}

func TestAnOperationHasItsOwnTimeout(t *testing.T) {
	t.Run("while matches trickle in", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &pacs{find: func(a *association, _ string) {
				for i := range 7 {
					a.match(study("P1", fmt.Sprintf("1.%d", i)))
					dicomtest.Wait(9 * time.Second)
				}
				a.awaitCancel()
				a.done(dicomnet.StatusCancel)
			}}
			g := p.gateway(t, Options{OperationTimeout: time.Minute})
			start := time.Now()
			_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
			var timeout *OperationTimeoutError
			require.ErrorAs(t, err, &timeout)
			assert.True(t, timeout.Timeout())
			assert.Equal(t, time.Minute, timeout.After)
			assert.NotErrorIs(t, err, context.Canceled)
			assert.EqualError(t, err, "find: operation timeout")
			assert.LessOrEqual(t, time.Since(start), 62*time.Second)
			require.NoError(t, g.Wait(t.Context()))
			_ = p.script.Err() // the peer writes on where the association is gone
		})
	})
	t.Run("while connecting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := New(Options{OperationTimeout: time.Second, LookupHost: someAddress, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}})
			_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
			var timeout *OperationTimeoutError
			require.ErrorAs(t, err, &timeout)
			assert.Equal(t, dicomnet.StepConnect, stepOf(t, err))
		})
	})
	t.Run("but a deadline of the caller is the caller's", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			p := &pacs{find: func(a *association, _ string) { a.awaitCancel(); a.done(dicomnet.StatusCancel) }}
			g := p.gateway(t, Options{OperationTimeout: time.Minute})
			_, err := g.Query(ctx, thePACS, Filter{PatientID: "P1"})
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			var timeout *OperationTimeoutError
			assert.NotErrorAs(t, err, &timeout)
			p.seen(t, g)
		})
	})
}

func TestTheAnswerDoesNotWaitForTheRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{find: func(a *association, _ string) {
			a.done(dicomnet.StatusSuccess)
			a.ReadPDU() // the release request, which gets no answer
			a.ReadPDU()
			a.pacs.saw("given up")
		}}
		g := p.gateway(t, Options{})
		start := time.Now()
		_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
		require.NoError(t, err)
		assert.Zero(t, time.Since(start))
		assert.Contains(t, p.seen(t, g), "given up")
		assert.Equal(t, 10*time.Second, time.Since(start), "the ACSE timeout bounds the release")
	})
}

func TestAGatewayRunsOperationsAtTheSameTime(t *testing.T) {
	p := &pacs{studies: []attributes{study("P1", "1.1"), study("P2", "1.2")}}
	g := p.gateway(t, Options{})
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			result, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
			if assert.NoError(t, err) {
				assert.Equal(t, []string{"1.1"}, picked(result.Studies))
			}
		})
	}
	wait.Wait()
	assert.Len(t, p.seen(t, g), 60)
}
