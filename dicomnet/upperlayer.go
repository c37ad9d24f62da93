package dicomnet

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync"

	"dicom-qr-gateway/dicomnet/pdu"
)

// upper is the Upper Layer service of one association, either side: the state
// machine of PS3.8 section 9.2 over a link. Its two halves may run on two
// goroutines: receive on the one that reads, the sending calls on another.
//
// Sta13, awaiting transport connection close, is passed through by closing: what
// the ARTIM timer would bound is not waited for.
type upperLayer struct {
	link     *link
	limits   Limits
	acceptor bool
	trace    *Trace
	ctx      context.Context // of the trace
	idle     bool            // no operation has had an answer since the association was handed on

	mu      sync.Mutex
	state   state
	outcome string
	err     error // the first that ended the association
	writeMu sync.Mutex
}

// indication is what receive has for its caller.
type indication struct {
	action action
	pdu    pdu.PDU
	data   []byte // the body of a P-DATA-TF; refers to the link's buffer
}

// step runs the state table on e. An empty cell is a fault of this package's own
// callers and is answered as the table answers invalid PDUs.
func (u *upperLayer) step(e event) (action, error) {
	_, a, err := u.stepWithState(e)
	return a, err
}

// stepFrom is step, and tells the state before it.
func (u *upperLayer) stepWithState(e event) (before state, a action, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	before = u.state
	t, ok := lookup(before, e, u.acceptor)
	if !ok {
		if before == sta1 || before == sta13 {
			return before, 0, ErrClosed
		}
		return before, 0, &ProtocolError{Detail: e.String() + " is not possible in " + before.String()}
	}
	u.state = t.next
	return before, t.action, nil
}

func (u *upperLayer) inState(s state) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state == s
}

// finish closes the transport connection and notes how the association ended;
// only the first call's word counts.
func (u *upperLayer) finish(outcome string, err error) {
	u.mu.Lock()
	u.state = sta1
	if u.outcome == "" {
		u.outcome, u.err = outcome, err
	}
	u.mu.Unlock()
	_ = u.link.conn.Close()
}

// send issues a local primitive that is answered by sending b.
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

// refusedByTLS ends the association for an alert that came in place of the first
// PDU: TLS 1.3 tells a client only then that its certificate was refused.
func (u *upperLayer) refusedByTLS(alert error) error {
	err := &TLSError{Err: alert}
	u.finish("failed", err)
	return err
}

// sendData issues a P-DATA request for the P-DATA-TF PDUs that b holds.
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

// abort issues A-ABORT with what the caller says: after a timeout, a cancel or a
// peer that breaks the protocol above the PDU layer.
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

// fail aborts for a peer that broke the protocol and gives the error to report.
func (u *upperLayer) fail(reason pdu.AbortReason, detail string) error {
	err := &ProtocolError{Detail: detail, Abort: byte(reason)}
	u.abort(pdu.SourceProvider, reason, err)
	return err
}

// exceed aborts for a peer that went over a limit.
func (u *upperLayer) exceedLimit(what string, limit int64) error {
	err := &LimitError{What: what, Max: limit}
	u.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
	return err
}

func (u *upperLayer) sendFinal(p pdu.PDU) {
	u.tracePDU(true, p.Type(), 4)
	u.writeMu.Lock()
	defer u.writeMu.Unlock()
	u.link.writeFinal(p.Append(nil))
}

// receive reads one PDU and runs the state table on it. What the table answers
// by itself is done; what ends the association comes back as an error, with the
// connection closed. *TimeoutError and errInterrupted leave it open.
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

var eventOfPDU = map[pdu.Type]event{
	pdu.TypeAssociateRQ: evtAssociateRQ,
	pdu.TypeAssociateAC: evtAssociateAC,
	pdu.TypeAssociateRJ: evtAssociateRJ,
	pdu.TypePDataTF:     evtPDataTF,
	pdu.TypeReleaseRQ:   evtReleaseRQ,
	pdu.TypeReleaseRP:   evtReleaseRP,
	pdu.TypeAbort:       evtAbort,
}

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

// receiveFailed turns a failed read into the event that it is and its error.
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
	return u.connectionLost(err)
}

func (u *upperLayer) invalidPDU(t pdu.Type, format *pdu.FormatError) error {
	err := &ProtocolError{Detail: format.Detail, Abort: byte(format.Reason)}
	if s := u.currentState(); (s == sta5 || s == sta2) && !t.Known() {
		// 15H and 16H begin a TLS alert and a TLS handshake record.
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

// releasedByPeer answers an A-RELEASE-RQ in Sta6 and closes.
func (u *upperLayer) acceptRelease() error {
	if err := u.send(evtReleaseResponse, &pdu.ReleaseRP{}); err != nil {
		return err
	}
	u.finish("released", ErrReleased)
	return ErrReleased
}

// lost notes that the transport connection ended, if err says so.
func (u *upperLayer) connectionLost(err error) error {
	var timeout *TimeoutError
	if err == nil || errors.Is(err, errInterrupted) || errors.As(err, &timeout) {
		return err
	}
	lost := &lostError{err}
	if s := u.currentState(); s == sta7 || s == sta11 {
		// Many peers close instead of answering A-RELEASE-RQ, also where they have sent one, too.
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

// lostError is ErrConnectionLost with its cause kept off the text: that may hold
// an address.
type lostError struct{ cause error }

func (e *lostError) Error() string        { return ErrConnectionLost.Error() }
func (e *lostError) Is(target error) bool { return target == ErrConnectionLost }
func (e *lostError) Unwrap() error        { return e.cause }

// isTLSAlert tells a fatal alert of the peer from other failed reads. crypto/tls
// gives alerts no exported type outside QUIC, only this prefix.
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

// traceEnded completes s and hands it to the trace. Only the goroutine that
// reads may call it, when it has read for the last time.
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
