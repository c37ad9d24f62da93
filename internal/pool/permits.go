package pool

import "dicom-qr-gateway/internal/principal"

// operation is one operation in the accounts of the pool.
type operation struct {
	caller  principal.Identity
	limit   int  // of the slots in use at the address of its peer, its own included; zero: none
	running bool // holds a permit
	// retrievals is how many retrievals may hold slots at the address of its peer, itself included; zero: the operation is not a retrieval.
	retrievals int
	share      *Share // nil: the limit alone counts
	batch      bool   // it is batch work, which waits behind interactive operations; it has a share
}

// permits limits how many operations run at once. An operation takes its permit together with its first slot and keeps it to its
// end: one that waits for a slot of a slow peer holds nothing that operations with other peers need.
type permits struct {
	max     int // of all callers; zero: no limit
	share   int // of one caller, so that it cannot take all
	running int
	batch   int                        // of those that run, batch work
	callers map[principal.Identity]int // how many of each run; exactly those with any
}

func newPermits(limit int) permits {
	return permits{max: limit, share: limit - limit/4, callers: map[principal.Identity]int{}}
}

// available reports whether the operation runs already or may begin.
func (p *permits) available(o *operation) bool {
	if p.max == 0 || o.running {
		return true
	}
	const part = 2 // of all operations may be batch work
	return p.running < p.max && p.callers[o.caller] < p.share && (!o.batch || p.batch < max(p.max/part, 1))
}

// take begins the operation unless it runs already.
func (p *permits) take(o *operation) {
	if o.running {
		return
	}
	o.running = true
	p.running++
	if o.batch {
		p.batch++
	}
	p.callers[o.caller]++
}

// give ends the operation. It returns true if another operation may now begin that could not before.
func (p *permits) give(o *operation) bool {
	if !o.running {
		return false
	}
	o.running = false
	limited := p.max > 0 && (p.running == p.max || p.callers[o.caller] == p.share || o.batch)
	p.running--
	if o.batch {
		p.batch--
	}
	if p.callers[o.caller]--; p.callers[o.caller] == 0 {
		delete(p.callers, o.caller)
	}
	return limited
}
