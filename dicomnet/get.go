package dicomnet

import (
	"context"
	"errors"
	"iter"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pdu"
)

// Get performs C-GET (PS3.7 section 9.1.3, PS3.4 section C.4.3). It yields each instance as it arrives; the caller reads its data set
// from the connection. The C-STORE response is sent when the loop goes on. Instances arrive on the accepted presentation contexts of
// storage SOP classes, whether or not the peer has confirmed the role of SCP for them; UnconfirmedSCP reports that it has not.
//
// report, unless it is nil, is called with each C-GET response, the final one included. The status does not prove that every instance
// was sent: compare what arrived with what is expected.
//
// Unless the final status is success or a warning, the last value is an *OpError whose cause is a *StatusError. Any other error is the
// last value too: what ended the association, or the cause of ctx.
//
// Get refuses an instance whose SOP class is not that of its presentation context with 0122, and one without a valid SOP Instance UID
// with 0117, and does not yield it.
//
// If the loop ends early or ctx is done, Get answers the instance that is being read, sends C-CANCEL-RQ, and waits at most
// Limits.CancelGrace for the final response, while it refuses further instances with 0124. Without that response it aborts the
// association.
func (a *Association) Get(
	ctx context.Context, model Model, query *dataset.Dataset, report func(RetrieveReport),
) iter.Seq2[*Instance, error] {
	return func(yield func(*Instance, error) bool) {
		op, err := a.beginQuery(ctx, StepGet, model.Get, CommandSet{CommandField: CGetRQ}, query)
		if err != nil {
			yield(nil, opError(StepGet, err))
			return
		}
		defer op.end()
		for goOn := true; goOn; {
			if goOn, err = op.receive(yield, report); err != nil && !errors.Is(err, errLoopEnded) {
				yield(nil, opError(StepGet, err))
			}
		}
	}
}

// receive serves the next message of a C-GET. It reports whether the operation goes on, which it does not after an error.
func (op *operation) receive(yield func(*Instance, error) bool, report func(RetrieveReport)) (goOn bool, err error) {
	m, err := op.response()
	if m != nil && m.command.CommandField == CStoreRQ {
		if m, err = op.pass(m, yield); m == nil {
			return err == nil, err
		}
	}
	if m == nil {
		return false, err
	}
	r, err := op.report(m, err)
	if report != nil {
		report(r)
	}
	return err == nil && !r.Final, err
}

// errLoopEnded is the error of an operation whose caller has ended the loop.
var errLoopEnded = errors.New("the loop has ended")

// UnconfirmedSCP reports whether the peer accepted a presentation context for a SOP class for which Config.Roles proposes the role of
// SCP, and did not confirm the role (PS3.7 section D.3.3.4). Most such peers send instances all the same, others none.
func (a *Association) UnconfirmedSCP() bool {
	for _, role := range a.cfg.Roles {
		if pc := a.context(role.SOPClassUID); role.SCP && pc != nil && !pc.SCP {
			return true
		}
	}
	return false
}

// pass yields the instance of the C-STORE-RQ m and sends the response. An error ends the operation; if the loop has ended or the
// context is done, the operation is cancelled, and final is its final response if that has arrived.
func (op *operation) pass(m *message, yield func(*Instance, error) bool) (final *message, err error) {
	pc := op.a.contextOf(m.contextID)
	if !storage(pc.AbstractSyntax) {
		op.running = false
		return nil, op.a.upper.fail(pdu.ReasonUnexpectedParameter, "C-STORE-RQ on the presentation context of another service")
	}
	var never deadline
	if status := refusal(m, *pc); status != StatusSuccess {
		return op.proceed(op.refuse(m, status, &never))
	}
	in := newInstance(op.ctx, StepGet, &op.a.messages, m, *pc)
	in.SendingAETitle, in.ReceivingAETitle = op.a.cfg.CalledAETitle, op.a.cfg.CallingAETitle
	op.instance = in
	op.summary.Instances++
	if !yield(in, nil) {
		return op.cancel(), errLoopEnded
	}
	return op.proceed(op.answer(&never))
}

// proceed returns what ends the operation after an instance was answered with the error err, or nil if the operation goes on.
func (op *operation) proceed(err error) (final *message, _ error) {
	switch {
	case err == nil:
		return nil, nil
	case op.ctx.Err() != nil && op.a.upper.established():
		return op.cancel(), context.Cause(op.ctx)
	}
	op.running = false
	return nil, op.a.fail(op.ctx, err)
}

// answer sends the response to the current instance, if there is one, after the rest of it has been read until the deadline.
func (op *operation) answer(until *deadline) error {
	in := op.instance
	if in == nil {
		return nil
	}
	response, err := in.response(until)
	if err != nil {
		return err
	}
	sent := op.a.upper.link.sent
	err = op.a.upper.sendMessage(in.contextID, response, nil, op.a.maxLength)
	if errors.Is(err, errInterrupted) && op.a.upper.link.sent == sent {
		return err // nothing was sent yet, so that cancel can
	}
	if err != nil {
		op.a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
	}
	op.summary.InstanceBytes += in.stream.received
	in.stream.end()
	op.instance = nil
	return err
}

// refuse answers the C-STORE-RQ m with a failure after its data set has been read until the deadline.
func (op *operation) refuse(m *message, status Status, until *deadline) error {
	if op.running { // afterwards MaxAfterCancel applies
		op.refused++
	}
	if op.refused > maxRefused {
		return op.a.upper.exceedLimit("refused instances", maxRefused)
	}
	op.instance = newInstance(op.ctx, StepGet, &op.a.messages, m, *op.a.contextOf(m.contextID))
	op.instance.stream.last = !m.hasData
	op.instance.Respond(status)
	return op.answer(until)
}

// storage reports whether the SOP class is that of instances: any but those of the other services of this package.
func storage(sopClass string) bool {
	switch sopClass {
	case VerificationSOPClass,
		StudyRoot.Find, StudyRoot.Move, StudyRoot.Get,
		PatientRoot.Find, PatientRoot.Move, PatientRoot.Get:
		return false
	}
	return true
}

// contextOf returns the accepted presentation context with this ID.
func (a *Association) contextOf(id byte) *NegotiatedContext {
	for i := range a.contexts {
		if a.contexts[i].ID == id {
			return &a.contexts[i]
		}
	}
	return nil
}
