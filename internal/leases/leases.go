// Package leases divides the associations with each named PACS among the gateways that share a NATS, so that all of them together never
// have more than max_associations open. Each association is a slot, and each slot a key of one bucket: who wrote it by compare-and-set
// has it. A gateway has reserved slots, which stay its own while it is cut off or starts again, and leases, which end unless they are
// renewed: it closes their associations before NATS lets another gateway take their slots. Slots are taken in small blocks when
// operations wait, and given back when they are not used or when another gateway needs them more.
//
// The path of a request asks nobody: package pool counts against a limit that this package sets.
package leases

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"dicom-qr-gateway/internal/pool"
)

// Broker is the connection to a JetStream that several gateways share.
type Broker interface {
	JetStream() jetstream.JetStream
	Conn() *nats.Conn
}

// Options are those of Leases.
type Options struct {
	Broker   Broker
	Pool     *pool.Pool
	PACS     func() []pool.Peer // the named PACS, as they are configured now
	Gateway  string             // the name of this gateway, which no other one has, the same after a restart
	Replicas int                // of the bucket
	Log      zerolog.Logger
	Lost     func(pacs string) // called for each lease that was not renewed in time; nil: nobody counts

	store  store  // nil: at NATS
	timing timing // the zero value: the usual one
}

// timing says how long what takes. A lease ends at NATS ttl after its last renewal. Its gateway opens no association in it when the last
// renewal is stop old, and closes what is open when it is closing old. So a process may be frozen for ttl minus renew minus the time that
// closing takes: 15 s, with a second to spare.
type timing struct {
	ttl, renew, stop, closing  time.Duration
	reservedTTL, reservedRenew time.Duration
	unused                     time.Duration // after which a slot is given back
	demand                     time.Duration // between two messages about the same PACS
	start                      time.Duration // without NATS after which Budget is Reserved
	operation                  time.Duration // how long NATS may take to answer
	settle                     time.Duration // after an outage of NATS before leases are taken
	tick, configure            time.Duration
}

var usual = timing{
	ttl: 20 * time.Second, renew: 3 * time.Second, stop: 12 * time.Second, closing: 17 * time.Second,
	reservedTTL: 24 * time.Hour, reservedRenew: time.Hour,
	unused: 5 * time.Second, demand: 200 * time.Millisecond, start: 2 * time.Second, operation: 2 * time.Second, tick: 100 * time.Millisecond,
	configure: time.Second, settle: 5 * time.Second,
}

// How max_associations are kept.
const (
	Shared   = "shared"   // together with the other gateways
	Reserved = "reserved" // NATS does not answer: with the reserved associations only
)

// Held is what this gateway has of the associations with one PACS.
type Held struct {
	PACS             string
	Reserved, Leased int
	Used             int // of both
	Limit            int // of all gateways together
}

// Leases are the slots of one gateway. Methods are safe for concurrent use.
type Leases struct {
	options  Options
	store    store
	timing   timing
	instance string

	events     chan func() // run by Run, which alone uses the fields below
	woken      chan struct{}
	ended      chan struct{} // closed when nothing receives from events
	state      atomic.Pointer[string]
	held       atomic.Pointer[[]Held]
	name       string
	doubled    bool // another gateway has the name
	running    int  // operations at NATS
	configured time.Time
	synced     bool             // the entries of the bucket are known
	unsync     time.Time        // since when they are not
	quiet      time.Time        // until when no leases are taken: gateways that started without NATS write down first what they use
	known      map[string]entry // by key
	units      map[string]*unit // by token
	refollow   context.CancelFunc
}

// New returns Leases that have no slot yet. From now on the named PACS wait for Run.
func New(o Options) *Leases {
	l := &Leases{
		options: o, store: o.store, timing: o.timing, instance: rand.Text(), name: o.Gateway,
		events: make(chan func()), woken: make(chan struct{}, 1), ended: make(chan struct{}),
		known: map[string]entry{}, units: map[string]*unit{}, refollow: func() {}, configured: time.Now(), unsync: time.Now(),
	}
	if l.store == nil {
		l.store = &natsStore{broker: o.Broker, replicas: max(o.Replicas, 1)}
	}
	if l.timing == (timing{}) {
		l.timing = usual
	}
	l.configure()
	l.publish()
	return l
}

// Budget returns Shared or Reserved.
func (l *Leases) Budget() string { return *l.state.Load() }

// Held returns what this gateway has of each PACS.
func (l *Leases) Held() []Held { return *l.held.Load() }

// Run takes, renews and gives back slots until ctx ends, and then frees them all. The caller ends ctx when no association is open.
func (l *Leases) Run(ctx context.Context) {
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		l.follow(following)
	}()
	ticker := time.NewTicker(l.timing.tick)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case f := <-l.events:
			f()
		case <-l.woken:
			l.planWoken()
		case <-ticker.C:
			l.tick()
		}
	}
	stop()
	l.leave(followed)
}

// do has f run by Run.
func (l *Leases) do(f func()) {
	select {
	case l.events <- f:
	case <-l.ended:
	}
}

// follow keeps the entries of the bucket and the demands of other gateways up to date.
func (l *Leases) follow(ctx context.Context) {
	pause := func() bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Second):
			return true
		}
	}
	var left func()
	for {
		stop, err := l.join(ctx)
		if err == nil {
			left = stop
			break
		}
		if !pause() {
			return
		}
	}
	defer left()
	for ctx.Err() == nil {
		again, cancel := context.WithCancel(ctx)
		l.do(func() { l.refollow = cancel })
		seen := map[string]entry{}
		synced := false
		err := l.store.follow(again, func(e entry) {
			if !synced {
				seen[e.key] = e
				return
			}
			l.do(func() { l.changed(e) })
		}, func() {
			synced = true
			l.do(func() { l.sync(seen) })
		})
		cancel()
		if err != nil {
			l.do(func() { l.lostSight(err) })
			if !pause() {
				return
			}
		}
	}
}

// join makes the gateway known to the others.
func (l *Leases) join(ctx context.Context) (stop func(), err error) {
	taken, unclaim, err := l.store.claim(ctx, l.options.Gateway, l.instance)
	if err != nil {
		return nil, err
	}
	if taken {
		l.do(l.rename)
		unclaim = func() {}
	}
	unlisten, err := l.store.listen(func(d demand) {
		if d.Gateway != l.instance {
			l.do(func() { l.demanded(d) })
		}
	})
	if err != nil {
		unclaim()
		return nil, err
	}
	return func() { unlisten(); unclaim() }, nil
}

// rename gives the gateway a name that no other one has, and no reserved slots: two gateways with one name would use the same ones.
func (l *Leases) rename() {
	if l.doubled {
		return
	}
	l.doubled = true
	l.name = l.options.Gateway + "~" + l.instance
	l.options.Log.Error().Str("gateway_name", l.options.Gateway).
		Msg("another gateway has this name: this one gets no reserved associations. Set GATEWAY_NAME to another name and start it again")
	l.configure()
}

// configure makes the units of the named PACS as they are configured now.
func (l *Leases) configure() {
	wanted := map[string]*unit{}
	for _, peer := range l.options.PACS() {
		key := unitToken(&peer)
		limit, reserved := 0, 0
		if s := peer.Settings; s != nil {
			limit, reserved = s.MaxAssociations, s.ReservedAssociations
		}
		if limit == 0 {
			continue
		}
		u := wanted[key]
		if u == nil {
			if u = l.units[key]; u == nil {
				u = newUnit(l, key, peer)
			}
			wanted[key] = u
			u.names, u.max, u.reserved = nil, 0, 0
		}
		u.names = append(u.names, peer.Name)
		u.max, u.reserved = max(u.max, limit), max(u.reserved, reserved)
	}
	for key, u := range l.units {
		if wanted[key] == nil {
			u.names, u.max, u.reserved = nil, 0, 0
			u.plan()
			if len(u.slots) > 0 {
				wanted[key] = u // until its slots are free
			}
		}
	}
	l.units = wanted
	for _, u := range l.units {
		u.reserved = min(u.reserved, u.max)
		if l.doubled {
			u.reserved = 0
		}
		u.plan()
	}
}

// sync takes in all entries of the bucket.
func (l *Leases) sync(seen map[string]entry) {
	if !l.synced && time.Since(l.unsync) >= l.timing.start {
		l.quiet = time.Now().Add(l.timing.settle)
	}
	l.known, l.synced = seen, true
	for _, u := range l.units {
		u.seen, u.assumed = true, 0
		for i := range u.slots {
			u.compare(i, l.known[u.key(i)])
		}
		u.plan()
	}
}

// changed takes in one entry.
func (l *Leases) changed(e entry) {
	if e.revision < l.known[e.key].revision {
		return
	}
	l.known[e.key] = e
	u, i := l.slotOf(e.key)
	if u == nil {
		return
	}
	u.compare(i, e)
	u.planSoon()
}

var errLate = errors.New("leases were not renewed in time")

// lostSight notes that the entries are not up to date.
func (l *Leases) lostSight(err error) {
	if l.synced {
		l.synced, l.unsync = false, time.Now()
		l.refollow()
		l.options.Log.Warn().Str("reason", err.Error()).Msg("the budgets of associations are out of sight")
	}
}

func (l *Leases) demanded(d demand) {
	if u := l.units[d.Unit]; u != nil {
		u.demands[d.Gateway] = demanded{d, time.Now()}
		u.planSoon()
	}
}

// planWoken plans for the PACS with operations that have begun to wait.
func (l *Leases) planWoken() {
	for _, u := range l.units {
		if u.woken.Swap(false) {
			u.planSoon()
		}
	}
}

// tick does what is due.
func (l *Leases) tick() {
	now := time.Now()
	if now.Sub(l.configured) >= l.timing.configure {
		l.configured = now
		l.configure()
		l.publish()
	}
	for _, u := range l.units {
		u.tick(now)
	}
}

// publish makes the state known to Budget and Held.
func (l *Leases) publish() {
	state := Shared
	if !l.synced && time.Since(l.unsync) >= l.timing.start {
		state = Reserved
	}
	if before := l.state.Load(); before == nil || *before != state {
		l.state.Store(&state)
		switch {
		case state == Reserved:
			l.options.Log.Error().Msg("the budgets of associations cannot be shared, NATS does not answer: going on with the reserved associations")
		case before != nil:
			l.options.Log.Info().Msg("the budgets of associations are shared again")
		}
	}
	held := []Held{}
	for _, u := range l.units {
		held = append(held, u.held()...)
	}
	l.held.Store(&held)
}

// leave frees all slots. It returns when nothing runs any more that Run has started.
func (l *Leases) leave(followed <-chan struct{}) {
	for _, u := range l.units {
		u.names, u.max, u.reserved, u.assumed = nil, 0, 0, 0
		u.plan()
	}
	for followed != nil || l.running > 0 {
		select {
		case f := <-l.events:
			f()
		case <-followed:
			followed = nil
		}
	}
	close(l.ended)
}
