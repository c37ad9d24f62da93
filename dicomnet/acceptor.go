package dicomnet

import (
	"context"
	"errors"
	"net"
	"slices"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pdu"
)

// acceptedAssociation is the acceptor's side of an association.
type acceptedAssociation struct {
	server    *Server
	upper     *upperLayer
	remote    net.Addr
	rq        pdu.AssociateRQ
	contexts  map[byte]NegotiatedContext
	maxLength uint32
	refused   int // C-STORE requests
}

// serve runs the association from A-ASSOCIATE-RQ to its end.
func (a *acceptedAssociation) serve(ctx context.Context) {
	if err := a.negotiate(); err != nil {
		// The state table has closed the association after any other error, but not when ARTIM
		// expires.
		if _, stepErr := a.upper.step(evtARTIM); stepErr == nil {
			a.upper.finish("timeout", err)
		}
		a.upper.finish("failed", err)
		return
	}
	err := a.operate(ctx)
	if err != nil && !errors.Is(err, ErrReleased) {
		a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
	}
}

// negotiate receives A-ASSOCIATE-RQ and answers it with A-ASSOCIATE-AC or A-ASSOCIATE-RJ. After a
// rejection it returns a *RejectError.
func (a *acceptedAssociation) negotiate() error {
	until := deadlineAfter(a.server.Timeouts.ACSE, TimerACSE)
	ind, err := a.upper.receive(&until)
	if err != nil {
		return err
	}
	a.rq = *ind.pdu.(*pdu.AssociateRQ)
	if rj := a.rejection(); rj != nil {
		err := a.upper.send(evtReject, &pdu.AssociateRJ{Result: rj.Result, Source: rj.Source, Reason: rj.Reason})
		a.upper.finish("rejected", rj)
		return errors.Join(rj, err)
	}
	limits := &a.upper.limits
	a.maxLength = limits.MaxPDULength
	if n := a.rq.User.MaxLength; n >= pdu.MinMaxLength {
		a.maxLength = min(n, a.maxLength)
	}
	ac := &pdu.AssociateAC{
		CalledAETitle: a.rq.CalledAETitle, CallingAETitle: a.rq.CallingAETitle,
		User: userInformation(limits.MaxPDULength),
	}
	a.contexts = map[byte]NegotiatedContext{}
	for _, proposed := range a.rq.Contexts {
		if _, answered := a.contexts[proposed.ID]; answered {
			continue
		}
		n := a.negotiateContext(proposed)
		a.contexts[proposed.ID] = n
		ac.Contexts = append(ac.Contexts, pdu.ContextAC{
			ID: n.ID, Result: byte(n.Result), TransferSyntaxes: []string{string(n.TransferSyntax)},
		})
	}
	ac.User.Roles = a.negotiateRoles()
	return a.upper.send(evtAccept, ac)
}

// negotiateRoles answers the proposed roles of the SOP classes with an accepted presentation context.
func (a *acceptedAssociation) negotiateRoles() []pdu.RoleSelection {
	if a.server.AcceptSCP == nil {
		return nil
	}
	var answers []pdu.RoleSelection
	for _, proposed := range a.rq.User.Roles {
		answer := proposed
		answer.SCP = proposed.SCP && a.server.AcceptSCP(proposed.SOPClassUID)
		answered := false
		for id, n := range a.contexts {
			if n.AbstractSyntax == proposed.SOPClassUID && n.Result == ContextAccepted {
				n.SCP, answered = answer.SCP, true
				a.contexts[id] = n
			}
		}
		if answered {
			answers = append(answers, answer)
		}
	}
	return answers
}

// rejection returns why the request is rejected, or nil if it is accepted.
func (a *acceptedAssociation) rejection() *RejectError {
	switch {
	case a.rq.ProtocolVersion&1 == 0:
		return &RejectError{Result: 1, Source: 2, Reason: 2}
	case a.rq.ApplicationContext != pdu.ApplicationContext:
		return &RejectError{Result: 1, Source: 1, Reason: 2}
	case a.server.AETitle != "" && a.rq.CalledAETitle != a.server.AETitle:
		return &RejectError{Result: 1, Source: 1, Reason: 7}
	case a.rq.User.MaxLength != 0 && a.rq.User.MaxLength < pdu.MinMaxLength:
		return &RejectError{Result: 1, Source: 1, Reason: 1}
	case a.server.Admit != nil:
		return a.server.Admit(a.rq.CalledAETitle, a.rq.CallingAETitle, a.remote)
	}
	return nil
}

// negotiateContext answers one proposed presentation context with the transfer syntax that the
// server prefers among those proposed.
func (a *acceptedAssociation) negotiateContext(proposed pdu.ContextRQ) NegotiatedContext {
	n := NegotiatedContext{
		ID: proposed.ID, AbstractSyntax: proposed.AbstractSyntax,
		// The item must hold a transfer syntax even if the result makes it insignificant.
		TransferSyntax: dataset.ImplicitVRLittleEndian,
		Result:         ContextAbstractSyntaxNotSupported,
	}
	for _, known := range a.server.Contexts {
		if known.AbstractSyntax != proposed.AbstractSyntax {
			continue
		}
		n.Result = ContextTransferSyntaxesNotSupported
		for _, ts := range known.TransferSyntaxes {
			if slices.Contains(proposed.TransferSyntaxes, string(ts)) {
				n.TransferSyntax, n.Result = ts, ContextAccepted
				return n
			}
		}
	}
	if n.Result == ContextAbstractSyntaxNotSupported && a.server.ChooseContext != nil {
		a.chooseContext(&n, proposed)
	}
	return n
}

// chooseContext answers a proposed presentation context as ChooseContext says.
func (a *acceptedAssociation) chooseContext(n *NegotiatedContext, proposed pdu.ContextRQ) {
	syntaxes := make([]dataset.TransferSyntax, 0, len(proposed.TransferSyntaxes))
	for _, ts := range proposed.TransferSyntaxes {
		syntaxes = append(syntaxes, dataset.TransferSyntax(ts))
	}
	ts, result := a.server.ChooseContext(proposed.AbstractSyntax, syntaxes)
	n.Result = result
	if result == ContextAccepted {
		n.TransferSyntax = ts
	}
}
