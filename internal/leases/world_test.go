package leases

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/suyashkumar/dicom"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/principal"
)

var errDown = errors.New("down")

// world is a NATS and a PACS for several gateways, with the time of a test.
type world struct {
	t    *testing.T
	pacs *dicomtest.ScriptedPACS
	peer pool.Peer

	mu        sync.Mutex
	down      bool
	sequence  uint64
	entries   map[string]*stored
	followers map[*follower]bool
	listeners map[*site]func(demand)
	names     map[string]string
	open      int
	most      int
}

type stored struct {
	entry
	expires time.Time
}

type follower struct {
	site    *site
	updates chan entry
}

// newWorld returns a world with a PACS that accepts as many associations and answers after a while.
func newWorld(t *testing.T, limit, reserved int, answer time.Duration) *world {
	w := &world{t: t, entries: map[string]*stored{}, followers: map[*follower]bool{}, listeners: map[*site]func(demand){}, names: map[string]string{}}
	w.pacs = &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, _ string) {
		time.Sleep(answer)
		a.Finish(dicomnet.StatusSuccess)
	}}
	w.peer = pool.Peer{
		Name: "main", Host: "192.0.2.1", Port: 104, CalledAETitle: "PACS", CallingAETitle: "GATEWAY",
		Settings: &pool.Settings{MaxAssociations: limit, ReservedAssociations: reserved},
	}
	return w
}

// site is one gateway in the world.
type site struct {
	*world
	name   string
	pool   *pool.Pool
	leases *Leases
	cut    bool // from NATS
	kill   context.CancelFunc
	ended  chan struct{}
}

// gateway starts a gateway. stop stops it in order.
func (w *world) gateway(name string, change ...func(*Options)) *site {
	g := &site{world: w, name: name, ended: make(chan struct{})}
	g.pool = pool.New(pool.Options{
		Timeouts:     dicomnet.Timeouts{Connection: time.Minute, ACSE: time.Minute, DIMSE: time.Minute, Network: time.Minute},
		QueueTimeout: 2 * time.Minute, MaxOperations: 1000, AssociationIdle: 10 * time.Second, DialContext: w.dial,
	})
	o := Options{
		Pool: g.pool, PACS: func() []pool.Peer { return []pool.Peer{w.peer} }, Gateway: name, Log: zerolog.Nop(), store: g,
	}
	for _, f := range change {
		f(&o)
	}
	g.leases = New(o)
	var ctx context.Context
	ctx, g.kill = context.WithCancel(context.Background())
	go func() {
		defer close(g.ended)
		g.leases.Run(ctx)
	}()
	return g
}

func (g *site) stop() {
	g.pool.Drain()
	assert.NoError(g.t, g.pool.Wait(context.Background()))
	g.kill()
	<-g.ended
}

// crash ends the gateway without a word to NATS.
func (g *site) crash() {
	g.isolate(true)
	g.stop()
	g.forget(g)
}

// forget has nobody answer for the name of a gateway that has ended.
func (w *world) forget(g *site) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.names, g.name)
}

func (g *site) isolate(cut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cut = cut
}

var identifier = &dicom.Dataset{Elements: []*dicom.Element{level}}

var level, _ = dataset.NewElement(dataset.QueryRetrieveLevel, "CS", "STUDY")

// query sends a C-FIND to the PACS.
func (g *site) query(ctx context.Context, batch bool) error {
	s := g.pool.Session(g.peer, principal.Principal{Key: g.name}.Identity(), nil)
	defer s.End(ctx)
	if batch {
		s.Batch()
	}
	if err := s.Open(ctx, dicomnet.StudyRoot.Find); err != nil {
		return err
	}
	return s.Repeatable(ctx, dicomnet.StudyRoot.Find, func() error {
		for _, err := range s.Association().Find(ctx, dicomnet.StudyRoot, identifier) {
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// dial counts the connections with the PACS.
func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	w.open++
	w.most = max(w.most, w.open)
	w.mu.Unlock()
	conn, err := w.pacs.DialContext(ctx, network, address)
	closed := sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.open--
	})
	if err != nil {
		closed()
		return nil, err
	}
	return &counted{conn, closed}, nil
}

type counted struct {
	net.Conn
	closed func()
}

func (c *counted) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

func (w *world) set(e entry, ttl time.Duration) {
	w.entries[e.key] = &stored{e, time.Now().Add(ttl)}
	for f := range w.followers {
		if !f.site.unreachable() {
			f.updates <- e
		}
	}
	time.AfterFunc(ttl, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if now := w.entries[e.key]; now != nil && now.revision == e.revision {
			if e.holder == (holder{}) {
				delete(w.entries, e.key)
				return
			}
			w.sequence++
			w.set(entry{key: e.key, revision: w.sequence}, time.Minute)
		}
	})
}

func (g *site) unreachable() bool { return g.down || g.cut }

func (g *site) follow(ctx context.Context, changed func(entry), synced func()) error {
	f := &follower{g, make(chan entry, 1000)}
	g.mu.Lock()
	if g.unreachable() {
		g.mu.Unlock()
		return errDown
	}
	for _, e := range g.entries {
		f.updates <- e.entry
	}
	g.followers[f] = true
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.followers, f)
	}()
	for len(f.updates) > 0 {
		changed(<-f.updates)
	}
	synced()
	check := time.NewTicker(time.Second)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-f.updates:
			changed(e)
		case <-check.C:
			g.mu.Lock()
			lost := g.unreachable()
			g.mu.Unlock()
			if lost {
				return errDown
			}
		}
	}
}

// exchange waits for the network and then runs f under the lock if NATS is reachable.
func (g *site) exchange(f func() error) error {
	time.Sleep(time.Millisecond)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.unreachable() {
		return errDown
	}
	return f()
}

func (g *site) write(e entry, last uint64, ttl time.Duration) (revision uint64, err error) {
	err = g.exchange(func() error {
		current := uint64(0)
		if now := g.entries[e.key]; now != nil {
			current = now.revision
		}
		if current != last {
			return errChanged
		}
		g.sequence++
		e.revision, revision = g.sequence, g.sequence
		g.set(e, ttl)
		return nil
	})
	return revision, err
}

func (g *site) put(_ context.Context, key string, h holder, last uint64, ttl time.Duration) (uint64, error) {
	return g.write(entry{key: key, holder: h}, last, ttl)
}

func (g *site) free(_ context.Context, key string, last uint64) (uint64, error) {
	return g.write(entry{key: key}, last, time.Minute)
}

func (g *site) get(_ context.Context, key string) (e entry, err error) {
	e.key = key
	err = g.exchange(func() error {
		if now := g.entries[key]; now != nil {
			e = now.entry
		}
		return nil
	})
	return e, err
}

func (g *site) send(d demand) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.unreachable() {
		return errDown
	}
	for other, received := range g.listeners {
		if !other.unreachable() {
			go received(d)
		}
	}
	return nil
}

func (g *site) listen(received func(demand)) (stop func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listeners[g] = received
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.listeners, g)
	}, nil
}

func (g *site) claim(_ context.Context, name, instance string) (taken bool, stop func(), err error) {
	err = g.exchange(func() error {
		if other := g.names[name]; other != "" && other != instance {
			taken = true
			return nil
		}
		g.names[name] = instance
		return nil
	})
	return taken, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.names[name] == instance {
			delete(g.names, name)
		}
	}, err
}

// holdings returns how many slots each gateway has at NATS.
func (w *world) holdings() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := map[string]int{}
	for _, e := range w.entries {
		if e.holder != (holder{}) {
			n[e.holder.Gateway]++
		}
	}
	return n
}

func (w *world) mostOpen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

// callers query through the gateway again and again until stop is called, which returns how many answers there were and the errors.
func (g *site) callers(n int, batch bool) (stop func() (answers int, failed []error)) {
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	var mu sync.Mutex
	answers, failed := 0, []error(nil)
	for range n {
		wait.Go(func() {
			for ctx.Err() == nil {
				leave := func() {}
				if batch {
					var err error
					if leave, err = g.pool.Room(ctx, g.peer); err != nil {
						return
					}
				}
				err := g.query(ctx, batch)
				leave()
				mu.Lock()
				if err == nil {
					answers++
				} else if ctx.Err() == nil {
					failed = append(failed, err)
				}
				mu.Unlock()
				if err != nil {
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	return func() (int, []error) {
		cancel()
		wait.Wait()
		return answers, failed
	}
}

func gatewayName(i int) string { return "gateway-" + strconv.Itoa(i) }

// inWorld runs f with the time of a test.
func inWorld(t *testing.T, limit, reserved int, answer time.Duration, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, limit, reserved, answer)
		f(t, w)
		time.Sleep(25 * time.Hour) // every timer of the world
	})
}

// halt stops NATS, or starts it again. A gateway that starts at that moment, while another one uses reserved associations that NATS does
// not know, is a limit of the design.
func (w *world) halt(down bool) {
	pause := func() {
		if !down {
			time.Sleep(10 * time.Second)
		}
	}
	pause()
	w.mu.Lock()
	w.down = down
	w.mu.Unlock()
	pause()
}

// known reports whether this process has had a slot at NATS.
func (g *site) known() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.entries {
		if e.holder.Instance == g.leases.instance {
			return true
		}
	}
	return g.peer.Settings.ReservedAssociations == 0
}
