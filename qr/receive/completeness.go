package receive

import (
	"dicom-qr-gateway/dicomnet"
)

// expectation is the number of instances according to the final response to the request for the whole target.
type expectation struct {
	answered    bool // there was one
	class       dicomnet.StatusClass
	counted     bool // it has counters
	sent        int  // sub-operations that completed, with or without a warning
	failed      int  // that failed or were not performed
	unexplained int  // instances that the response counts, and that are neither in the inventory nor arrived

	before  tallies // when the request was sent
	foreign int     // instances that were refused during the request because they are not of the target
	again   int     // instances that came again during the request
}

// tallies counts the instances that have arrived.
type tallies struct {
	received, duplicates int
	refused, foreign     int // foreign: of those refused, how many are not of the target
}

// came returns how many instances have arrived, kept or not.
func (n tallies) came() int { return n.received + n.duplicates + n.refused }

// expect evaluates the final response to a request. missing is the number of instances of the inventory that had not arrived by then.
func expect(r *dicomnet.RetrieveReport, missing int, before, now tallies) expectation {
	e := expectation{answered: true, class: r.Status.Class(), counted: r.Completed != nil}
	e.sent = number(r.Completed) + number(r.Warning)
	e.failed = max(number(r.Failed), len(r.FailedSOPInstanceUIDs))
	if e.class == dicomnet.ClassSuccess {
		e.failed += number(r.Remaining)
	}
	e.before, e.foreign, e.again = before, now.foreign-before.foreign, now.duplicates-before.duplicates
	failed := e.failed - missing - e.foreign
	// Some PACS count failed sub-operations as completed too.
	claimed := e.sent - (now.came() - before.came()) - max(e.failed, missing)
	e.unexplained = max(failed, claimed, 0)
	return e
}

func number(n *uint16) int {
	if n == nil {
		return 0
	}
	return int(*n)
}

// underWay reports whether instances may still come after the final response, because the PACS says that it has sent more than arrived.
func (e *expectation) underWay(arrived int) bool {
	switch {
	case !e.answered:
		return true
	case !e.counted:
		return e.class == dicomnet.ClassSuccess || e.class == dicomnet.ClassWarning
	}
	return e.sent > arrived
}

// complete reports whether all instances of a target whose inventory is not proven have arrived. The status must be success or a warning.
// The response to this request must have brought every instance that has arrived, and as many as its counters report.
func (e *expectation) complete(received int) bool {
	came := received - e.before.received + e.again
	switch {
	case !e.answered || received == 0 || came < received:
		return false
	case !e.counted:
		return e.class == dicomnet.ClassSuccess && e.failed <= e.foreign
	case e.class == dicomnet.ClassSuccess, e.class == dicomnet.ClassWarning:
		return came+e.foreign >= e.sent+e.failed
	}
	return false
}

// lacking returns how many instances are missing according to the counters, beside those that are known to be missing.
func (e *expectation) lacking(received, missing int) int {
	if e.counted && e.sent+e.failed > received {
		return max(e.sent+e.failed-received, missing+e.unexplained)
	}
	return missing + e.unexplained
}

// complete reports whether everything that was asked for has arrived.
func (x *run) complete() bool {
	switch {
	case len(x.arrivals.missing()) > 0:
		return false
	case x.inventory.Proven:
		return x.status.unexplained == 0
	}
	return x.status.complete(x.arrivals.count().received)
}
