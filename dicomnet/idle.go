package dicomnet

import (
	"context"
	"errors"
	"time"

	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/dicomnet/socket"
)

// timerIdle is the timer of WaitIdle. Its expiry is not an error.
const timerIdle Timer = "idle"

// Clean reports whether the association is fit for another caller's operation: it is established,
// every operation on it ended with success (0000), all that the peer sent was understood, and
// nothing received is left over. Clean does not see what has not been read yet. Quiet, WaitIdle and
// the next operation do; an operation accepts only responses to its own message ID.
//
// By the standard, other final statuses leave an association usable. Clean is false for them all
// the same: after a failure or a cancellation a new association is the safer choice.
func (a *Association) Clean() bool {
	return !a.unclean && a.Usable() && a.messages.drained() && a.upper.link.r == a.upper.link.w
}

// Quiet reports whether all that has arrived from the peer has been read. Between two operations
// anything the peer sends is unexpected and could be taken for an answer to the next one. On
// systems other than Linux, Quiet sees only what this process has read from the connection. Like an
// operation, Quiet needs exclusive use of the association, with no operation outstanding.
func (a *Association) Quiet() bool {
	a.upper.link.readDecrypted()
	return a.upper.link.r == a.upper.link.w && !socket.Unread(a.upper.link.transport)
}

// Rebind gives the association to another operation: from now on the trace is called with ctx.
// Until the peer has answered that operation, a connection that it closes counts as dropped instead
// of lost.
func (a *Association) Rebind(ctx context.Context) {
	a.ctx = context.WithoutCancel(ctx)
	a.upper.ctx = a.ctx
	a.upper.idle = true
}

// WaitIdle watches an association without an outstanding operation for at most d. It returns nil if
// the peer did nothing, or if ctx was done first; the association is then unchanged. Anything else
// ends the association, and WaitIdle returns the reason: it answers A-RELEASE-RQ, accepts A-ABORT
// or a lost connection, and answers all that was not asked for, such as P-DATA, with A-ABORT. While
// it waits, the association holds almost no memory.
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
