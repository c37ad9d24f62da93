package pool

import "dicom-qr-gateway/internal/principal"

// operation is one operation in the accounts of the pool.
type operation struct {
	caller  principal.Identity
	limit   int  // of the slots in use at the address of its peer, its own included; zero: none
	running bool // holds a permit
	// retrievals is how many retrievals may hold slots at the address of its peer, itself included; zero: the operation is not a retrieval.
	retrievals int
}

// permits limits how many operations run at once. An operation takes its permit together with its first slot and keeps it to its
// end: one that waits for a slot of a slow peer holds nothing that operations with other peers need.
type permits struct {
	max     int // of all callers; zero: no limit
	share   int // of one caller, so that it cannot take all
	running int
	callers map[principal.Identity]int // how many of each run; exactly those with any
}

func newPermits(limit int) permits {
	return permits{max: limit, share: limit - limit/4, callers: map[principal.Identity]int{}}
}

// available reports whether the operation runs already or may begin.
func (p *permits) available(o *operation) bool {
	return p.max == 0 || o.running || p.running < p.max && p.callers[o.caller] < p.share
}

// take begins the operation unless it runs already.
func (p *permits) take(o *operation) {
	if o.running {
		return
	}
	o.running = true
	p.running++
	p.callers[o.caller]++
}

// give ends the operation. It returns true if another operation may now begin that could not before.
func (p *permits) give(o *operation) bool {
	if !o.running {
		return false
	}
	o.running = false
	limited := p.max > 0 && (p.running == p.max || p.callers[o.caller] == p.share)
	p.running--
	if p.callers[o.caller]--; p.callers[o.caller] == 0 {
		delete(p.callers, o.caller)
	}
	return limited
}
