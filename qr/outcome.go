package qr

import (
	"dicom-qr-gateway/dicomnet"
)

// maxFailedUIDs bounds the Failed SOP Instance UIDs kept of one study. A data set of the size that is taken from a peer
// holds no more of them, where they are as long as most are.
const maxFailedUIDs = 20000

// counters are those of a C-MOVE response; nil where the peer sent none.
type counters struct{ remaining, completed, failed, warning *int }

func countersOf(r *dicomnet.MoveReport) counters {
	return counters{
		remaining: widen(r.Remaining), completed: widen(r.Completed), failed: widen(r.Failed), warning: widen(r.Warning),
	}
}

// after is what is known once c has come behind earlier responses: what has
// arrived stays arrived, even where a PACS ends with zeros, while a
// sub-operation that failed may have been tried again.
func (c counters) after(earlier counters) counters {
	return counters{
		remaining: c.remaining,
		completed: larger(c.completed, earlier.completed),
		failed:    either(c.failed, earlier.failed),
		warning:   larger(c.warning, earlier.warning),
	}
}

// arrived counts the instances that came to the destination, with or without a warning.
func (c counters) arrived() int { return valueOf(c.completed) + valueOf(c.warning) }

// none reports whether the PACS says that no instance arrived, which is more
// than not saying that one did.
func (c counters) none() bool { return c.completed != nil && c.arrived() == 0 }

// judge tells what became of a C-MOVE from its final response and from what the
// pending ones had counted. final is nil where none came; stopped tells that the
// caller or the operation timeout ended it.
func judge(final *dicomnet.MoveReport, pending counters, stopped bool) (RetrievalStatus, counters) {
	if final == nil {
		if stopped {
			return RetrievalCancelled, pending
		}
		return RetrievalFailed, pending
	}
	said := countersOf(final)
	known := said.after(pending)
	status := RetrievalFailed
	switch final.Status.Class() {
	case dicomnet.ClassSuccess:
		status = judgeSuccess(said, known)
	case dicomnet.ClassWarning:
		status = judgeWarning(said, known)
	case dicomnet.ClassCancel:
		status = RetrievalCancelled
	default:
		if known.arrived() > 0 {
			status = RetrievalPartial
		}
	}
	if status == RetrievalOK && len(final.FailedSOPInstanceUIDs) > 0 {
		status = partialUnlessNone(said, known) // it names what failed, whatever it counts
	}
	switch {
	case status == RetrievalOK:
		// Pending responses are behind the facts by now: what the final one does not tell is not known.
		return status, said
	case stopped:
		// Not every PACS answers a C-CANCEL with FE00.
		return RetrievalCancelled, known
	}
	return status, known
}

// judgeSuccess is for 0000, which is taken at its word only where no counter says otherwise.
func judgeSuccess(said, known counters) RetrievalStatus {
	if valueOf(known.failed) == 0 && valueOf(said.remaining) == 0 && !said.none() {
		return RetrievalOK
	}
	return partialUnlessNone(said, known)
}

// judgeWarning is for B000 and its like: failures or warnings (PS3.4 table C.4-2). It is ok only where the PACS says that
// none failed and that there were warnings, for then every instance arrived.
func judgeWarning(said, known counters) RetrievalStatus {
	if said.failed != nil && *said.failed == 0 && valueOf(said.warning) > 0 && valueOf(said.remaining) == 0 {
		return RetrievalOK
	}
	return partialUnlessNone(said, known)
}

// partialUnlessNone goes by the final response, for a pending one that counted nothing yet proves nothing.
func partialUnlessNone(said, known counters) RetrievalStatus {
	if said.none() && known.arrived() == 0 {
		return RetrievalFailed
	}
	return RetrievalPartial
}

// failedUIDs keeps what is a UID and counts what is not.
func failedUIDs(list []string) ([]string, int) {
	valid, malformed := []string{}, 0
	for _, uid := range list {
		switch uid = trim(uid); {
		case !validUID(uid):
			malformed++
		case len(valid) < maxFailedUIDs:
			valid = append(valid, uid)
		}
	}
	return valid, malformed
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

func either(a, b *int) *int {
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
