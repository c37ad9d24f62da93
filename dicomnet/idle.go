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
	return !a.unclean && a.Usable() && a.messages.nothingLeft() && a.upper.link.r == a.upper.link.w
}

// Quiet reports whether nothing of the peer has arrived that is not read and understood yet. Between two operations
// anything else came unasked, and might pass for an answer to the next one. Other kernels than Linux tell only of what
// this process has taken in. Like an operation it is for one goroutine, and for an association that has no other.
func (a *Association) Quiet() bool {
	a.upper.link.decrypt()
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
	a.messages.rest()
	a.upper.link.shrink()
	until := startClock(d, timerIdle)
	ind, err := a.upper.receive(&until)
	timeout, timedOut := errors.AsType[*TimeoutError](err)
	switch {
	case errors.Is(err, errInterrupted), timedOut && timeout.Timer == timerIdle:
		a.upper.link.grow()
		return nil
	case err == nil && ind.action == ar2:
		err = a.upper.releasedByPeer()
	case err == nil:
		err = a.upper.fail(pdu.ReasonUnexpectedPDU, "P-DATA-TF while no operation is outstanding")
	}
	err = a.ended(ctx, err)
	a.over()
	return err
}

func (s *assembler) nothingLeft() bool {
	return s.phase == awaitCommand && !s.putBack && len(s.pdvs) == 0
}

// rest lets go of what the last message was made of.
func (s *assembler) rest() {
	if s.nothingLeft() {
		s.message, s.decoded, s.pdvs, s.buffer = message{}, nil, nil, nil
	}
}

// decrypt takes in what TLS has read of the peer already, of which the kernel no longer knows.
func (l *link) decrypt() {
	if l.conn == l.transport || l.r != l.w {
		return
	}
	l.r, l.w = 0, 0
	if l.arm(l.conn.SetReadDeadline, time.Unix(1, 0)) == nil {
		l.w, _ = l.conn.Read(l.buf) // a deadline that is over ends the wait, and nothing else
		l.received += int64(l.w)
		_ = l.arm(l.conn.SetReadDeadline, time.Time{})
	}
}

// idleBufferSize is enough for every PDU that ends an association in order.
const idleBufferSize = 64

// shrink gives the buffer back for a small one, where nothing is in it.
func (l *link) shrink() {
	if l.r == l.w {
		l.replaceBuffer(make([]byte, idleBufferSize))
		l.r, l.w = 0, 0
	}
}

// grow is the way back. What was received meanwhile is kept.
func (l *link) grow() {
	if len(l.buf) < readBufferSize {
		b := readBuffers.Get().(*[readBufferSize]byte)[:]
		l.w = copy(b, l.buf[l.r:l.w])
		l.r = 0
		l.replaceBuffer(b)
	}
}

// lostPath bounds the wait for the peer's machine to acknowledge the first request on an association that was idle.
const lostPath = 2 * time.Second

// firstResponse is next, on an association that was idle before. Where the way to the peer was lost meanwhile without a
// word, because a firewall forgot the connection or the peer's machine did, the request is not even acknowledged: that
// shows long before the DIMSE timeout. A peer that is merely slow is waited for.
func (op *operation) firstResponse(until *clock) (*message, error) {
	until.started()
	early := lostPath
	if op.silence > 0 {
		early = min(early, op.silence/4)
	}
	soon := startClock(early, op.timer)
	m, err := op.next(&soon)
	timeout, ok := errors.AsType[*TimeoutError](err)
	switch {
	case !ok || timeout.Timer != op.timer:
		return m, err
	case op.a.upper.link.unacknowledged():
		return nil, op.a.upper.lost(errLostPath)
	}
	return op.next(until)
}

var errLostPath = errors.New("the peer does not acknowledge what was sent")
