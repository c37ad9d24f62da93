package dicomnet

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pdu"
)

// servedOperation is an operation that a handler works on.
type servedOperation struct {
	id     uint16
	cancel context.CancelFunc
	done   chan struct{}
	stores chan CommandSet // the response to a C-STORE-RQ of the handler; nil: there is none
}

// operate reads requests until the association ends. It reads while a handler works, so that
// C-CANCEL-RQ, A-ABORT and a closed connection reach the handler.
func (a *acceptedAssociation) operate(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var current *servedOperation
	defer func() {
		cancel()
		if current != nil {
			<-current.done
		}
	}()
	messages := assembler{upper: a.upper, streams: a.server.Handler.Receive != nil, accepted: func(id byte) bool {
		pc, known := a.contexts[id]
		return known && pc.Result == ContextAccepted
	}}
	for {
		busy := !current.finished()
		until := deadlineAfter(a.server.Timeouts.DIMSE, TimerDIMSE)
		m, err := messages.next(&until)
		var timeout *TimeoutError
		if busy && errors.As(err, &timeout) {
			continue
		}
		if err != nil {
			return err
		}
		messages.received = 0
		switch {
		case m.command.CommandField == CCancelRQ:
			if current != nil && current.id == m.command.MessageIDBeingRespondedTo {
				current.cancel()
			}
		case m.command.CommandField == CStoreRSP && !current.finished() && len(current.stores) < cap(current.stores):
			current.stores <- m.command
		case m.command.CommandField.response():
			return a.upper.fail(pdu.ReasonUnexpectedParameter, "response without a request")
		case !current.finished():
			return a.upper.fail(pdu.ReasonUnexpectedParameter, "second operation while one is outstanding")
		case m.command.CommandField == CStoreRQ && messages.streams:
			if err := a.receive(ctx, &messages, m); err != nil {
				return err
			}
		default:
			current = a.start(ctx, m)
		}
	}
}

// receive serves the C-STORE-RQ m, whose data set is still to be read.
func (a *acceptedAssociation) receive(ctx context.Context, messages *assembler, m *message) error {
	pc := a.contexts[m.contextID]
	in := newInstance(ctx, StepStore, messages, m, pc)
	defer in.stream.end()
	in.SendingAETitle, in.ReceivingAETitle = a.rq.CallingAETitle, a.rq.CalledAETitle
	in.stream.last = !m.hasData
	status := refusal(m, pc)
	if status == StatusSuccess {
		status = a.server.Handler.Receive(ctx, a.request(m), in)
	} else if a.refused++; a.refused > maxRefused {
		return a.upper.exceedLimit("refused instances", maxRefused)
	}
	in.Respond(status)
	until := deadlineAfter(a.server.Timeouts.DIMSE, TimerDIMSE)
	response, err := in.response(&until)
	if err != nil {
		return err
	}
	return a.upper.sendMessage(in.contextID, response, nil, a.maxLength)
}

// request returns the request m without its data set.
func (a *acceptedAssociation) request(m *message) *Request {
	pc := a.contexts[m.contextID]
	return &Request{
		CalledAETitle: a.rq.CalledAETitle, CallingAETitle: a.rq.CallingAETitle, Remote: a.remote,
		AbstractSyntax: pc.AbstractSyntax, TransferSyntax: pc.TransferSyntax,
		Command: m.command,
	}
}

// finished reports whether the handler has returned. It is true for nil.
func (o *servedOperation) finished() bool {
	if o == nil {
		return true
	}
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

// start runs the handler for the request m on a goroutine of its own.
func (a *acceptedAssociation) start(ctx context.Context, m *message) *servedOperation {
	life := ctx
	ctx, cancel := context.WithCancel(ctx)
	o := &servedOperation{id: m.command.MessageID, cancel: cancel, done: make(chan struct{})}
	if m.command.CommandField == CGetRQ {
		o.stores = make(chan CommandSet, 1)
	}
	contextID := m.contextID // m is reused by the next read
	r := a.request(m)
	if m.hasData {
		// The next read reuses the buffer while the handler works.
		r.Data = bytes.Clone(m.data)
	}
	a.server.wait.Go(func() {
		defer cancel()
		final := a.handle(ctx, contextID, r, &SubOperations{a: a, life: life, contextID: contextID, request: r, responses: o.stores})
		// Close before sending: the requestor may send its next request as soon as it has the
		// response.
		close(o.done)
		_ = a.respond(contextID, r, final.command, final.data)
	})
	return o
}

// response is a final response without the elements that respond fills in.
type response struct {
	command CommandSet
	data    *dataset.Dataset
}

// handle calls the handler of the request and returns the final response.
func (a *acceptedAssociation) handle(ctx context.Context, contextID byte, r *Request, s *SubOperations) response {
	h := &a.server.Handler
	status := StatusUnrecognizedOp
	switch f := r.Command.CommandField; {
	case f == CEchoRQ && h.Echo != nil:
		status = h.Echo(ctx, r)
	case f == CStoreRQ && h.Store != nil:
		status = h.Store(ctx, r)
	case f == CFindRQ && h.Find != nil:
		status = h.Find(ctx, r, func(match *dataset.Dataset) error {
			return a.respond(contextID, r, CommandSet{Status: cmp.Or(h.FindPending, StatusPending)}, match)
		})
	case f == CMoveRQ && h.Move != nil:
		return retrieveResponse(h.Move(ctx, r, func(pending RetrieveReport) error {
			return a.respond(contextID, r, retrieveResponse(pending).command, nil)
		}))
	case f == CGetRQ && h.Get != nil:
		return retrieveResponse(h.Get(ctx, r, s))
	}
	return response{command: CommandSet{Status: status}}
}

// SubOperations performs the C-STORE sub-operations of a C-GET, on the association of its request (PS3.4 section C.4.3).
type SubOperations struct {
	a         *acceptedAssociation
	life      context.Context //nolint:containedctx // of the association, which outlives a C-CANCEL-RQ
	contextID byte
	request   *Request
	responses <-chan CommandSet
	lastID    uint16
}

// Context is done when the association ends. In contrast to the context of the handler, C-CANCEL-RQ does not end it.
func (s *SubOperations) Context() context.Context { return s.life }

// Contexts returns the answers to the presentation contexts of the association, in the order in which they were proposed.
func (s *SubOperations) Contexts() []NegotiatedContext {
	contexts := make([]NegotiatedContext, 0, len(s.a.contexts))
	for _, proposed := range s.a.rq.Contexts {
		contexts = append(contexts, s.a.contexts[proposed.ID])
	}
	return contexts
}

// Store sends an instance and waits for the response. An error means that the association has ended. If the peer answers another
// message ID, the status is StatusProcessingFailure.
func (s *SubOperations) Store(r StoreRequest) (Status, error) {
	contexts := s.Contexts()
	i := slices.IndexFunc(contexts, func(pc NegotiatedContext) bool {
		return pc.AbstractSyntax == r.SOPClassUID && pc.Result == ContextAccepted && (r.TransferSyntax == "" || r.TransferSyntax == pc.TransferSyntax)
	})
	if i < 0 {
		return StatusSOPClassNotSupported, nil
	}
	s.lastID++
	c := r.command()
	c.MessageID, c.HasDataSet = s.lastID, true
	if err := s.a.upper.sendRequest(contexts[i].ID, &c, r.Data, r.Body, s.a.maxLength); err != nil {
		s.a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
		return 0, err
	}
	var expired <-chan time.Time
	if d := s.a.server.Timeouts.DIMSE; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case response := <-s.responses:
		if response.MessageIDBeingRespondedTo != c.MessageID {
			return StatusProcessingFailure, nil
		}
		return response.Status, nil
	case <-s.life.Done():
		return 0, ErrClosed
	case <-expired:
		err := &TimeoutError{Timer: TimerDIMSE}
		s.a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
		return 0, err
	}
}

// Pending sends a pending response.
func (s *SubOperations) Pending(r RetrieveReport) error {
	return s.a.respond(s.contextID, s.request, retrieveResponse(r).command, nil)
}

// retrieveResponse returns the C-MOVE or C-GET response that carries r.
func retrieveResponse(r RetrieveReport) response {
	c := CommandSet{
		Status: r.Status, Detail: r.Detail,
		Remaining: r.Remaining, Completed: r.Completed, Failed: r.Failed, Warning: r.Warning,
	}
	if len(r.FailedSOPInstanceUIDs) == 0 {
		return response{command: c}
	}
	list := dataset.Text(dataset.FailedSOPInstanceUIDList, r.FailedSOPInstanceUIDs...)
	return response{c, &dataset.Dataset{Elements: []*dataset.Element{list}}}
}

// respond sends one response to r. It completes c with the elements that refer to the request.
func (a *acceptedAssociation) respond(contextID byte, r *Request, c CommandSet, ds *dataset.Dataset) error {
	c.CommandField = r.Command.CommandField | 0x8000
	c.MessageIDBeingRespondedTo = r.Command.MessageID
	c.AffectedSOPClassUID = r.Command.AffectedSOPClassUID
	c.AffectedSOPInstanceUID = r.Command.AffectedSOPInstanceUID
	var data []byte
	if ds != nil {
		b, err := dataset.Encode(ds, r.TransferSyntax)
		if err != nil {
			return err
		}
		data, c.HasDataSet = b, true
	}
	return a.upper.sendMessage(contextID, &c, data, a.maxLength)
}
