// Package dicomnet speaks DICOM over associations: the Upper Layer of PS3.8, the
// DIMSE services of PS3.7 that Query/Retrieve needs (C-ECHO, C-FIND, C-MOVE,
// C-STORE and C-CANCEL), for the requestor and for the acceptor.
//
// It trusts no peer. Every wait has a deadline, every length a limit, and what
// breaks the protocol is answered with A-ABORT and told as a typed error.
package dicomnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pdu"
)

// Association is an established association, requestor's side. One goroutine at
// a time owns it, and one operation is outstanding at a time: neither DCMTK nor
// Orthanc takes a second one.
type Association struct {
	cfg       Config
	upper     *upperLayer
	messages  assembler
	contexts  []NegotiatedContext
	peer      PeerInfo
	maxLength uint32 // of the P-DATA-TF that we send
	lastID    uint16
	busy      bool
	unclean   bool // see Clean

	ctx         context.Context // of the trace
	address     string
	start       time.Time
	established bool
	finished    bool
}

// NegotiatedContext is the answer to one proposed presentation context.
type NegotiatedContext struct {
	ID             byte
	AbstractSyntax string
	TransferSyntax dataset.TransferSyntax // "" unless accepted
	Result         ContextResult
}

// ContextResult is the result of PS3.8 table 9-18.
type ContextResult byte

// The results.
const (
	ContextAccepted                     ContextResult = 0
	ContextUserRejection                ContextResult = 1
	ContextNoReason                     ContextResult = 2
	ContextAbstractSyntaxNotSupported   ContextResult = 3
	ContextTransferSyntaxesNotSupported ContextResult = 4
)

// String is the standard's word.
func (r ContextResult) String() string {
	words := [...]string{
		"acceptance", "user-rejection", "no-reason",
		"abstract-syntax-not-supported", "transfer-syntaxes-not-supported",
	}
	if int(r) < len(words) {
		return words[r]
	}
	return fmt.Sprintf("result %d", byte(r))
}

// PeerInfo is what the peer said of itself while negotiating, made printable.
type PeerInfo struct {
	ImplementationClassUID, ImplementationVersionName string
	// MaxPDULength is the longest P-DATA-TF body the peer takes; 0 states no limit.
	MaxPDULength uint32
}

func newAssociation(ctx context.Context, address string, conn net.Conn, cfg Config, start time.Time) *Association {
	a := &Association{cfg: cfg, ctx: context.WithoutCancel(ctx), address: address, start: start}
	a.upper = &upperLayer{
		link:   newLink(conn, cfg.Timeouts.Network),
		limits: cfg.Limits,
		trace:  cfg.Trace,
		ctx:    a.ctx,
	}
	a.messages = assembler{upper: a.upper, accepted: a.acceptedID}
	return a
}

// Accepts reports whether a context for the abstract syntax was accepted.
func (a *Association) Accepts(abstractSyntax string) bool {
	return a.context(abstractSyntax) != nil
}

// TransferSyntax is the one accepted for the abstract syntax; "" where none was.
func (a *Association) TransferSyntax(abstractSyntax string) dataset.TransferSyntax {
	if pc := a.context(abstractSyntax); pc != nil {
		return pc.TransferSyntax
	}
	return ""
}

// Contexts are the answers to all proposed contexts, in the order of proposal.
func (a *Association) Contexts() []NegotiatedContext {
	return append([]NegotiatedContext(nil), a.contexts...)
}

// Peer is what the peer said of itself.
func (a *Association) Peer() PeerInfo { return a.peer }

// Usable reports whether another operation can be started. It is false once the
// association has ended, by whatever cause. It does not look at the connection:
// a peer that went away since the last operation shows at the next.
func (a *Association) Usable() bool { return !a.busy && a.upper.inState(sta6) }

// Close releases the association (PS3.8 section 7.2) and waits for the answer, at
// most for the ACSE timeout; where the association is broken, an operation is
// outstanding or the answer does not come, it aborts. It never fails to free
// what the association held. The error tells of an abort; a peer that closes
// instead of answering counts as released. Further calls do nothing.
func (a *Association) Close() error {
	defer a.finish()
	if a.busy {
		a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, nil)
		return nil
	}
	if !a.upper.inState(sta6) {
		return nil
	}
	err := a.release()
	if err != nil && !errors.Is(err, ErrConnectionLost) && !errors.Is(err, ErrClosed) {
		a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
		return opError(StepRelease, err)
	}
	return nil
}

func (a *Association) release() error {
	if err := a.upper.send(evtReleaseRequest, &pdu.ReleaseRQ{}); err != nil {
		return err
	}
	until := deadlineAfter(a.cfg.Timeouts.ACSE, TimerACSE)
	for {
		ind, err := a.upper.receive(&until)
		if err != nil {
			return err
		}
		switch ind.action {
		case ar3:
			return nil
		case ar8:
			if err := a.upper.send(evtReleaseResponse, &pdu.ReleaseRP{}); err != nil {
				return err
			}
		}
	}
}

// Abort ends the association at once with A-ABORT (PS3.8 section 7.3).
func (a *Association) Abort() {
	a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, nil)
	a.finish()
}

// over frees what the association held and tells the trace, once.
func (a *Association) finish() {
	if a.finished {
		return
	}
	a.finished = true
	a.messages.pdvs, a.messages.pushedBack, a.messages.hasPushedBack = nil, pdu.PDV{}, false
	a.upper.link.releaseBuffer()
	a.upper.traceEnded(a.summary())
}

// summary is what the association itself knows.
func (a *Association) summary() Summary {
	return Summary{
		CalledAETitle: a.cfg.CalledAETitle, CallingAETitle: a.cfg.CallingAETitle, Remote: a.address,
		Peer: a.peer, Established: a.established, Duration: time.Since(a.start),
	}
}

func (a *Association) context(abstractSyntax string) *NegotiatedContext {
	for i := range a.contexts {
		if pc := &a.contexts[i]; pc.AbstractSyntax == abstractSyntax && pc.Result == ContextAccepted {
			return pc
		}
	}
	return nil
}

func (a *Association) acceptedID(id byte) bool {
	for i := range a.contexts {
		if a.contexts[i].ID == id {
			return a.contexts[i].Result == ContextAccepted
		}
	}
	return false
}

// ended gives the error of a call that err ended: the context's where that is
// why, else err. What left the connection open is aborted.
func (a *Association) fail(ctx context.Context, err error) error {
	if errors.Is(err, errInterrupted) {
		err = context.Cause(ctx)
	}
	a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
	return err
}
