package qr

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
)

// answersAfter is C-FIND that takes a while.
func answersAfter(d time.Duration) func(*association, string) {
	return func(a *association, _ string) {
		dicomtest.Wait(d)
		a.match(study("P1", "1.1"))
		a.done(dicomnet.StatusSuccess)
	}
}

// most keeps how many associations a peer has, and has had at most.
type most struct {
	mu        sync.Mutex
	now, ever int
}

func (m *most) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now += n
	m.ever = max(m.ever, m.now)
}

// dialling counts connections from before they are dialled until they are closed.
func (m *most) dialling(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		m.add(1)
		conn, err := dial(ctx, network, address)
		if err != nil {
			m.add(-1)
			return nil, err
		}
		return &counted{Conn: conn, closed: sync.OnceFunc(func() { m.add(-1) })}, nil
	}
}

type counted struct {
	net.Conn
	closed func()
}

func (c *counted) Close() error {
	err := c.Conn.Close()
	c.closed()
	return err
}

func TestNoMoreAssociationsThanMayBeAreOpenToAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open most
		p := &pacs{find: answersAfter(time.Second)}
		g := p.gateway(t, Options{MaxAssociationsPerPeer: 3, QueueTimeout: 4500 * time.Millisecond})
		g.options.DialContext = open.dialling(p.script.DialContext)
		start := time.Now()
		var answered, busy int
		var mu sync.Mutex
		var wait sync.WaitGroup
		for range 20 {
			wait.Go(func() {
				_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					answered++
					return
				}
				assert.Equal(t, &dicomnet.OpError{Step: dicomnet.StepConnect, Err: &BusyError{}}, err)
				assert.EqualError(t, err, "connect: no free association")
				assert.Equal(t, 4500*time.Millisecond, time.Since(start))
				busy++
			})
		}
		wait.Wait()
		assert.Equal(t, 15, answered, "3 a second, and who begins before 4.5 s are over")
		assert.Equal(t, 5, busy)
		p.seen(t, g)
		assert.Equal(t, 3, open.ever)
		assert.Empty(t, g.places.peers, "nothing is kept of a peer that nobody talks to")
	})
}

func TestAPlaceIsHeldUntilTheReleaseIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{find: func(a *association, _ string) {
			a.done(dicomnet.StatusSuccess)
			a.Expect(pdu.TypeReleaseRQ)
			dicomtest.Wait(3 * time.Second)
			a.SendPDU(&pdu.ReleaseRP{})
			a.ReadPDU()
		}}
		g := p.gateway(t, Options{MaxAssociationsPerPeer: 1, QueueTimeout: time.Minute})
		start := time.Now()
		_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
		require.NoError(t, err)
		assert.Zero(t, time.Since(start), "the caller does not wait for it")
		report := g.Echo(t.Context(), thePACS)
		require.Error(t, report.Err, "this PACS knows C-FIND alone")
		assert.Equal(t, 3*time.Second, time.Since(start), "but the next one does")
		assert.Zero(t, report.Steps[1].Duration, "which is no part of connecting")
		require.NoError(t, g.Wait(t.Context()))
		_ = p.script.Err()
	})
}

// One place, and a retrieve whose PACS takes C-FIND and C-MOVE on different associations, and loses one.
func TestAnOperationDoesNotWaitForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open most
		p := &pacs{
			studies: threeStudies(),
			accepts: func(nth int, sopClass string) bool { return nth > 1 || sopClass == dicomnet.StudyRoot.Find },
			move: func(a *association, uid string) {
				dicomtest.Wait(time.Second)
				if a.nth == 2 {
					a.abort()
					return
				}
				a.final(dicomnet.StatusSuccess, count(1, 0, 0, -1))
			},
		}
		g := p.gateway(t, Options{MaxAssociationsPerPeer: 1, QueueTimeout: time.Minute})
		g.options.DialContext = open.dialling(p.script.DialContext)
		var second time.Duration
		start := time.Now()
		var wait sync.WaitGroup
		result, err := g.Retrieve(t.Context(), thePACS, Filter{PatientID: "P1"}, "DEST", Progress{Matched: func([]Study, []Warning) {
			wait.Go(func() {
				assert.NoError(t, query(t.Context(), g))
				second = time.Since(start)
			})
		}})
		require.NoError(t, err)
		assert.Equal(t, 2, result.Succeeded())
		wait.Wait()
		assert.Equal(t, 3*time.Second, second, "who comes in the meantime waits until the operation is over")
		p.seen(t, g)
		assert.Equal(t, 1, open.ever)
	})
}

func TestACallerThatLeavesFreesItsPlaceInTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{find: answersAfter(2 * time.Second)}
		g := p.gateway(t, Options{MaxAssociationsPerPeer: 1, QueueTimeout: 3 * time.Second})
		var wait sync.WaitGroup
		wait.Go(func() { assert.NoError(t, query(t.Context(), g)) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wait.Go(func() { assert.ErrorIs(t, query(ctx, g), context.DeadlineExceeded) })
		synctest.Wait()
		wait.Go(func() { assert.NoError(t, query(t.Context(), g), "else it would wait for 4 s") })
		wait.Wait()
		assert.Equal(t, []string{
			"associate FIND", "find STUDY ", "release", "associate FIND", "find STUDY ", "release",
		}, p.seen(t, g))
	})
}

// Two addresses: the first is full, refuses or is silent.
func TestThePlacesOfANameWithSeveralAddresses(t *testing.T) {
	refused := errors.New("refused")
	setup := func(t *testing.T, dial func(ctx context.Context, address string) error) (*Gateway, *pacs) {
		p := &pacs{find: answersAfter(2 * time.Second)}
		g := p.gateway(t, Options{
			MaxAssociationsPerPeer: 1, QueueTimeout: 20 * time.Second,
			LookupHost: func(context.Context, string) ([]string, error) { return []string{"192.0.2.1", "192.0.2.2"}, nil },
		})
		g.options.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if err := dial(ctx, address); err != nil {
				return nil, err
			}
			p.saw("dial", address)
			return p.script.DialContext(ctx, network, address)
		}
		return g, p
	}
	twice := func(t *testing.T, g *Gateway) time.Duration {
		t.Helper()
		start := time.Now()
		var wait sync.WaitGroup
		for range 2 {
			wait.Go(func() { assert.NoError(t, query(t.Context(), g)) })
			synctest.Wait()
		}
		wait.Wait()
		return time.Since(start)
	}
	t.Run("the first is waited for, not passed over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, p := setup(t, func(context.Context, string) error { return nil })
			assert.Equal(t, 4*time.Second, twice(t, g))
			assert.NotContains(t, p.seen(t, g), "dial 192.0.2.2:104")
		})
	})
	t.Run("where it refuses, the second is waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, p := setup(t, func(_ context.Context, address string) error {
				if address == "192.0.2.1:104" {
					return refused
				}
				return nil
			})
			assert.Equal(t, 4*time.Second, twice(t, g))
			assert.NotContains(t, p.seen(t, g), "dial 192.0.2.1:104")
			assert.Empty(t, g.places.peers)
		})
	})
	t.Run("who waits there for too long is told that the PACS is busy", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, p := setup(t, func(_ context.Context, address string) error {
				if address == "192.0.2.1:104" {
					return refused
				}
				return nil
			})
			p.find = answersAfter(9 * time.Second)
			g.options.Timeouts.Connection = 5 * time.Second
			start := time.Now()
			var wait sync.WaitGroup
			wait.Go(func() { assert.NoError(t, query(t.Context(), g)) })
			synctest.Wait()
			err := query(t.Context(), g)
			var busy *BusyError
			require.ErrorAs(t, err, &busy)
			assert.Equal(t, 5*time.Second, time.Since(start))
			wait.Wait()
			p.seen(t, g)
			assert.Empty(t, g.places.peers)
		})
	})
	t.Run("where it is silent, each is tried in its own place", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, p := setup(t, func(ctx context.Context, address string) error {
				if address == "192.0.2.1:104" {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			})
			// The first caller is done at 2.3 s. The second then has the place at the silent address, and looks for one at the
			// other each time that attemptDelay is over.
			assert.Equal(t, 8*attemptDelay+2*time.Second, twice(t, g))
			p.seen(t, g)
			assert.Empty(t, g.places.peers)
		})
	})
}

func TestWhoeverWaitsInLineAtEchoIsToldInItsReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{find: answersAfter(5 * time.Second)}
		g := p.gateway(t, Options{MaxAssociationsPerPeer: 1, QueueTimeout: -1})
		var wait sync.WaitGroup
		wait.Go(func() { assert.NoError(t, query(t.Context(), g)) })
		synctest.Wait()
		report := g.Echo(t.Context(), thePACS)
		assert.Equal(t, []string{"resolve ok", "connect failed"}, outcomes(report))
		assert.Contains(t, failing(t, report).Hint, "MAX_ASSOCIATIONS_PER_PACS")
		wait.Wait()
		p.seen(t, g)
	})
}
