package dicomnet

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pdu"
)

// operation is one DIMSE request and its responses, on the requestor's side. It is running from
// begin until the final response, or until the association ends.
type operation struct {
	a               *Association
	ctx             context.Context
	step            Step
	responseField   CommandField // the command field of its responses
	context         NegotiatedContext
	id              uint16
	responseTimeout time.Duration // the longest wait for the next response
	timer           Timer
	until           deadline // of the next response
	stopWatch       func()
	running         bool
	dataMayFollow   bool            // the final response announced a data set that has not arrived
	parser          *dataset.Parser // of the identifiers received; nil before the first
	sent            time.Time
	summary         OperationSummary
	instance        *Instance // of a C-GET, whose response has not been sent
	refused         int       // instances of a C-GET
	success         bool      // the final response had the status success
}

// begin sends the request of an operation in a presentation context, with the data set data, or what body reads unless that is nil.
// It fills in the message ID and the data set flag of c.
func (a *Association) begin(
	ctx context.Context, step Step, pc *NegotiatedContext, c CommandSet, data []byte, body io.Reader,
) (*operation, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if a.busy {
		return nil, &ConfigError{Detail: "another operation is outstanding on the association"}
	}
	if pc == nil {
		return nil, &NoContextError{Contexts: a.contextsFor(c.AffectedSOPClassUID)}
	}
	op := &operation{
		a: a, ctx: ctx, step: step, responseField: c.CommandField | 0x8000, context: *pc, id: a.nextID(),
		responseTimeout: a.cfg.Timeouts.DIMSE, timer: TimerDIMSE, running: true,
		summary: OperationSummary{Step: step, FirstResponse: -1},
	}
	if (step == StepMove || step == StepGet) && a.cfg.Timeouts.Move > 0 {
		op.responseTimeout, op.timer = a.cfg.Timeouts.Move, TimerMove
	}
	c.MessageID, c.HasDataSet = op.id, data != nil || body != nil
	a.busy = true
	copy(a.recentIDs[1:], a.recentIDs[:])
	a.recentIDs[0] = op.id
	a.messages.received, a.messages.ctx, a.messages.streams = 0, ctx, step == StepGet
	op.stopWatch = a.upper.link.watch(ctx)
	if err := a.upper.sendRequest(pc.ID, &c, data, body, a.maxLength); err != nil {
		// Part of the message may have been sent, so nothing else can follow on the association.
		a.upper.requestUnread = errors.Is(err, ErrConnectionLost)
		err = op.notReceived(a.fail(ctx, err))
		op.end()
		return nil, err
	}
	op.sent = time.Now()
	a.upper.awaiting = true
	return op, nil
}

// beginQuery is begin with an identifier to encode.
func (a *Association) beginQuery(ctx context.Context, step Step, sopClass string, c CommandSet, identifier *dataset.Dataset) (*operation, error) {
	data, err := a.encodeIdentifier(sopClass, identifier)
	if err != nil {
		return nil, err
	}
	c.AffectedSOPClassUID = sopClass
	return a.begin(ctx, step, a.context(sopClass), c, data, nil)
}

// encodeIdentifier encodes an identifier in the transfer syntax accepted for sopClass.
func (a *Association) encodeIdentifier(sopClass string, ds *dataset.Dataset) ([]byte, error) {
	pc := a.context(sopClass)
	if pc == nil {
		return nil, &NoContextError{Contexts: a.contextsFor(sopClass)}
	}
	b, err := dataset.Encode(ds, pc.TransferSyntax)
	if err != nil {
		return nil, &ConfigError{Detail: err.Error()}
	}
	if a.cfg.Trace != nil && a.cfg.Trace.Identifier != nil {
		a.cfg.Trace.Identifier(a.ctx, true, pc.TransferSyntax, b)
	}
	return b, nil
}

// contextsFor returns the answers to the presentation contexts proposed for sopClass.
func (a *Association) contextsFor(sopClass string) []NegotiatedContext {
	var found []NegotiatedContext
	for _, pc := range a.contexts {
		if pc.AbstractSyntax == sopClass {
			found = append(found, pc)
		}
	}
	return found
}

// nextID returns the ID that SetMessageID or the configuration gives, or 1 to 65535 in turn. 0 is legal, but some peers treat it as absent.
func (a *Association) nextID() uint16 {
	if id := a.givenID; id != 0 {
		a.givenID = 0
		return id
	}
	if a.cfg.MessageID != nil {
		return a.cfg.MessageID()
	}
	if a.lastID++; a.lastID == 0 {
		a.lastID = 1
	}
	return a.lastID
}

var parsers = sync.Pool{New: func() any { return new(dataset.Parser) }}

// end makes the association and its buffers available again. It aborts the association if something of the
// operation may still arrive: it would be taken for a response to the next operation.
func (op *operation) end() {
	op.stopWatch()
	op.a.messages.releaseMemory()
	op.a.upper.awaiting = false
	if op.instance != nil {
		op.instance.stream.end()
		op.instance = nil
	}
	if op.running || op.dataMayFollow {
		op.running = false
		op.a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, nil)
	}
	op.a.busy = false
	if op.parser != nil {
		op.parser.Forget()
		parsers.Put(op.parser)
		op.parser = nil
	}
	if !op.sent.IsZero() {
		op.a.cfg.Trace.operation(op.a.ctx, op.summary)
	}
	op.a.unclean = op.a.unclean || !op.success
	if !op.a.upper.established() {
		op.a.finish()
	}
}

// response waits for the next response of the operation, at most for op.responseTimeout. Each
// sub-operation seen restarts that time. If ctx is done, response cancels the operation; the error
// is then the cause of ctx, and the message is the final response if it arrived in time, otherwise
// nil.
func (op *operation) response() (m *message, err error) {
	op.until = deadline{after: op.responseTimeout, timer: op.timer} // most responses are buffered already and need no look at the clock
	if op.a.upper.idle {
		m, err = op.firstResponse(&op.until)
	} else {
		m, err = op.next(&op.until)
	}
	if errors.Is(err, errInterrupted) {
		return op.cancel(), context.Cause(op.ctx)
	}
	if err != nil {
		op.running = false
		return nil, op.notReceived(op.a.fail(op.ctx, err))
	}
	op.a.upper.idle = false
	if m.command.CommandField != CStoreRQ && !m.command.Status.Pending() {
		op.running, op.dataMayFollow = false, m.dataMissing
		op.success = m.command.Status == StatusSuccess
	}
	return m, nil
}

// crossing is how long a request and the end of the association by the peer may take to cross. A
// peer that ends the association later has had the request.
const crossing = 2 * time.Second

// notReceived wraps err in a NotReceivedError if the peer ended the association before it received
// the request.
func (op *operation) notReceived(err error) error {
	late := !op.sent.IsZero() && time.Since(op.sent) > crossing
	if op.a.upper.requestUnread && op.summary.FirstResponse < 0 && op.ctx.Err() == nil && !late {
		return &NotReceivedError{Err: err}
	}
	return err
}

// ackTimeout bounds the wait for the peer's system to acknowledge the first request on an
// association that was idle.
const ackTimeout = 2 * time.Second

// firstResponse is next for the first operation on an association that was idle. If the connection
// broke in the meantime without a sign, because a firewall or the peer's system dropped its state,
// the request is not even acknowledged. That shows long before the DIMSE timeout. firstResponse
// waits for a peer that is only slow.
func (op *operation) firstResponse(until *deadline) (*message, error) {
	until.start()
	ackBy := ackTimeout
	if op.responseTimeout > 0 {
		ackBy = min(ackBy, op.responseTimeout/4)
	}
	first := deadlineAfter(ackBy, op.timer)
	m, err := op.next(&first)
	timeout, ok := errors.AsType[*TimeoutError](err)
	switch {
	case !ok || timeout.Timer != op.timer:
		return m, err
	case op.a.upper.link.unacknowledged():
		op.a.upper.requestUnread = true
		return nil, op.a.upper.connectionLost(errNotAcknowledged)
	}
	return op.next(until)
}

var errNotAcknowledged = errors.New("the peer does not acknowledge the request")

// maxStrays bounds the stray responses that one call of next ignores.
const maxStrays = 16

// isStray reports whether m is one more final response to an operation before this one. Some peers
// send it twice.
func (op *operation) isStray(m *message) bool {
	const response = 0x8000
	id := m.command.MessageIDBeingRespondedTo
	return m.command.CommandField&response != 0 && !m.command.Status.Pending() && id > 0 && id != op.id && slices.Contains(op.a.recentIDs[:], id)
}

// next returns the next response of the operation. It ignores stray responses to operations
// before. It refuses sub-operations in between, which restart the deadline unless the operation was cancelled.
func (op *operation) next(until *deadline) (*message, error) {
	strays := 0
	for {
		m, err := op.a.messages.next(until)
		if err != nil {
			return nil, err
		}
		if op.isStray(m) && strays < maxStrays {
			strays++
			op.a.unclean = true
			continue
		}
		if m.command.CommandField == CStoreRQ && op.step == StepGet {
			op.count(StatusPending)
			return m, nil
		}
		if m.command.CommandField == CStoreRQ {
			if err := op.refuseStore(m); err != nil {
				return nil, err
			}
			if op.running { // after a cancel the grace period stands
				*until = deadlineAfter(op.responseTimeout, op.timer)
			}
			continue
		}
		switch {
		case m.command.CommandField != op.responseField:
			return nil, op.a.upper.fail(pdu.ReasonUnexpectedParameter, m.command.CommandField.String()+" received, want "+op.responseField.String())
		case m.command.MessageIDBeingRespondedTo != op.id:
			return nil, op.a.upper.fail(pdu.ReasonUnexpectedParameter, "response to another message ID")
		case m.contextID != op.context.ID:
			return nil, op.a.upper.fail(pdu.ReasonUnexpectedParameter, "response on another presentation context")
		}
		op.count(m.command.Status)
		return m, nil
	}
}

// count adds a response to the summary.
func (op *operation) count(status Status) {
	if op.summary.FirstResponse < 0 {
		op.summary.FirstResponse = time.Since(op.sent)
	}
	if op.step == StepFind && status.Pending() {
		op.summary.Matches++
	}
}

// parse decodes the data set of a response. The result is valid until the next call.
func (op *operation) parse(data []byte) (*dataset.Set, error) {
	if t := op.a.cfg.Trace; t != nil && t.Identifier != nil {
		t.Identifier(op.a.ctx, false, op.context.TransferSyntax, data)
	}
	if op.parser == nil {
		op.parser = parsers.Get().(*dataset.Parser)
	}
	set, err := op.parser.Parse(data, op.context.TransferSyntax, op.a.cfg.Limits.DataSet)
	op.a.unclean = op.a.unclean || err != nil
	if err != nil {
		return nil, err
	}
	set.AssumeCharacterSet(op.a.cfg.DefaultCharacterSet)
	return set, nil
}

// refuseStore answers a C-STORE sub-operation that the peer performs on this association, although
// no role for it was negotiated.
func (op *operation) refuseStore(m *message) error {
	op.a.unclean = true
	return op.a.upper.sendMessage(m.contextID, storeResponse(&m.command, StatusSOPClassNotSupported), nil, op.a.maxLength)
}

// cancel sends C-CANCEL-RQ and reads to the final response (PS3.7 sections 9.1.2.1.12 and 9.3.2.3).
// Responses that are under way still arrive, and the final one may be a success that the peer sent
// before it read the request. A peer that continues beyond Limits.CancelGrace or MaxAfterCancel is
// aborted. cancel returns the final response, or nil if it did not arrive.
func (op *operation) cancel() *message {
	if !op.running {
		return nil
	}
	op.stopWatch()
	op.running = false
	a := op.a
	grace := a.cfg.Limits.CancelGrace
	if op.responseTimeout > 0 {
		grace = min(grace, op.responseTimeout)
	}
	until := deadlineAfter(grace, TimerDIMSE)
	err := op.answer(&until) // Orthanc does not count an instance that is answered after the cancellation
	if err == nil {
		err = a.upper.sendMessage(op.context.ID, &CommandSet{
			CommandField:              CCancelRQ,
			MessageIDBeingRespondedTo: op.id,
		}, nil, a.maxLength)
	}
	for range a.cfg.Limits.MaxAfterCancel {
		if err != nil {
			break
		}
		var m *message
		m, err = op.next(&until)
		switch {
		case err != nil:
		case m.command.CommandField == CStoreRQ:
			err = op.refuse(m, StatusNotAuthorized, &until)
		case !m.command.Status.Pending():
			op.dataMayFollow = m.dataMissing
			return m
		}
	}
	if err == nil {
		err = &LimitError{What: "responses after C-CANCEL-RQ", Max: int64(a.cfg.Limits.MaxAfterCancel)}
	}
	a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
	return nil
}
