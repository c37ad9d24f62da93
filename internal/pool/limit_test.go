package pool_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
	"dicom-qr-gateway/server/problem"
)

func TestAssociationsWithAPeerAreLimitedAndTheOthersQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open openCounter
		p := &dicomtest.ScriptedPACS{Find: findAfter(time.Second)}
		g := qrtest.For(p, qrtest.Options{
			MaxAssociationsPerPeer: 3, QueueTimeout: 4500 * time.Millisecond, DialContext: open.count(p.DialContext),
		})
		start := time.Now()
		var answered, busy int
		var mu sync.Mutex
		var wait sync.WaitGroup
		for range 20 {
			wait.Go(func() {
				err := qrtest.Query(t.Context(), g)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					answered++
					return
				}
				assert.Equal(t, &dicomnet.OpError{Step: dicomnet.StepConnect, Err: &pool.BusyError{}}, err)
				assert.EqualError(t, err, "connect: no free association")
				assert.Equal(t, 4500*time.Millisecond, time.Since(start))
				busy++
			})
		}
		wait.Wait()
		assert.Equal(t, 15, answered, "three each second, the last three from 4 s on")
		assert.Equal(t, 5, busy)
		qrtest.Events(t, p, g)
		assert.Equal(t, 3, open.most)
		assert.Zero(t, g.InUse())
	})
}

func TestZeroLimitAllowsAnyNumberOfAssociations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open openCounter
		p := &dicomtest.ScriptedPACS{Find: findAfter(time.Second)}
		g := qrtest.For(p, qrtest.Options{DialContext: open.count(p.DialContext)})
		start := time.Now()
		var wait sync.WaitGroup
		for range 50 {
			wait.Go(func() { assert.NoError(t, qrtest.Query(t.Context(), g)) })
		}
		wait.Wait()
		assert.Equal(t, time.Second, time.Since(start), "no operation waits for another")
		qrtest.Events(t, p, g)
		assert.Equal(t, 50, open.most)
		assert.Zero(t, g.InUse())
	})
}

func TestZeroQueueTimeoutFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: findAfter(time.Second)}
		g := qrtest.For(p, qrtest.Options{MaxAssociationsPerPeer: 1})
		var wait sync.WaitGroup
		wait.Go(func() { assert.NoError(t, qrtest.Query(t.Context(), g)) })
		synctest.Wait()
		start := time.Now()
		var busy *pool.BusyError
		require.ErrorAs(t, qrtest.Query(t.Context(), g), &busy)
		assert.Zero(t, time.Since(start))
		wait.Wait()
		qrtest.Events(t, p, g)
		require.NoError(t, qrtest.Query(t.Context(), g))
		qrtest.Events(t, p, g)
	})
}

func TestSlotIsHeldUntilTheAssociationIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
			a.Finish(dicomnet.StatusSuccess)
			a.Expect(pdu.TypeReleaseRQ)
			dicomtest.Wait(3 * time.Second)
			a.SendPDU(&pdu.ReleaseRP{})
		}}
		g := qrtest.For(p, qrtest.Options{MaxAssociationsPerPeer: 1, QueueTimeout: time.Minute})
		start := time.Now()
		require.NoError(t, qrtest.Query(t.Context(), g))
		assert.Zero(t, time.Since(start), "the answer does not wait for the release")
		report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
		require.NoError(t, report.Err)
		assert.Equal(t, 3*time.Second, time.Since(start), "the next operation waits for the release")
		assert.Zero(t, report.Steps[1].Duration, "the wait for a slot is no part of connect")
		qrtest.Events(t, p, g)
	})
}

// One slot, and a PACS that accepts C-FIND and C-MOVE on different associations and aborts one of them.
func TestOperationKeepsItsSlotFromAssociationToAssociation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open openCounter
		p := &dicomtest.ScriptedPACS{
			Studies: threeStudies(),
			Negotiate: func(a *association) bool {
				return a.Number > 1 || a.Refuse(dicomnet.StudyRoot.Move)
			},
			Move: func(a *association, _ string) {
				dicomtest.Wait(time.Second)
				if a.Number == 2 {
					a.Abort()
					return
				}
				a.Moved(dicomnet.StatusSuccess, dicomtest.Count(1, 0, 0, -1))
			},
		}
		g := qrtest.For(p, qrtest.Options{
			MaxAssociationsPerPeer: 1, QueueTimeout: time.Minute, DialContext: open.count(p.DialContext),
		})
		var other time.Duration
		start := time.Now()
		var wait sync.WaitGroup
		matched := onMatched(func() {
			wait.Go(func() {
				assert.NoError(t, qrtest.Query(t.Context(), g))
				other = time.Since(start)
			})
		})
		result, err := g.Retrieve(t.Context(), qr.Call{Observer: matched}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST")
		require.NoError(t, err)
		assert.Equal(t, 2, result.Succeeded())
		wait.Wait()
		assert.Equal(t, 3*time.Second, other, "an operation that asks meanwhile waits until this one is over")
		qrtest.Events(t, p, g)
		assert.Equal(t, 1, open.most)
	})
}

// matchedObserver calls a function once the studies of a retrieve are known.
type matchedObserver struct {
	qr.Unobserved
	f func()
}

func (o matchedObserver) Matched([]qr.Study, []qr.Warning) error {
	o.f()
	return nil
}

func onMatched(f func()) qr.Observer { return matchedObserver{f: f} }

func TestCallerThatDisconnectsLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: findAfter(2 * time.Second)}
		g := qrtest.For(p, qrtest.Options{MaxAssociationsPerPeer: 1, QueueTimeout: 3 * time.Second})
		var wait sync.WaitGroup
		wait.Go(func() { assert.NoError(t, qrtest.Query(t.Context(), g)) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wait.Go(func() { assert.ErrorIs(t, qrtest.Query(ctx, g), context.DeadlineExceeded) })
		synctest.Wait()
		wait.Go(func() {
			assert.NoError(t, qrtest.Query(t.Context(), g), "behind the one that left, the wait would be 4 s")
		})
		wait.Wait()
		assert.Equal(t, []string{
			"associate FIND", "find STUDY", "release", "associate FIND", "find STUDY", "release",
		}, qrtest.Events(t, p, g))
	})
}

// twoAddresses returns a Gateway for a PACS with the addresses 192.0.2.1 and 192.0.2.2, with one slot each. Dial returns why
// an address cannot be dialled.
func twoAddresses(p *dicomtest.ScriptedPACS, o qrtest.Options, dial func(ctx context.Context, address string) error) *qrtest.Gateway {
	o.MaxAssociationsPerPeer, o.QueueTimeout = 1, 20*time.Second
	o.LookupHost = qrtest.Lookup("192.0.2.1", "192.0.2.2")
	o.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if err := dial(ctx, address); err != nil {
			return nil, err
		}
		p.Record("dial", address)
		return p.DialContext(ctx, network, address)
	}
	return qrtest.For(p, o)
}

// timeTwo returns how long two queries take that start together.
func timeTwo(t *testing.T, g *qrtest.Gateway) time.Duration {
	t.Helper()
	start := time.Now()
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() { assert.NoError(t, qrtest.Query(t.Context(), g)) })
		synctest.Wait()
	}
	wait.Wait()
	return time.Since(start)
}

func firstRefuses(_ context.Context, address string) error {
	if address == "192.0.2.1:104" {
		return errors.New("refused")
	}
	return nil
}

func TestSlotsOfANameWithTwoAddresses(t *testing.T) {
	t.Run("a full first address is waited for, not skipped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: findAfter(2 * time.Second)}
			g := twoAddresses(p, qrtest.Options{}, func(context.Context, string) error { return nil })
			assert.Equal(t, 4*time.Second, timeTwo(t, g))
			assert.NotContains(t, qrtest.Events(t, p, g), "dial 192.0.2.2:104")
		})
	})
	t.Run("if the first refuses, the second is waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: findAfter(2 * time.Second)}
			g := twoAddresses(p, qrtest.Options{}, firstRefuses)
			assert.Equal(t, 4*time.Second, timeTwo(t, g))
			assert.NotContains(t, qrtest.Events(t, p, g), "dial 192.0.2.1:104")
			assert.Zero(t, g.InUse())
		})
	})
	t.Run("a wait for the second that exceeds the connection timeout fails as busy", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: findAfter(9 * time.Second)}
			g := twoAddresses(p, qrtest.Options{Timeouts: dicomnet.Timeouts{
				Connection: 5 * time.Second, ACSE: qrtest.Timeout, DIMSE: qrtest.Timeout, Network: qrtest.Timeout,
			}}, firstRefuses)
			start := time.Now()
			var wait sync.WaitGroup
			wait.Go(func() { assert.NoError(t, qrtest.Query(t.Context(), g)) })
			synctest.Wait()
			var busy *pool.BusyError
			require.ErrorAs(t, qrtest.Query(t.Context(), g), &busy)
			assert.Equal(t, 5*time.Second, time.Since(start))
			wait.Wait()
			qrtest.Events(t, p, g)
			assert.Zero(t, g.InUse())
		})
	})
	t.Run("if the first is silent, each is tried in a slot of its own", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: findAfter(2 * time.Second)}
			g := twoAddresses(p, qrtest.Options{}, func(ctx context.Context, address string) error {
				if address == "192.0.2.1:104" {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			})
			// The first query is over at 2.3 s. The second then has the slot of the silent address, and looks for one at the
			// other address each time that AttemptDelay is over.
			assert.Equal(t, 8*pool.AttemptDelay+2*time.Second, timeTwo(t, g))
			qrtest.Events(t, p, g)
			assert.Zero(t, g.InUse())
		})
	})
}

func TestEchoReportsThatNoSlotIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{Find: findAfter(5 * time.Second)}
		g := qrtest.For(p, qrtest.Options{MaxAssociationsPerPeer: 1})
		var wait sync.WaitGroup
		wait.Go(func() { assert.NoError(t, qrtest.Query(t.Context(), g)) })
		synctest.Wait()
		report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
		assert.Equal(t, []string{"resolve ok", "connect failed"}, qrtest.Outcomes(report))
		qrtest.FailedStep(t, report)
		assert.Contains(t, problem.EchoHint(report, 1, false), "MAX_ASSOCIATIONS_PER_PACS")
		wait.Wait()
		qrtest.Events(t, p, g)
	})
}
