package qr

import (
	"strings"

	"dicom-qr-gateway/dicomnet"
)

// maxFailedUIDs bounds the Failed SOP Instance UIDs that are kept of one study. A data set of the size that is accepted from
// a peer holds about as many UIDs of the usual length.
const maxFailedUIDs = 20000

// fewFailedUIDs are kept of each study even if no memory is left.
const fewFailedUIDs = 10

// perFailedUID is the memory of a UID in a list, beside its text.
const perFailedUID = 16

// counters are the numbers of sub-operations in a C-MOVE response; nil if the peer sent no such counter.
type counters struct{ remaining, completed, failed, warning *int }

func countersOf(r *dicomnet.RetrieveReport) counters {
	return counters{
		remaining: widen(r.Remaining), completed: widen(r.Completed), failed: widen(r.Failed), warning: widen(r.Warning),
	}
}

// after returns what is merged when c follows earlier responses: an instance that has arrived stays arrived, even if a PACS
// ends with zeros, while a sub-operation that failed may have been tried again.
func (c counters) after(earlier counters) counters {
	return counters{
		remaining: c.remaining,
		completed: larger(c.completed, earlier.completed),
		failed:    firstSet(c.failed, earlier.failed),
		warning:   larger(c.warning, earlier.warning),
	}
}

// arrived returns the number of instances that arrived at the destination, with or without a warning.
func (c counters) arrived() int { return valueOf(c.completed) + valueOf(c.warning) }

// reportsNone reports whether the PACS states that no instance arrived, as opposed to sending no counter.
func (c counters) reportsNone() bool { return c.completed != nil && c.arrived() == 0 }

// judge returns the outcome of a C-MOVE from its final response, nil if there was none, and from the counters of its pending
// responses. stopped means that the caller or the operation timeout ended it.
func judge(report *dicomnet.RetrieveReport, pending counters, stopped bool) (RetrievalStatus, counters) {
	if report == nil {
		if stopped {
			return RetrievalCancelled, pending
		}
		return RetrievalFailed, pending
	}
	final := countersOf(report)
	merged := final.after(pending)
	status := RetrievalFailed
	switch report.Status.Class() {
	case dicomnet.ClassSuccess:
		status = judgeSuccess(final, merged)
	case dicomnet.ClassWarning:
		status = judgeWarning(final, merged)
	case dicomnet.ClassCancel:
		status = RetrievalCancelled
	default:
		if merged.arrived() > 0 {
			status = RetrievalPartial
		}
	}
	if status == RetrievalOK && len(report.FailedSOPInstanceUIDs) > 0 {
		status = partialUnlessNone(final, merged) // it lists instances that failed, whatever the counters are
	}
	switch {
	case status == RetrievalOK:
		// The counters of pending responses are out of date: what the final one lacks is unknown.
		return status, final
	case stopped:
		// Not every PACS answers a C-CANCEL with FE00.
		return RetrievalCancelled, merged
	}
	return status, merged
}

// judgeSuccess judges status 0000, which counts as success only if no counter contradicts it.
func judgeSuccess(final, merged counters) RetrievalStatus {
	if valueOf(merged.failed) == 0 && valueOf(final.remaining) == 0 && !final.reportsNone() {
		return RetrievalOK
	}
	return partialUnlessNone(final, merged)
}

// judgeWarning judges B000 and the other warning statuses, which mean failures or warnings (PS3.4 table C.4-2). The study is
// ok only if the counters say that none failed and that there were warnings: then every instance arrived.
func judgeWarning(final, merged counters) RetrievalStatus {
	if final.failed != nil && *final.failed == 0 && valueOf(final.warning) > 0 && valueOf(final.remaining) == 0 {
		return RetrievalOK
	}
	return partialUnlessNone(final, merged)
}

// partialUnlessNone judges by the final response: a pending one without progress proves nothing.
func partialUnlessNone(final, merged counters) RetrievalStatus {
	if final.reportsNone() && merged.arrived() == 0 {
		return RetrievalFailed
	}
	return RetrievalPartial
}

// failedUIDs returns the valid UIDs of list, or the first of them if there are too many, and counts the others.
func (r *retrieval) failedUIDs(list []string) []string {
	valid, bytes := []string{}, 0
	for _, uid := range list {
		if uid = trim(uid); !validUID(uid) {
			r.counts[failedUIDMalformed]++
			continue
		}
		valid = append(valid, uid)
		bytes += perFailedUID + len(uid)
	}
	most := maxFailedUIDs
	if len(valid) > fewFailedUIDs && !r.memory.TryTake(bytes) {
		most = fewFailedUIDs
	}
	if len(valid) <= most {
		return valid
	}
	r.counts[failedUIDsCut] += len(valid) - most
	short := make([]string, most)
	for i := range short {
		short[i] = strings.Clone(valid[i]) // the others are not kept alive
	}
	return short
}

func widen(n *uint16) *int {
	if n == nil {
		return nil
	}
	return new(int(*n))
}

func valueOf(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

func firstSet(a, b *int) *int {
	if a != nil {
		return a
	}
	return b
}

func larger(a, b *int) *int {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}
