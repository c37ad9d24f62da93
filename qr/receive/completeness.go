package receive

import (
	"dicom-qr-gateway/dicomnet"
)

// expectation is what the final response to the request for the whole target says about how many instances there are.
type expectation struct {
	answered    bool // there was one
	class       dicomnet.StatusClass
	counted     bool // it has counters
	sent        int  // sub-operations that completed, with or without a warning
	failed      int  // that failed or were not performed
	unexplained int  // of those, how many are neither missing according to the inventory nor were refused here
}

// expect reads a final response after which missing instances of the inventory had not arrived and refused ones had been refused.
func expect(r *dicomnet.RetrieveReport, missing, refused int) expectation {
	e := expectation{answered: true, class: r.Status.Class(), counted: r.Completed != nil}
	e.sent = number(r.Completed) + number(r.Warning)
	e.failed = max(number(r.Failed), len(r.FailedSOPInstanceUIDs))
	if e.class == dicomnet.ClassSuccess {
		e.failed += number(r.Remaining)
	}
	e.unexplained = max(e.failed-missing-refused, 0)
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

// complete reports whether everything arrived, of a target whose inventory is not proven: the status is success or a warning, and as many
// instances arrived as the counters say there are.
func (e *expectation) complete(received, refused int) bool {
	switch {
	case !e.answered || received == 0:
		return false
	case !e.counted:
		return e.class == dicomnet.ClassSuccess && e.failed <= refused
	case e.class == dicomnet.ClassSuccess, e.class == dicomnet.ClassWarning:
		return received+refused >= e.sent+e.failed
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
	received, duplicates, refused := x.arrivals.count()
	switch {
	case len(x.arrivals.missing()) > 0:
		return false
	case x.inventory.Proven:
		return x.status.unexplained == 0
	}
	return x.status.complete(received, refused+duplicates)
}
