package leases

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/broker/brokertest"
	"dicom-qr-gateway/internal/pool"
)

// follower of a bucket at NATS.
type observed struct {
	mu      sync.Mutex
	entries map[string]entry
	syncs   int
	err     chan error
}

func observe(ctx context.Context, s store) *observed {
	o := &observed{entries: map[string]entry{}, err: make(chan error, 1)}
	go func() {
		o.err <- s.follow(ctx, func(e entry) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.entries[e.key] = e
		}, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.syncs++
		})
	}()
	return o
}

func (o *observed) await(t *testing.T, what string, seen func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return seen()
	}, 10*time.Second, time.Millisecond, what)
}

func TestEntriesAreWrittenByCompareAndSetAndExpire(t *testing.T) {
	server := brokertest.Server(t)
	s := &natsStore{broker: brokertest.Shared(t, server.ClientURL()), replicas: 1}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := observe(ctx, s)
	seen.await(t, "the empty bucket", func() bool { return seen.syncs == 1 })
	mine, other := holder{Gateway: "a", Instance: "1"}, holder{Gateway: "b", Instance: "2", Reserved: true}

	first, err := s.put(ctx, "p.0", mine, 0, time.Hour)
	require.NoError(t, err)
	_, err = s.put(ctx, "p.0", other, 0, time.Hour)
	require.ErrorIs(t, err, errChanged)
	e, err := s.get(ctx, "p.0")
	require.NoError(t, err)
	assert.Equal(t, entry{key: "p.0", revision: first, holder: mine}, e)
	second, err := s.put(ctx, "p.0", mine, first, time.Hour)
	require.NoError(t, err, "a renewal")
	_, err = s.free(ctx, "p.0", first)
	require.ErrorIs(t, err, errChanged)
	freed, err := s.free(ctx, "p.0", second)
	require.NoError(t, err)
	seen.await(t, "the free slot", func() bool { return seen.entries["p.0"] == entry{key: "p.0", revision: freed} })
	last, err := s.put(ctx, "p.0", other, freed, time.Second)
	require.NoError(t, err)
	seen.await(t, "the slot of the other gateway", func() bool { return seen.entries["p.0"].holder == other })
	seen.await(t, "the end of the lease", func() bool {
		return seen.entries["p.0"].holder == holder{} && seen.entries["p.0"].revision > last
	})
	e, err = s.get(ctx, "p.1")
	require.NoError(t, err)
	assert.Equal(t, entry{key: "p.1"}, e)

	_, err = s.broker.JetStream().Publish(ctx, subject+"p.2", []byte("no JSON"))
	require.NoError(t, err)
	seen.await(t, "an entry that cannot be read counts as taken", func() bool { return seen.entries["p.2"].holder.Gateway == unknownHolder })
	cancel()
	require.NoError(t, <-seen.err)

	server.Shutdown()
	lost, end := context.WithTimeout(t.Context(), time.Second)
	defer end()
	_, err = s.put(lost, "p.3", mine, 0, time.Hour)
	require.Error(t, err)
	_, err = s.get(lost, "p.3")
	require.Error(t, err)
	require.Error(t, s.follow(lost, func(entry) {}, func() {}))
}

func TestGatewaysKnowEachOther(t *testing.T) {
	server := brokertest.Server(t)
	a, b := &natsStore{broker: brokertest.Shared(t, server.ClientURL())}, &natsStore{broker: brokertest.Shared(t, server.ClientURL())}
	taken, forget, err := a.claim(t.Context(), "gateway.1:6000", "1")
	require.NoError(t, err)
	assert.False(t, taken)
	require.NoError(t, a.broker.Conn().Flush())
	taken, _, err = b.claim(t.Context(), "gateway.1:6000", "2")
	require.NoError(t, err)
	assert.True(t, taken)
	forget()
	require.NoError(t, a.broker.Conn().Flush())
	taken, forget, err = b.claim(t.Context(), "gateway.1:6000", "2")
	require.NoError(t, err)
	assert.False(t, taken)
	forget()

	got := make(chan demand, 1)
	stop, err := b.listen(func(d demand) { got <- d })
	require.NoError(t, err)
	defer stop()
	require.NoError(t, b.broker.Conn().Flush())
	require.NoError(t, a.broker.Conn().Publish(demandSubject, []byte("{")))
	sent := demand{Gateway: "1", Unit: "p", Waiting: 3, Held: 1}
	require.NoError(t, a.send(sent))
	assert.Equal(t, sent, <-got)
}

// quick is usual, for tests that wait for a real NATS.
var quick = timing{
	ttl: 2 * time.Second, renew: 200 * time.Millisecond, stop: time.Second, closing: 1500 * time.Millisecond,
	reservedTTL: time.Hour, reservedRenew: time.Hour,
	unused: 500 * time.Millisecond, demand: 20 * time.Millisecond, start: 500 * time.Millisecond, operation: time.Second,
	tick: 10 * time.Millisecond, configure: 50 * time.Millisecond, settle: 10 * time.Millisecond,
}

func TestGatewayLosesItsLeasesWhileNATSIsAwayAndTakesThemAgain(t *testing.T) {
	dir := t.TempDir()
	server := brokertest.Server(t, brokertest.In(dir))
	port := brokertest.Port(server)
	hold := make(chan struct{})
	pacs := &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, _ string) {
		<-hold
		a.Finish(dicomnet.StatusSuccess)
	}}
	w := newWorld(t, 4, 1, 0)
	w.pacs = pacs
	var o *Options
	g := w.gateway("a", func(options *Options) {
		o = options
		o.Broker, o.store, o.timing, o.Log = brokertest.Shared(t, server.ClientURL()), nil, quick, zerolog.Nop()
	})
	stop := g.callers(4, false)
	used := func() int { return g.pool.Share(w.peer).Usage().Used }
	require.Eventually(t, func() bool { return used() == 4 }, 10*time.Second, time.Millisecond)
	server.Shutdown()
	server.WaitForShutdown()
	require.Eventually(t, func() bool { return used() == 1 }, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return g.leases.Budget() == Reserved }, 10*time.Second, time.Millisecond)
	brokertest.Server(t, brokertest.In(dir), brokertest.At(port))
	require.Eventually(t, func() bool { return used() == 4 && g.leases.Budget() == Shared }, 20*time.Second, time.Millisecond)

	require.NoError(t, o.Broker.JetStream().DeleteKeyValue(t.Context(), bucket))
	require.Eventually(t, func() bool {
		keys, err := o.Broker.JetStream().KeyValue(t.Context(), bucket)
		if err != nil {
			return false
		}
		status, err := keys.Status(t.Context())
		return err == nil && status.Values() >= 4 && used() == 4
	}, 20*time.Second, 10*time.Millisecond, "the bucket is made again")
	close(hold)
	_, failed := stop()
	for _, err := range failed {
		busy := (*pool.BusyError)(nil)
		require.ErrorAs(t, err, &busy)
		assert.Equal(t, pool.ShareLost, busy.Reason)
	}
	g.stop()
	assert.Equal(t, 4, w.mostOpen())
}
