// Package dicomnet implements DICOM network associations for requestors and acceptors: the Upper
// Layer of PS3.8 and the DIMSE services of PS3.7 that Query/Retrieve needs (C-ECHO, C-FIND, C-MOVE,
// C-GET, C-STORE and C-CANCEL).
//
// Dial opens an association; Find and Move return sequences of responses, and Get a sequence of
// instances, which are read while they arrive. Server accepts associations.
//
// The package does not trust peers. Every wait has a deadline and every length a limit. A peer that
// breaks the protocol receives A-ABORT, and the caller a typed error.
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

// Association is the requestor's side of an established association. One goroutine at a time may
// use it, and one operation is outstanding at a time: neither DCMTK nor Orthanc accepts a second
// one.
type Association struct {
	cfg       Config
	upper     *upperLayer
	messages  assembler
	contexts  []NegotiatedContext
	peer      PeerInfo
	maxLength uint32 // of the P-DATA-TF PDUs to send
	lastID    uint16
	givenID   uint16    // for the next operation; 0: none
	recentIDs [4]uint16 // of the latest operations
	busy      bool
	unclean   bool // see Clean

	ctx         context.Context // passed to the trace
	address     string
	start       time.Time
	established bool
	finished    bool
}

// SetMemory has m asked for the memory of long messages in the operations that follow; nil: it is not
// limited but by Limits. The caller must not call it during an operation.
func (a *Association) SetMemory(m Memory) { a.messages.memory = m }

// SetMessageID sets the message ID of the next operation, which otherwise comes from Config.MessageID. A C-MOVE whose C-STORE requests
// must be distinguished from those of others has an ID that nothing else has at the time.
func (a *Association) SetMessageID(id uint16) { a.givenID = id }

// NegotiatedContext is the acceptor's answer to one proposed presentation context.
type NegotiatedContext struct {
	ID             byte
	AbstractSyntax string
	TransferSyntax dataset.TransferSyntax // empty unless accepted
	Result         ContextResult
	// SCP reports that the requestor may act as SCP for the abstract syntax (PS3.7 section D.3.3.4).
	SCP bool
}

// ContextResult is the result of a presentation context (PS3.8 table 9-18).
type ContextResult byte

// Results of a presentation context.
const (
	ContextAccepted                     ContextResult = 0
	ContextUserRejection                ContextResult = 1
	ContextNoReason                     ContextResult = 2
	ContextAbstractSyntaxNotSupported   ContextResult = 3
	ContextTransferSyntaxesNotSupported ContextResult = 4
)

// String returns the name of the result in PS3.8 table 9-18.
func (r ContextResult) String() string {
	names := [...]string{
		"acceptance", "user-rejection", "no-reason",
		"abstract-syntax-not-supported", "transfer-syntaxes-not-supported",
	}
	if int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprintf("result %d", byte(r))
}

// PeerInfo is the user information that the peer sent, made printable.
type PeerInfo struct {
	ImplementationClassUID, ImplementationVersionName string
	// MaxPDULength is the longest P-DATA-TF body that the peer accepts; 0 means no limit.
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

// Accepts reports whether the peer accepted a presentation context for the abstract syntax.
func (a *Association) Accepts(abstractSyntax string) bool {
	return a.context(abstractSyntax) != nil
}

// TransferSyntax returns the transfer syntax accepted for the abstract syntax, or "" if there is
// none.
func (a *Association) TransferSyntax(abstractSyntax string) dataset.TransferSyntax {
	if pc := a.context(abstractSyntax); pc != nil {
		return pc.TransferSyntax
	}
	return ""
}

// Contexts returns the answers to all proposed presentation contexts, in the order of proposal.
func (a *Association) Contexts() []NegotiatedContext {
	return append([]NegotiatedContext(nil), a.contexts...)
}

// Peer returns what the peer stated about itself in the negotiation.
func (a *Association) Peer() PeerInfo { return a.peer }

// Usable reports whether another operation can start. It is false once the association has ended
// for any reason. It does not look at the connection: the next operation fails if the peer has gone
// away since the last one.
func (a *Association) Usable() bool { return !a.busy && a.upper.established() }

// Close releases the association (PS3.8 section 7.2) and waits for the answer for at most the ACSE
// timeout. It aborts instead if an operation is outstanding, and afterwards if the release fails.
// It always frees what the association holds. The error reports a release that ended in an abort; a
// peer that closes the connection instead of answering counts as released. Further calls do
// nothing.
func (a *Association) Close() error {
	defer a.finish()
	if a.busy {
		a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, nil)
		return nil
	}
	if !a.upper.established() {
		return nil
	}
	err := a.release()
	if err != nil && !errors.Is(err, ErrConnectionLost) && !errors.Is(err, ErrClosed) {
		a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
		return opError(StepRelease, err)
	}
	return nil
}

// release sends A-RELEASE-RQ and waits for A-RELEASE-RP. It answers a release collision.
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

// finish frees what the association holds and calls Trace.Ended. Only the first call has an effect.
func (a *Association) finish() {
	if a.finished {
		return
	}
	a.finished = true
	a.messages.pdvs, a.messages.pushedBack, a.messages.hasPushedBack = nil, pdu.PDV{}, false
	a.upper.link.releaseBuffer()
	a.upper.traceEnded(a.summary())
}

// summary returns the summary without the figures of the upper layer.
func (a *Association) summary() Summary {
	return Summary{
		CalledAETitle: a.cfg.CalledAETitle, CallingAETitle: a.cfg.CallingAETitle, Remote: a.address,
		Peer: a.peer, Established: a.established, Duration: time.Since(a.start),
	}
}

// context returns the accepted presentation context for the abstract syntax, or nil.
func (a *Association) context(abstractSyntax string) *NegotiatedContext {
	return a.contextIn(abstractSyntax, "")
}

// contextIn returns the accepted presentation context for the abstract syntax in a transfer syntax, "" for any, or nil.
func (a *Association) contextIn(abstractSyntax string, ts dataset.TransferSyntax) *NegotiatedContext {
	for i := range a.contexts {
		pc := &a.contexts[i]
		if pc.AbstractSyntax == abstractSyntax && pc.Result == ContextAccepted && (ts == "" || pc.TransferSyntax == ts) {
			return pc
		}
	}
	return nil
}

// acceptedID reports whether the presentation context with this ID was accepted.
func (a *Association) acceptedID(id byte) bool {
	for i := range a.contexts {
		if a.contexts[i].ID == id {
			return a.contexts[i].Result == ContextAccepted
		}
	}
	return false
}

// fail aborts the association unless it has ended already, and returns the error of the call that
// err ended: the cause of ctx if ctx interrupted it, otherwise err.
func (a *Association) fail(ctx context.Context, err error) error {
	if errors.Is(err, errInterrupted) {
		err = context.Cause(ctx)
	}
	a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
	return err
}
