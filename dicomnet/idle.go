package dicomnet

import (
	"context"
	"errors"
	"time"

	"dicom-qr-gateway/dicomnet/pdu"
)

// timerIdle bounds WaitIdle. Its end is no error.
const timerIdle Timer = "idle"

// Clean reports whether the association can be handed to somebody else's operation: it is established, each operation on
// it so far ended with success (0000) and without a word of the peer that was not understood, and nothing that was
// received is left over. What has not been read yet it does not know of: that shows in Quiet, in WaitIdle or at the next
// operation, which takes no response but to its own message ID.
//
// Other final statuses leave an association usable by the standard. They are not clean here all the same: a peer that has
// just failed, or was cancelled, is better met anew.
func (a *Association) Clean() bool {
	return !a.unclean && a.Usable() && a.messages.drained() && a.upper.link.r == a.upper.link.w
}

// Quiet reports whether nothing of the peer has arrived that is not read and understood yet. Between two operations
// anything else came unasked, and might pass for an answer to the next one. Other kernels than Linux tell only of what
// this process has taken in. Like an operation it is for one goroutine, and for an association that has no other.
func (a *Association) Quiet() bool {
	a.upper.link.readDecrypted()
	return a.upper.link.r == a.upper.link.w && !unread(a.upper.link.transport)
}

// Rebind makes ctx the one that the trace is called with from now on: that of the operation which the association is handed
// to. Until the peer has answered that one, a connection that it closes was dropped rather than lost.
func (a *Association) Rebind(ctx context.Context) {
	a.ctx = context.WithoutCancel(ctx)
	a.upper.ctx = a.ctx
	a.upper.idle = true
}

// WaitIdle waits on an association that has no operation for what the peer does to it, for at most d. It is nil where the
// peer did nothing, or ctx was done first: the association is then as it was. Anything else ends it: an A-RELEASE-RQ is
// answered, an A-ABORT or a lost connection taken, and what nobody asked for, be it P-DATA, answered with A-ABORT. While
// it waits, the association holds next to no memory.
func (a *Association) WaitIdle(ctx context.Context, d time.Duration) error {
	if d <= 0 || !a.Usable() {
		return nil
	}
	stop := a.upper.link.watch(ctx)
	defer stop()
	a.upper.idle = true
	a.messages.releaseBuffers()
	a.upper.link.shrinkBuffer()
	until := deadlineAfter(d, timerIdle)
	ind, err := a.upper.receive(&until)
	timeout, timedOut := errors.AsType[*TimeoutError](err)
	switch {
	case errors.Is(err, errInterrupted), timedOut && timeout.Timer == timerIdle:
		a.upper.link.growBuffer()
		return nil
	case err == nil && ind.action == ar2:
		err = a.upper.acceptRelease()
	case err == nil:
		err = a.upper.fail(pdu.ReasonUnexpectedPDU, "P-DATA-TF while no operation is outstanding")
	}
	err = a.fail(ctx, err)
	a.finish()
	return err
}
