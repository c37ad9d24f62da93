package leases

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"dicom-qr-gateway/internal/pool"
)

// unit is a PACS, which is a host and a port as PACS_FILE writes them. Several names may be one unit.
type unit struct {
	leases *Leases
	token  string
	share  *pool.Share
	woken  atomic.Bool

	names         []string
	max, reserved int
	slots         []slot

	seen    bool // the entries of the bucket were known once
	assumed int  // reserved slots that the gateway uses because it has never seen the bucket: they were its own before it started
	// most is how many slots the gateway keeps. It is less than it has while others are given back as soon as their operations end.
	most    int // math.MaxInt: all it has
	limit   int // of the share
	batch   int // of the share, for batch work
	usage   pool.Usage
	recent  []int // peaks of the last periods, the current one last
	period  time.Time
	planned time.Time
	later   bool // a plan is due
	demands map[string]demanded
	sent    time.Time // the last demand of this gateway
	given   time.Time // when a slot was given back because another gateway needed it
	lacking time.Time // since when reserved slots lack
	logged  bool      // that reserved slots lack
	late    time.Time // when the loss of a lease was logged
}

// slot is one association of a unit.
type slot struct {
	key   string // in the bucket
	lease *lease // nil: not this gateway's
	busy  bool   // an operation with its key is under way
	free  time.Time
}

// lease is a slot of this gateway.
type lease struct {
	revision uint64
	renewed  time.Time // when the last renewal that succeeded was sent
	tried    time.Time // when the last renewal was sent
	reserved bool
}

type demanded struct {
	demand
	at time.Time
}

const (
	// block is how many slots are taken at once for operations that wait.
	block = 2
	// periods is how many periods of the usage are remembered.
	periods = 5
	// planEvery is the least time between two plans that operations cause.
	planEvery = 10 * time.Millisecond
	// demandAge is how long a demand counts, in times of timing.demand.
	demandAge = 4
	// retry is how long NATS is left alone after a renewal that failed.
	retry = time.Second
	// urgent is how many operations seem to wait for a reserved slot.
	urgent = 1 << 20
)

func unitToken(peer *pool.Peer) string {
	return token(strings.ToLower(peer.Host) + ":" + strconv.Itoa(peer.Port))
}

func newUnit(l *Leases, token string, peer pool.Peer) *unit {
	u := &unit{
		leases: l, token: token, share: l.options.Pool.Share(peer), limit: -1, most: math.MaxInt, recent: make([]int, 1), period: time.Now(),
		demands: map[string]demanded{}, seen: l.synced,
	}
	u.share.Notify(func() {
		u.woken.Store(true)
		select {
		case l.woken <- struct{}{}:
		default:
		}
	})
	return u
}

func (u *unit) key(i int) string { return u.slots[i].key }

// slotOf returns the slot with the key; nil if it is of no unit.
func (l *Leases) slotOf(key string) (*unit, int) {
	name, number, _ := strings.Cut(key, ".")
	i, err := strconv.Atoi(number)
	u := l.units[name]
	if err != nil || u == nil || i < 0 || i >= len(u.slots) {
		return nil, 0
	}
	return u, i
}

// batchFrom returns the first of the slots that serve batch work: the last third of them, and at least one.
func (u *unit) batchFrom() int {
	const part = 3
	return u.max - max(u.max/part, 1)
}

// assume has the gateway use its reserved slots though it does not know the bucket. It gave them back if it stopped in order; leases that
// others took of them have ended by now if they cannot reach NATS either.
func (u *unit) assume() {
	if !u.seen {
		u.assumed = u.reserved
	}
}

// have counts the slots in which associations may be opened, and those of them that serve batch work and that are reserved.
func (u *unit) have(now time.Time) (all, batch, reserved int) {
	all = u.assumed
	for i := range u.slots {
		switch h := u.slots[i].lease; {
		case h == nil, !h.reserved && now.Sub(h.renewed) >= u.leases.timing.stop:
			continue
		case h.reserved:
			reserved++
		}
		all++
		if i >= u.batchFrom() {
			batch++
		}
	}
	return all, batch, reserved
}

// compare takes in the entry of a slot.
func (u *unit) compare(i int, e entry) {
	s := &u.slots[i]
	if e.holder == (holder{}) {
		if s.free.IsZero() {
			s.free = time.Now()
		}
	} else {
		s.free = time.Time{}
	}
	switch {
	case s.lease == nil:
	case e.revision < s.lease.revision && e.revision > 0:
		if e.holder.Instance != u.leases.instance && !s.busy {
			u.verify(i) // it is old, or the bucket was made again
		}
	case e.holder.Instance == u.leases.instance:
		s.lease.revision = e.revision
	case e.revision == 0 && e.holder == (holder{}):
		s.lease.revision, s.lease.tried = 0, time.Time{} // the bucket lost it: write it again at once
	default:
		if s.lease.reserved && e.holder.Gateway == u.leases.options.Gateway {
			u.leases.rename()
		}
		u.lost(i)
	}
}

// verify reads the entry of a slot that this gateway has, and gives the slot up if the entry says that another one has it.
func (u *unit) verify(i int) {
	u.start(i, func(context.Context, string) (uint64, error) { return 0, errChanged }, func(uint64, error) {})
}

// lost gives up a slot that another gateway may have by now.
func (u *unit) lost(i int) {
	u.slots[i].lease = nil
	all, _, _ := u.have(time.Now())
	u.share.Revoke(all)
	u.limit = -1
	if now := time.Now(); now.Sub(u.late) >= u.leases.timing.start {
		u.late = now
		u.leases.options.Log.Warn().Strs("pacs", u.names).Msg("leases of associations were not renewed in time: the associations are closed")
	}
	if u.leases.options.Lost != nil && len(u.names) > 0 {
		u.leases.options.Lost(u.names[0])
	}
}

// tick does what is due by time.
func (u *unit) tick(now time.Time) {
	l := u.leases
	if !l.synced && now.Sub(l.unsync) >= l.timing.ttl {
		u.assume()
	}
	active := u.later || u.usage.Waiting > 0 || u.usage.BatchWaiting > 0 || len(u.demands) > 0 || u.most < math.MaxInt
	for i := range u.slots {
		s := &u.slots[i]
		if s.lease == nil {
			continue
		}
		renew := l.timing.renew
		if s.lease.reserved {
			renew = l.timing.reservedRenew
		} else {
			active = true
			if now.Sub(s.lease.renewed) >= l.timing.closing {
				u.lost(i)
				l.lostSight(errLate)
				continue
			}
		}
		if !s.busy && (s.lease.revision == 0 || now.Sub(s.lease.renewed) >= renew) && now.Sub(s.lease.tried) >= min(renew/3, retry) {
			u.renew(i)
		}
	}
	if now.Sub(u.period) >= l.timing.unused/periods {
		u.period = now
		u.recent = append(u.recent, 0)
		if len(u.recent) > periods {
			u.recent = u.recent[1:]
		}
		active = true
	}
	if active {
		u.plan()
	}
}

// planSoon plans at once, or at the next tick if it has just been done.
func (u *unit) planSoon() {
	if time.Since(u.planned) < planEvery {
		u.later = true
		return
	}
	u.plan()
}

// plan decides which slots to take and which to give back.
func (u *unit) plan() {
	now := time.Now()
	u.later, u.planned = false, now
	u.resize()
	u.usage = u.share.Usage()
	u.recent[len(u.recent)-1] = max(u.recent[len(u.recent)-1], u.usage.Peak)
	pressed := u.pressure(now)
	u.share.Press(pressed)
	u.trim(now)
	if _, _, reserved := u.have(now); !u.secure(now, reserved) && u.most == math.MaxInt {
		u.take(now, pressed)
		u.giveBack(now)
	}
	u.apply(now)
}

// trim ends what is over: the end of giving back, reserved slots that are leases from now on, entries of a process with the name of this
// gateway that has ended.
func (u *unit) trim(now time.Time) {
	all, _, reserved := u.have(now)
	if u.most = max(u.most, u.reserved); u.most >= all {
		u.most = math.MaxInt
	}
	for i := range u.slots {
		s := &u.slots[i]
		if s.lease != nil && s.lease.reserved && reserved > u.reserved {
			s.lease.reserved, s.lease.renewed = false, now // its entry lives longer than a lease
			reserved--
		}
		if u.leases.synced && reserved >= u.reserved && s.lease == nil && !s.busy && u.own(i) {
			u.release(i, u.leases.known[u.key(i)].revision)
		}
	}
}

// own reports whether the entry of a slot says that this gateway has it.
func (u *unit) own(i int) bool {
	h := u.leases.known[u.key(i)].holder
	return h.Instance == u.leases.instance || h.Gateway == u.leases.name
}

// resize keeps as many slots as the PACS accepts associations, and those beyond that are still this gateway's.
func (u *unit) resize() {
	n := len(u.slots)
	for n > u.max && u.slots[n-1].lease == nil && !u.slots[n-1].busy {
		n--
	}
	u.slots = u.slots[:n]
	for i := n; i < u.max; i++ {
		u.slots = append(u.slots, slot{key: u.token + "." + strconv.Itoa(i)})
		u.compare(i, u.leases.known[u.key(i)])
	}
}

// busy returns how many slots operations use.
func (u *unit) busy() int { return u.usage.Used - u.usage.Idle }

// pressure reports whether interactive operations wait at another gateway, and forgets old demands.
func (u *unit) pressure(now time.Time) bool {
	pressed := false
	for who, d := range u.demands {
		if now.Sub(d.at) > demandAge*u.leases.timing.demand {
			delete(u.demands, who)
			continue
		}
		pressed = pressed || d.Waiting > 0
	}
	return pressed
}

// apply sets the limit of the share, and frees the slots that are over it.
func (u *unit) apply(now time.Time) {
	all, batch, _ := u.have(now)
	limit := min(all, u.most, u.max)
	if u.max == 0 && len(u.slots) == 0 && len(u.names) == 0 {
		limit, batch, all = math.MaxInt, math.MaxInt, math.MaxInt // it is no named PACS any more
	}
	if limit == u.limit && batch == u.batch && limit == all {
		return
	}
	u.limit, u.batch = limit, batch
	used := u.share.SetLimit(limit, min(batch, limit))
	for range all - max(limit, used) {
		if !u.free(now) {
			return
		}
	}
}

// free frees one slot: one that batch work cannot use if there is batch work, and otherwise one that it can. It returns false if none can
// be freed.
func (u *unit) free(now time.Time) bool {
	_, batch, _ := u.have(now)
	spare := batch > u.batchNeed()
	best := -1
	for i := range u.slots {
		s := &u.slots[i]
		if s.lease == nil || s.busy || s.lease.revision == 0 || s.lease.reserved && i < u.max {
			continue
		}
		if best < 0 || i >= u.max || (i >= u.batchFrom()) == spare {
			best = i
		}
	}
	if best < 0 {
		return false
	}
	revision := u.slots[best].lease.revision
	u.slots[best].lease = nil
	u.release(best, revision)
	return true
}

// release frees the entry of a slot.
func (u *unit) release(i int, revision uint64) {
	u.start(i, func(ctx context.Context, key string) (uint64, error) { return u.leases.store.free(ctx, key, revision) },
		func(revision uint64, err error) {
			if err == nil {
				u.leases.changed(entry{key: u.key(i), revision: revision})
			}
		})
}

// batchBusy returns how many slots batch work uses, or will use soon.
func (u *unit) batchBusy() int { return max(u.usage.Batch, u.usage.Places) }

// batchNeed returns how many slots batch work needs now.
func (u *unit) batchNeed() int {
	n := u.batchBusy()
	if u.usage.BatchWaiting > 0 {
		n++
	}
	return n
}

// acquire writes this gateway into the entry of a free slot.
func (u *unit) acquire(i int, reserved bool) {
	known := u.leases.known[u.key(i)]
	u.put(i, known.revision, reserved, func(sent time.Time, revision uint64) {
		u.slots[i].lease = &lease{revision: revision, renewed: sent, tried: sent, reserved: reserved}
	})
}

// renew writes the entry of a slot again, so that it gets another TTL.
func (u *unit) renew(i int) {
	held := u.slots[i].lease
	held.tried = time.Now()
	u.put(i, held.revision, held.reserved, func(sent time.Time, revision uint64) {
		if u.slots[i].lease == held {
			held.revision, held.renewed = max(held.revision, revision), sent
		}
	})
}

// put writes the entry of a slot and calls written on success.
func (u *unit) put(i int, last uint64, reserved bool, written func(sent time.Time, revision uint64)) {
	l := u.leases
	h := holder{Gateway: l.name, Instance: l.instance, Reserved: reserved}
	ttl := l.timing.ttl
	if reserved {
		ttl = l.timing.reservedTTL
	}
	sent := time.Now()
	u.start(i, func(ctx context.Context, key string) (uint64, error) { return l.store.put(ctx, key, h, last, ttl) },
		func(revision uint64, err error) {
			if err != nil {
				return
			}
			written(sent, revision)
			l.changed(entry{key: u.key(i), revision: revision, holder: h})
		})
}

// start runs an operation with the key of a slot, and then ended. If the key has another revision, it reads the entry.
func (u *unit) start(i int, operation func(ctx context.Context, key string) (uint64, error), ended func(revision uint64, err error)) {
	l := u.leases
	key := u.key(i)
	u.slots[i].busy = true
	l.running++
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), l.timing.operation)
		defer cancel()
		revision, err := operation(ctx, key)
		var current entry
		reread := errors.Is(err, errChanged)
		if reread {
			var unread error
			current, unread = l.store.get(ctx, key)
			reread = unread == nil
		}
		l.do(func() {
			l.running--
			u.slots[i].busy = false
			if reread {
				l.known[current.key] = current
				if held := u.slots[i].lease; held != nil {
					held.revision = min(held.revision, current.revision)
				}
				u.compare(i, current)
			}
			ended(revision, err)
			u.plan()
		})
	}()
}

// held returns what Held reports of the unit: its slots count at its first name.
func (u *unit) held() []Held {
	all := make([]Held, len(u.names))
	for i, name := range u.names {
		all[i] = Held{PACS: name, Limit: u.max}
	}
	if len(all) == 0 {
		return nil
	}
	n, _, reserved := u.have(time.Now())
	all[0].Reserved = reserved + u.assumed
	all[0].Leased = n - reserved - u.assumed
	all[0].Used = u.usage.Used
	return all
}
