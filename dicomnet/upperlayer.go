package dicomnet

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"dicom-qr-gateway/dicomnet/pdu"
)

// upperLayer is the Upper Layer service of one association, for either side: the state machine of
// PS3.8 section 9.2 over a link. One goroutine may receive while another sends.
//
// It passes through Sta13 (awaiting transport connection close) by closing, and does not wait for
// what the ARTIM timer would bound.
type upperLayer struct {
	link     *link
	limits   Limits
	acceptor bool
	trace    *Trace
	ctx      context.Context // passed to the trace
	idle     bool            // no operation has had a response since the association was rebound
	// awaiting reports that a request of ours awaits its response. Only the reading goroutine uses it.
	awaiting bool
	// requestUnread reports that the peer ended the association, as far as can be seen, without
	// having read what was sent last. Only the reading goroutine uses it.
	requestUnread bool

	mu      sync.Mutex
	state   state
	outcome string
	err     error // the first error that ended the association
	writeMu sync.Mutex
}

// indication is the result of receive.
type indication struct {
	action action
	pdu    pdu.PDU
	data   []byte // the body of a P-DATA-TF; refers to the buffer of the link
}

// step applies e to the state table. An empty cell is a mistake of this package and gives a
// ProtocolError, or ErrClosed after the end of the association.
func (u *upperLayer) step(e event) (action, error) {
	_, a, err := u.stepWithState(e)
	return a, err
}

// stepWithState is step. It returns the state before e as well.
func (u *upperLayer) stepWithState(e event) (before state, a action, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	before = u.state
	t, ok := lookup(before, e, u.acceptor)
	if !ok {
		if before == sta1 || before == sta13 {
			return before, 0, ErrClosed
		}
		return before, 0, &ProtocolError{Detail: e.String() + " is not allowed in " + before.String()}
	}
	u.state = t.next
	return before, t.action, nil
}

// established reports whether the association is established (Sta6).
func (u *upperLayer) established() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state == sta6
}

// finish closes the transport connection and records how the association ended. Only the outcome of
// the first call counts.
func (u *upperLayer) finish(outcome string, err error) {
	u.mu.Lock()
	u.state = sta1
	if u.outcome == "" {
		u.outcome, u.err = outcome, err
	}
	u.mu.Unlock()
	_ = u.link.conn.Close()
}

// send issues the local primitive e, whose action is to send p.
func (u *upperLayer) send(e event, p pdu.PDU) error {
	if _, err := u.step(e); err != nil {
		return err
	}
	b := p.Append(nil)
	u.tracePDU(true, p.Type(), len(b)-pdu.HeaderLength)
	u.writeMu.Lock()
	defer u.writeMu.Unlock()
	err := u.link.write(b, 1)
	if err != nil && e == evtConnected {
		err = u.link.preferTLSAlert(err)
		if isTLSAlert(err) {
			return u.refusedByTLS(err)
		}
	}
	return u.connectionLost(err)
}

// refusedByTLS ends the association because of an alert in place of the first PDU: TLS 1.3 reports
// a rejected client certificate to the client only then.
func (u *upperLayer) refusedByTLS(alert error) error {
	err := &TLSError{Err: alert}
	u.finish("failed", err)
	return err
}

// sendData issues a P-DATA request. b contains whole P-DATA-TF PDUs.
func (u *upperLayer) sendData(b []byte) error {
	if _, err := u.step(evtPDataRequest); err != nil {
		return err
	}
	pdus := 0
	for rest := b; len(rest) > 0; pdus++ {
		n := int(binary.BigEndian.Uint32(rest[2:]))
		u.tracePDU(true, pdu.TypePDataTF, n)
		rest = rest[pdu.HeaderLength+n:]
	}
	u.writeMu.Lock()
	defer u.writeMu.Unlock()
	return u.connectionLost(u.link.write(b, pdus))
}

// abort ends the association with A-ABORT, unless it has ended already: after a timeout, a cancel,
// or a protocol error above the PDU layer.
func (u *upperLayer) abort(source pdu.AbortSource, reason pdu.AbortReason, cause error) {
	if _, err := u.step(evtAbortRequest); err == nil {
		u.sendFinal(&pdu.Abort{Source: source, Reason: reason})
	}
	outcome := "aborted"
	if _, timeout := errors.AsType[*TimeoutError](cause); timeout {
		outcome = "timeout"
	}
	u.finish(outcome, cause)
}

// fail aborts because the peer broke the protocol, and returns the error.
func (u *upperLayer) fail(reason pdu.AbortReason, detail string) error {
	err := &ProtocolError{Detail: detail, Abort: byte(reason)}
	u.abort(pdu.SourceProvider, reason, err)
	return err
}

// exceedLimit aborts because the peer exceeded a limit, and returns the error.
func (u *upperLayer) exceedLimit(what string, limit int64) error {
	err := &LimitError{What: what, Max: limit}
	u.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
	return err
}

// sendFinal sends an A-ABORT as the last PDU and ignores errors.
func (u *upperLayer) sendFinal(p pdu.PDU) {
	u.tracePDU(true, p.Type(), 4)
	u.writeMu.Lock()
	defer u.writeMu.Unlock()
	u.link.writeFinal(p.Append(nil))
}

// receive reads one PDU and applies it to the state table. If the association ends, it returns the
// reason as an error, with the connection closed. *TimeoutError and errInterrupted leave the
// connection open.
func (u *upperLayer) receive(until *deadline) (indication, error) {
	t, body, err := u.link.readPDU(until, u.limits.MaxReceivedPDULength)
	if err != nil {
		return indication{}, u.receiveFailed(t, err)
	}
	u.tracePDU(false, t, len(body))
	if t == pdu.TypePDataTF {
		return u.apply(evtPDataTF, nil, body)
	}
	p, err := pdu.Decode(t, body)
	if err != nil {
		return indication{}, u.receiveFailed(t, err)
	}
	return u.apply(eventOfPDU[t], p, nil)
}

// receiveHeader is receive, but reads only the header of a P-DATA-TF. The caller reads the body, of the returned length, from the
// link.
func (u *upperLayer) receiveHeader(until *deadline) (length int, ind indication, err error) {
	t, n, err := u.link.peekHeader(until, u.limits.MaxReceivedPDULength)
	if err != nil {
		return 0, indication{}, u.receiveFailed(t, err)
	}
	if t != pdu.TypePDataTF {
		ind, err = u.receive(until)
		return 0, ind, err
	}
	u.tracePDU(false, t, n)
	u.link.skipHeader()
	ind, err = u.apply(evtPDataTF, nil, nil)
	return n, ind, err
}

// eventOfPDU maps PDU types to the events of their arrival.
var eventOfPDU = map[pdu.Type]event{
	pdu.TypeAssociateRQ: evtAssociateRQ,
	pdu.TypeAssociateAC: evtAssociateAC,
	pdu.TypeAssociateRJ: evtAssociateRJ,
	pdu.TypePDataTF:     evtPDataTF,
	pdu.TypeReleaseRQ:   evtReleaseRQ,
	pdu.TypeReleaseRP:   evtReleaseRP,
	pdu.TypeAbort:       evtAbort,
}

// apply applies the arrival of a PDU to the state table and performs the action. data is the body
// of a P-DATA-TF, p any other PDU.
func (u *upperLayer) apply(e event, p pdu.PDU, data []byte) (indication, error) {
	before, a, err := u.stepWithState(e)
	if err != nil {
		return indication{}, err
	}
	switch a {
	case aa1, aa7, aa8:
		err := &ProtocolError{Detail: "unexpected PDU in " + before.String(), Abort: byte(pdu.ReasonUnexpectedPDU)}
		u.sendFinal(&pdu.Abort{Source: pdu.SourceProvider, Reason: pdu.ReasonUnexpectedPDU})
		u.finish("aborted", err)
		return indication{}, err
	case aa2, aa3:
		abort := p.(*pdu.Abort)
		u.requestUnread = u.awaiting && before == sta6 && (u.link.unacknowledged() || u.link.resetFollows())
		err := &AbortError{Remote: true, Source: byte(abort.Source), Reason: byte(abort.Reason)}
		u.finish("aborted", err)
		return indication{}, err
	case ae4:
		rj := p.(*pdu.AssociateRJ)
		err := &RejectError{Result: rj.Result, Source: rj.Source, Reason: rj.Reason}
		u.finish("rejected", err)
		return indication{}, err
	case ar3:
		u.finish("released", nil)
	case dt2:
		return indication{action: a, data: data}, nil
	}
	return indication{action: a, pdu: p}, nil
}

func (u *upperLayer) currentState() state {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state
}

// receiveFailed applies a failed read to the state table and returns the error to report.
func (u *upperLayer) receiveFailed(t pdu.Type, err error) error {
	var format *pdu.FormatError
	var timeout *TimeoutError
	switch {
	case errors.As(err, &timeout) || errors.Is(err, errInterrupted):
		return err
	case errors.As(err, &format):
		return u.invalidPDU(t, format)
	case u.currentState() == sta5 && isTLSAlert(err):
		return u.refusedByTLS(err)
	}
	u.requestUnread = u.endedUnread(err)
	return u.connectionLost(err)
}

// endedUnread reports whether the peer, whose end of the connection has the error err, has not read the request that awaits
// its response.
func (u *upperLayer) endedUnread(err error) bool {
	return u.awaiting && u.currentState() == sta6 && (isReset(err) || u.link.unacknowledged() || u.link.resetFollows())
}

// invalidPDU aborts because of a PDU that is not acceptable. If it is the first one and of no known
// type, the error says what the peer speaks instead.
func (u *upperLayer) invalidPDU(t pdu.Type, format *pdu.FormatError) error {
	err := &ProtocolError{Detail: format.Detail, Abort: byte(format.Reason)}
	if s := u.currentState(); (s == sta5 || s == sta2) && !t.Known() {
		// 15H and 16H start a TLS alert and a TLS handshake record.
		if t == 0x15 || t == 0x16 {
			err.Err = ErrTLSExpected
		} else {
			err.Err = ErrNotDICOM
		}
		err.Detail = err.Err.Error()
	}
	if _, stepErr := u.step(evtInvalid); stepErr == nil {
		u.sendFinal(&pdu.Abort{Source: pdu.SourceProvider, Reason: format.Reason})
	}
	u.finish("aborted", err)
	return err
}

// acceptRelease answers an A-RELEASE-RQ received in Sta6 and closes.
func (u *upperLayer) acceptRelease() error {
	u.requestUnread = true // a peer must not release during an operation (PS3.8 section 7.2.1.1): its request crossed ours
	if err := u.send(evtReleaseResponse, &pdu.ReleaseRP{}); err != nil {
		return err
	}
	u.finish("released", ErrReleased)
	return ErrReleased
}

// connectionLost ends the association if err means that the transport connection is gone. It
// returns the error to report.
func (u *upperLayer) connectionLost(err error) error {
	if err == nil || errors.Is(err, errInterrupted) {
		return err
	}
	if _, timeout := errors.AsType[*TimeoutError](err); timeout {
		return err
	}
	lost := &lostError{err}
	if s := u.currentState(); s == sta7 || s == sta11 {
		// Many peers close instead of answering A-RELEASE-RQ, even if they have sent one as well.
		u.finish("released", nil)
		return lost
	}
	_, _ = u.step(evtClosed)
	outcome := "lost"
	if u.idle {
		outcome = "dropped"
	}
	u.finish(outcome, lost)
	return lost
}

// isReset reports whether the peer's system refused bytes because nothing reads them any more.
func isReset(err error) bool {
	const connAborted, connReset = 10053, 10054 // of Winsock
	errno, ok := errors.AsType[syscall.Errno](err)
	return ok && (errno == syscall.ECONNRESET || errno == syscall.EPIPE ||
		runtime.GOOS == "windows" && (errno == connAborted || errno == connReset))
}

// lostError is ErrConnectionLost. It keeps the text of its cause, which may contain an address, out
// of its own.
type lostError struct{ cause error }

func (e *lostError) Error() string        { return ErrConnectionLost.Error() }
func (e *lostError) Is(target error) bool { return target == ErrConnectionLost }

// Unwrap returns the cause. That of an orderly end is not io.EOF, which would look like the end of what was read.
func (e *lostError) Unwrap() error {
	if e.cause == io.EOF { //nolint:errorlint // as the connection returns it
		return io.ErrUnexpectedEOF
	}
	return e.cause
}

// isTLSAlert reports whether err is a fatal TLS alert of the peer. Outside QUIC, crypto/tls exports
// no type for alerts, only this prefix.
func isTLSAlert(err error) bool {
	return strings.Contains(err.Error(), "tls: ")
}

func (u *upperLayer) tracePDU(sent bool, t pdu.Type, length int) {
	if u.trace != nil && u.trace.PDU != nil {
		u.trace.PDU(u.ctx, sent, t.String(), length)
	}
}

func (u *upperLayer) traceCommand(sent bool, c *CommandSet) {
	if u.trace != nil && u.trace.Command != nil {
		u.trace.Command(u.ctx, sent, *c)
	}
}

// traceEnded completes s and calls Trace.Ended. Only the reading goroutine may call it, after its
// last read.
func (u *upperLayer) traceEnded(s Summary) {
	u.mu.Lock()
	s.Outcome, s.Err = u.outcome, u.err
	u.mu.Unlock()
	u.writeMu.Lock()
	s.PDUsSent, s.BytesSent = u.link.pdusSent, u.link.sent
	u.writeMu.Unlock()
	s.PDUsReceived, s.BytesReceived = u.link.pdusReceived, u.link.received
	u.trace.ended(u.ctx, s)
}
