package qr_test

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
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

func TestCancelledQuerySendsCancel(t *testing.T) {
	cause := errors.New("caller disconnected")
	ctx, cancel := context.WithCancelCause(t.Context())
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
		a.Match(study("P1", "1.1"))
		cancel(cause)
		a.AwaitCancel()
		a.Finish(dicomnet.StatusCancel)
	}}
	g := qrtest.For(p, qrtest.Options{OperationTimeout: time.Hour})
	_, err := g.Query(ctx, qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, err, cause)
	assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
	assert.Equal(t, []string{"associate FIND", "find STUDY", "cancel", "release"}, qrtest.Events(t, p, g))
}

func TestQueryWithACancelledContextFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := &dicomtest.ScriptedPACS{}
	g := qrtest.For(p, qrtest.Options{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, ctx.Err() }})
	_, err := g.Query(ctx, qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	assert.ErrorIs(t, err, context.Canceled)
}

func TestOperationTimeoutEndsAQuery(t *testing.T) {
	t.Run("during matches", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
				for i := range 7 {
					a.Match(study("P1", fmt.Sprintf("1.%d", i)))
					dicomtest.Wait(9 * time.Second)
				}
				a.AwaitCancel()
				a.Finish(dicomnet.StatusCancel)
			}}
			g := qrtest.For(p, qrtest.Options{OperationTimeout: time.Minute})
			start := time.Now()
			_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
			var timeout *qr.OperationTimeoutError
			require.ErrorAs(t, err, &timeout)
			assert.True(t, timeout.Timeout())
			assert.Equal(t, time.Minute, timeout.After)
			assert.NotErrorIs(t, err, context.Canceled)
			assert.EqualError(t, err, "find: operation timeout")
			assert.LessOrEqual(t, time.Since(start), 62*time.Second)
			require.NoError(t, g.Wait(t.Context()))
			_ = p.Err() // the peer may write to an association that is closed
		})
	})
	t.Run("during connect", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := qrtest.New(qrtest.Options{OperationTimeout: time.Second, LookupHost: qrtest.Lookup("192.0.2.1"), DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}})
			_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
			var timeout *qr.OperationTimeoutError
			require.ErrorAs(t, err, &timeout)
			assert.Equal(t, dicomnet.StepConnect, qrtest.StepOf(t, err))
		})
	})
	t.Run("the deadline of the caller is no operation timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) { a.AwaitCancel(); a.Finish(dicomnet.StatusCancel) }}
			g := qrtest.For(p, qrtest.Options{OperationTimeout: time.Minute})
			_, err := g.Query(ctx, qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			var timeout *qr.OperationTimeoutError
			assert.NotErrorAs(t, err, &timeout)
			qrtest.Events(t, p, g)
		})
	})
}

func TestQueryDoesNotWaitForTheRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
			a.Finish(dicomnet.StatusSuccess)
			a.ReadPDU() // A-RELEASE-RQ, which gets no answer
			a.ReadPDU()
			a.PACS.Record("aborted", "")
		}}
		g := qrtest.For(p, qrtest.Options{})
		start := time.Now()
		_, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
		require.NoError(t, err)
		assert.Zero(t, time.Since(start))
		assert.Contains(t, qrtest.Events(t, p, g), "aborted")
		assert.Equal(t, 10*time.Second, time.Since(start), "the ACSE timeout bounds the release")
	})
}

func TestQueriesRunConcurrently(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Studies: []dicomtest.Attributes{study("P1", "1.1"), study("P2", "1.2")}}
	g := qrtest.For(p, qrtest.Options{})
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			result, err := g.Query(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"})
			if assert.NoError(t, err) {
				assert.Equal(t, []string{"1.1"}, qrtest.UIDs(result.Studies))
			}
		})
	}
	wait.Wait()
	assert.Len(t, qrtest.Events(t, p, g), 60)
}
