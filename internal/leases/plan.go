package leases

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// secure takes the reserved slots that lack. It returns true as long as some do.
func (u *unit) secure(now time.Time, reserved int) (lacking bool) {
	l := u.leases
	if !l.synced || reserved >= u.reserved {
		u.lacking = time.Time{}
		return false
	}
	missing := u.reserved - reserved
	for i := range u.slots {
		if u.slots[i].busy {
			missing--
		}
	}
	for _, i := range u.candidates() {
		if missing <= 0 {
			break
		}
		u.acquire(i, true)
		missing--
	}
	if u.lacking.IsZero() {
		u.lacking = now
	}
	if missing > 0 {
		u.ask(now, demand{Waiting: urgent})
	}
	if all, _, _ := u.have(now); now.Sub(u.lacking) >= retry && u.usage.Used > all {
		u.share.Revoke(all) // it used them before it saw the bucket
		u.limit = -1
	}
	if now.Sub(u.lacking) >= l.timing.ttl && !u.logged {
		u.logged = true
		l.options.Log.Error().Strs("pacs", u.names).Int("reserved_associations", u.reserved).Int("max_associations", u.max).
			Msg("the other gateways have all associations: reserved_associations times the number of gateways is more than max_associations")
	}
	return true
}

// candidates returns the slots that are free, or whose entry says that this gateway has them: first those that it had reserved, then those
// that do not serve batch work, each part in another order for each call, so that gateways seldom want the same one.
func (u *unit) candidates() []int {
	var own, first, last []int
	for i := range min(len(u.slots), u.max) {
		s := &u.slots[i]
		h := u.leases.known[u.key(i)].holder
		switch {
		case s.lease != nil || s.busy || h != (holder{}) && !u.own(i):
		case h.Reserved:
			own = append(own, i)
		case i < u.batchFrom():
			first = append(first, i)
		default:
			last = append(last, i)
		}
	}
	for _, part := range [][]int{first, last} {
		rand.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] }) //nolint:gosec // nothing depends on it being secret
	}
	return slices.Concat(own, first, last)
}

// take takes slots for the operations that wait.
func (u *unit) take(now time.Time, pressed bool) {
	if !u.leases.synced || now.Before(u.leases.quiet) || u.busy() < u.limit && u.usage.Waiting > 0 {
		return
	}
	under := 0
	for i := range u.slots {
		if u.slots[i].busy && u.slots[i].lease == nil {
			under++
		}
	}
	free := u.candidates()
	switch {
	case u.usage.Waiting > 0:
		u.takeInteractive(now, free, under)
	case u.usage.BatchWaiting > 0 && !pressed && under == 0:
		u.takeBatch(now, free)
	}
}

func (u *unit) takeInteractive(now time.Time, free []int, under int) {
	want := min(u.usage.Waiting, block) - under
	for _, i := range free {
		if want <= 0 {
			break
		}
		if u.needier(now) && now.Sub(u.slots[i].free) < 2*u.leases.timing.demand {
			continue // another gateway needs it more, and takes it
		}
		u.acquire(i, false)
		want--
	}
	if want > 0 {
		u.ask(now, demand{Waiting: u.usage.Waiting})
	}
}

// takeBatch takes a slot that serves batch work, or another one if all slots are in use.
func (u *unit) takeBatch(now time.Time, free []int) {
	if u.batch > u.batchBusy() && u.busy() < u.limit {
		return
	}
	for n := range free {
		i := free[len(free)-1-n]
		if u.batch > u.batchBusy() || i >= u.batchFrom() {
			u.acquire(i, false)
			return
		}
	}
	u.ask(now, demand{Batch: true})
}

// ask sends the demand to the other gateways, but not too often.
func (u *unit) ask(now time.Time, d demand) {
	if now.Sub(u.sent) < u.leases.timing.demand {
		return
	}
	u.sent = now
	all, _, _ := u.have(now)
	d.Gateway, d.Unit, d.Held = u.leases.instance, u.token, all
	_ = u.leases.store.send(d) // it is sent again as long as operations wait
}

// margin is how much more, as a ratio, another gateway must lack before a slot changes hands, in quarters.
const marginQuarters = 5

// lacksMore reports whether a gateway with d.Waiting operations for d.Held slots lacks more than this one if it has held slots.
func (u *unit) lacksMore(d *demand, held int) bool {
	const quarters = 4
	return quarters*d.Waiting*max(held, 1) > marginQuarters*u.usage.Waiting*max(d.Held, 1)
}

// needier reports whether another gateway lacks slots more than this one.
func (u *unit) needier(now time.Time) bool {
	all, _, _ := u.have(now)
	for _, d := range u.demands {
		if d.Waiting > 0 && u.lacksMore(&d.demand, all) {
			return true
		}
	}
	return false
}

// giveBack gives back what was not needed for a while, or what another gateway needs more.
func (u *unit) giveBack(now time.Time) {
	all, batch, _ := u.have(now)
	if all <= u.reserved {
		return
	}
	if u.usage.Waiting == 0 && u.usage.BatchWaiting == 0 {
		most := u.usage.Peak
		for _, peak := range u.recent {
			most = max(most, peak)
		}
		if len(u.recent) == periods {
			u.most = max(most, u.reserved)
		}
	}
	for _, d := range u.demands {
		switch {
		case d.Waiting > 0 && u.usage.Waiting == 0:
			u.most = min(u.most, max(u.busy(), u.reserved, all-block))
		case d.Waiting > 0 && now.Sub(u.given) >= u.leases.timing.demand && u.lacksMore(&d.demand, all-1):
			u.most, u.given = max(all-1, u.reserved), now
		case d.Batch && u.usage.Waiting == 0 && batch > u.batchNeed() && u.busy() < all:
			u.most = min(u.most, max(all-1, u.reserved))
		}
	}
	if u.most >= all {
		u.most = math.MaxInt
	}
}
