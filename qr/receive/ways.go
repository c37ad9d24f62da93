package receive

import (
	"slices"
	"sync"
	"time"

	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// ways remembers which PACS do not offer C-GET, and which SOP classes came from a PACS, so that the next retrieval skips a C-GET that would
// fail and proposes the right SOP classes. It is safe for concurrent use. The zero value with now set is ready.
type ways struct {
	now     func() time.Time
	mu      sync.Mutex
	refused map[pacsKey]time.Time // until when C-GET is not tried
	classes map[classKey][]string // SOP classes that came in series of a modality
}

type pacsKey struct{ address, called, calling string }

type classKey struct {
	pacsKey
	modality string
}

const (
	// refusedFor is how long C-GET is not tried with a PACS that refused it.
	refusedFor = 10 * time.Minute
	// maxRemembered bounds each map, maxClasses the SOP classes of a modality.
	maxRemembered, maxClasses = 1000, 16
)

func keyOf(p *qr.Peer) pacsKey { return pacsKey{p.Address(), p.CalledAETitle, p.CallingAETitle} }

// method returns how instances are to be retrieved from a PACS.
func (w *ways) method(p *qr.Peer) pool.RetrieveMethod {
	if p.Settings != nil && p.Settings.Retrieve != "" {
		return p.Settings.Retrieve
	}
	return pool.RetrieveAuto
}

// order returns the ways to try with a PACS, in order.
func (w *ways) order(p *qr.Peer, scpOff bool) (order []Way, refusals NoWayError) {
	method := w.method(p)
	get, move := method != pool.RetrieveMove, method != pool.RetrieveGet
	if get && move && w.getRefused(p) {
		get, refusals.GetRefused = false, true
	}
	if move && scpOff {
		move, refusals.SCPOff = false, true
		get = get || refusals.GetRefused // it is the only way
	}
	if get {
		order = append(order, WayGet)
	}
	if move {
		order = append(order, WayMove)
	}
	return order, refusals
}

func (w *ways) getRefused(p *qr.Peer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now().Before(w.refused[keyOf(p)])
}

// refuseGet remembers that a PACS does not offer C-GET.
func (w *ways) refuseGet(p *qr.Peer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refused == nil || len(w.refused) >= maxRemembered {
		w.refused = map[pacsKey]time.Time{}
	}
	w.refused[keyOf(p)] = w.now().Add(refusedFor)
}

// learn remembers the SOP class of an instance in a series of a modality.
func (w *ways) learn(p *qr.Peer, modality, class string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := classKey{keyOf(p), modality}
	if known := w.classes[key]; len(known) >= maxClasses || slices.Contains(known, class) {
		return
	}
	if w.classes == nil || len(w.classes) >= maxRemembered {
		w.classes = map[classKey][]string{}
	}
	w.classes[key] = append(w.classes[key], class)
}

// learnt returns the SOP classes that came in series of a modality.
func (w *ways) learnt(p *qr.Peer, modality string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.classes[classKey{keyOf(p), modality}]
}
