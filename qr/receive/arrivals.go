package receive

import (
	"sync"

	"dicom-qr-gateway/qr"
)

// arrivals records which instances are expected and which have arrived. It is safe for concurrent use: a C-MOVE may use several
// associations at once.
type arrivals struct {
	mu    sync.Mutex
	known map[string]*arrival // by SOP Instance UID: what is listed, named as failed, or has come
	order []*arrival          // those that are expected, in the order of the inventory

	lacking                        int    // instances in order that have not arrived
	whole                          func() // called once lacking is 0 and enough instances have come; nil: none
	enough                         int    // instances that have to come
	most                           int    // instances that may come
	received, unexpected           int
	duplicates, differing, refused int
	foreign                        int // of those refused, how many are not of the target
	bytes                          int64
	others                         map[string]struct{} // UIDs of the foreign ones
}

type arrival struct {
	uid, class string
	series     *qr.ListedSeries // nil: not known
	expected   bool
	state      arrivalState
	size       int64
}

type arrivalState byte

const (
	absent arrivalState = iota
	arriving
	arrived
)

// newArrivals expects what the inventory lists.
func newArrivals(i *Inventory) *arrivals {
	a := &arrivals{known: make(map[string]*arrival, len(i.Instances)), most: maxInstances}
	if i.Proven {
		a.most = len(i.Instances) + max(tolerance, len(i.Instances)/10)
	}
	a.expect(i)
	return a
}

// tolerance is how many instances may come that the inventory lacks: a study grows while a modality sends it.
const tolerance = 100

// expect adds what an inventory lists and is not known.
func (a *arrivals) expect(i *Inventory) {
	a.mu.Lock()
	defer a.mu.Unlock()
	slab := make([]arrival, 0, len(i.Instances))
	for _, in := range i.Instances {
		if known := a.known[in.SOPInstanceUID]; known != nil {
			known.series = &i.Series[in.Series]
			if !known.expected {
				a.await(known)
			}
			continue
		}
		slab = append(slab, arrival{uid: in.SOPInstanceUID, class: in.SOPClassUID, series: &i.Series[in.Series]})
		a.await(&slab[len(slab)-1])
	}
}

// await makes an instance expected.
func (a *arrivals) await(in *arrival) {
	in.expected = true
	a.known[in.uid] = in
	a.order = append(a.order, in)
	if in.state != arrived {
		a.lacking++
	}
}

// expectFailed expects the instances that a PACS reports as failed, except those that are not part of the target. series is theirs, or nil
// if it is not known.
func (a *arrivals) expectFailed(uids []string, series *qr.ListedSeries) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, uid := range uids {
		_, refused := a.others[uid]
		if refused || (qr.Target{StudyInstanceUID: uid}).Check() != nil || a.known[uid] != nil || len(a.known) >= a.most {
			continue
		}
		a.await(&arrival{uid: uid, series: series})
	}
}

// verdict says what to do with an instance.
type verdict byte

const (
	take  verdict = iota
	drop          // it came before
	flood         // more come than may
)

// begin records that an instance is arriving, and says what to do with it.
func (a *arrivals) begin(uid, class string) (*arrival, verdict) {
	a.mu.Lock()
	defer a.mu.Unlock()
	in := a.known[uid]
	switch {
	case in != nil && in.state != absent:
		if a.duplicates++; a.duplicates > 2*a.most {
			return in, flood
		}
		return in, drop
	case in == nil:
		if len(a.known) >= a.most {
			return nil, flood
		}
		in = &arrival{uid: uid}
		a.known[uid] = in
	}
	in.state, in.class = arriving, class
	return in, take
}

// end records that an instance has arrived, or that its rest did not arrive.
func (a *arrivals) end(in *arrival, size int64, complete bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !complete {
		in.state = absent
		return
	}
	in.state, in.size = arrived, size
	a.received++
	a.bytes += size
	if !in.expected {
		a.unexpected++
	}
	if in.expected {
		a.lacking--
	}
	if a.lacking == 0 && a.whole != nil && a.tally().came() >= a.enough {
		a.whole()
	}
}

// whenComplete calls call once nothing expected is missing and enough instances have come. undo cancels that.
func (a *arrivals) whenComplete(enough int, call func()) (undo func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.whole, a.enough = call, enough
	if a.lacking == 0 && len(a.order) > 0 && a.tally().came() >= enough {
		call()
	}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.whole = nil
	}
}

// repeated compares the size of an instance that came again with that of the first.
func (a *arrivals) repeated(in *arrival, size int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if in.state == arrived && in.size != size {
		a.differing++
	}
}

// refuse counts a refused instance. foreign means that it is not part of the target. It returns false if there are too many.
func (a *arrivals) refuse(uid string, foreign bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused++
	if a.refused > a.most {
		return false
	}
	if !foreign {
		return true
	}
	a.foreign++
	if a.others == nil {
		a.others = map[string]struct{}{}
	}
	a.others[uid] = struct{}{}
	return true
}

// count returns what has come.
func (a *arrivals) count() tallies {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tally()
}

// tally is called with the lock.
func (a *arrivals) tally() tallies { return tallies{a.received, a.duplicates, a.refused, a.foreign} }

// missing returns what is expected and has not arrived.
func (a *arrivals) missing() []*arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []*arrival
	for _, in := range a.order {
		if in.state != arrived {
			list = append(list, in)
		}
	}
	return list
}

func (a *arrivals) has(in *arrival) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return in.state == arrived
}
