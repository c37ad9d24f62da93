package dicomnet

import (
	"context"
	"errors"
	"io"
	"strings"

	"dicom-qr-gateway/dicomnet/part10"
	"dicom-qr-gateway/dicomnet/pdu"
)

// Instance is a C-STORE request (PS3.7 section 9.1.1) whose data set is read while it arrives. It holds no memory but the buffer of its
// association. It is valid until the iteration of Get, or the call of Handler.Receive, that it was passed to ends. One goroutine may
// use it at a time.
//
// Reading does not wait longer than Timeouts.Network for the peer, nor beyond the context of the operation. If the peer takes longer
// or breaks the protocol, the association ends with A-ABORT.
type Instance struct {
	// Meta has the UIDs of the command set and the transfer syntax of the presentation context. Both UIDs are valid (PS3.5 section
	// 9.1), and the SOP class is the abstract syntax of the presentation context. Whether the data set has the same UIDs is for the
	// caller to check.
	part10.Meta
	MessageID uint16
	// MoveOriginatorAETitle and MoveOriginatorMessageID identify the C-MOVE that caused the request; "" and 0: the peer does not say.
	MoveOriginatorAETitle   string
	MoveOriginatorMessageID uint16

	stream    dataStream
	contextID byte
	request   CommandSet
	status    Status
	answered  bool // status is set
}

// Read reads some of the data set, as it is encoded in TransferSyntax. It returns io.EOF at the end of the data set. Any other error
// is an *OpError: the data set is incomplete, because the association has ended or the context of the operation is done.
//
// A buffer of 64 KiB or more costs the fewest copies and system calls.
func (i *Instance) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := i.stream.next()
	if err != nil {
		return 0, err
	}
	if b != nil {
		n := copy(p, b)
		i.stream.advance(n)
		return n, nil
	}
	return i.stream.readInto(p)
}

// WriteTo writes what has not been read of the data set to w: each part as it arrives, from the buffer of the association. Its errors
// are those of Read and of w.
func (i *Instance) WriteTo(w io.Writer) (written int64, err error) {
	for {
		b, err := i.stream.some()
		if err != nil {
			if err == io.EOF { //nolint:errorlint // a lost connection is another error, whatever it wraps
				err = nil
			}
			return written, err
		}
		n, err := w.Write(b)
		i.stream.advance(n)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
}

// Respond sets the status of the C-STORE response, which is sent when the instance is no longer used. What has not been read then is
// read and dropped before. Without a call of Respond the status is success if the data set was read to its end, and otherwise 0110
// (processing failure).
func (i *Instance) Respond(s Status) { i.status, i.answered = s, true }

// Watch ends reads with the cause of ctx when ctx is done, until stop is called. It is for Handler.Receive; Get watches its own context.
func (i *Instance) Watch(ctx context.Context) (stop func()) {
	if i.stream.step == StepGet || i.stream.messages == nil {
		return func() {}
	}
	i.stream.ctx = ctx //nolint:fatcontext // in place of the former one, whose cause reads would return
	return i.stream.messages.upper.link.watch(ctx)
}

// Received returns how many bytes of the data set have been read.
func (i *Instance) Received() int64 { return i.stream.received }

// newInstance returns the instance of a C-STORE-RQ m, whose data set follows.
func newInstance(ctx context.Context, step Step, messages *assembler, m *message, pc NegotiatedContext) *Instance {
	c := m.command
	return &Instance{
		Meta: part10.Meta{
			SOPClassUID: c.AffectedSOPClassUID, SOPInstanceUID: c.AffectedSOPInstanceUID, TransferSyntax: pc.TransferSyntax,
		},
		MessageID:               c.MessageID,
		MoveOriginatorAETitle:   c.MoveOriginatorAETitle,
		MoveOriginatorMessageID: c.MoveOriginatorMessageID,
		contextID:               m.contextID,
		request:                 c,
		stream:                  dataStream{ctx: ctx, step: step, messages: messages, contextID: m.contextID},
	}
}

// response returns the response to the request, after the whole data set has been read and dropped until the deadline.
func (i *Instance) response(until *deadline) (*CommandSet, error) {
	complete := i.stream.atEnd()
	if err := i.stream.drop(until); err != nil {
		return nil, err
	}
	switch {
	case i.answered:
	case complete:
		i.Respond(StatusSuccess)
	default:
		i.Respond(StatusProcessingFailure)
	}
	return storeResponse(&i.request, i.status), nil
}

// storeResponse returns the response to the C-STORE-RQ rq.
func storeResponse(rq *CommandSet, status Status) *CommandSet {
	return &CommandSet{
		CommandField:              CStoreRSP,
		AffectedSOPClassUID:       rq.AffectedSOPClassUID,
		AffectedSOPInstanceUID:    rq.AffectedSOPInstanceUID,
		MessageIDBeingRespondedTo: rq.MessageID,
		Status:                    status,
	}
}

// refusal returns the status with which a C-STORE-RQ is refused whatever its data set is, or success.
func refusal(m *message, pc NegotiatedContext) Status {
	switch c := &m.command; {
	case c.AffectedSOPClassUID != pc.AbstractSyntax, !storage(pc.AbstractSyntax):
		return StatusSOPClassNotSupported
	case !validUID(c.AffectedSOPInstanceUID):
		return StatusInvalidInstance
	case !m.hasData:
		return StatusIdentifierMismatch
	}
	return StatusSuccess
}

// validUID reports whether s has the form of PS3.5 section 9.1; leading zeros of a component are not looked at.
func validUID(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "0123456789.") == "" &&
		s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
}

// maxRefused bounds the instances in one operation, or on one association of a Server, that are refused because of their command set.
const maxRefused = 1000

// dataStream reads the data set of a C-STORE-RQ, fragment by fragment, from where the assembler has left it.
type dataStream struct {
	ctx       context.Context //nolint:containedctx // of the operation, for its cause
	step      Step
	messages  *assembler
	contextID byte

	buffered         []byte // of the current fragment, in the buffer of the link
	left             int    // bytes of the current fragment that follow buffered and have not been taken from the link
	last             bool   // the current fragment is the last one
	received         int64
	fragments, empty int
	err              error // of the association, which has ended
}

// atEnd reports whether the whole data set has been read.
func (d *dataStream) atEnd() bool { return d.last && len(d.buffered) == 0 && d.left == 0 }

// silence returns the deadline of a read: within a data set, the peer must not be silent for longer than the network timeout.
func (d *dataStream) silence() deadline {
	return deadlineAfter(d.messages.upper.link.network, TimerNetwork)
}

// next returns what is buffered of the current fragment, or nil if all of its rest is to be read from the link. It goes on to the next
// fragment if necessary.
func (d *dataStream) next() ([]byte, error) {
	for len(d.buffered) == 0 && d.left == 0 {
		if err := d.nextFragment(deadline{}); err != nil {
			return nil, err
		}
	}
	if len(d.buffered) > 0 {
		return d.buffered, nil
	}
	return nil, nil
}

// some returns some bytes of the data set, at least one. They are valid until the next read.
func (d *dataStream) some() ([]byte, error) {
	b, err := d.next()
	if b != nil || err != nil {
		return b, err
	}
	until := d.silence()
	b, err = d.messages.upper.link.some(d.left, &until)
	if err != nil {
		return nil, d.fail(d.messages.upper.receiveFailed(pdu.TypePDataTF, err))
	}
	return b, nil
}

// advance consumes n bytes of what next or some has returned.
func (d *dataStream) advance(n int) {
	if len(d.buffered) > 0 {
		d.buffered = d.buffered[n:]
	} else {
		d.messages.upper.link.r += n
		d.left -= n
	}
	d.consumed(n)
}

// readInto reads some of the current fragment from the link into p.
func (d *dataStream) readInto(p []byte) (int, error) {
	until := d.silence()
	n, err := d.messages.upper.link.readInto(p[:min(len(p), d.left)], &until)
	d.left -= n
	d.consumed(n)
	if err != nil {
		return n, d.fail(d.messages.upper.receiveFailed(pdu.TypePDataTF, err))
	}
	return n, nil
}

func (d *dataStream) consumed(n int) {
	d.received += int64(n)
	if d.atEnd() {
		d.messages.phase = awaitCommand
	}
}

// drop reads the rest of the data set until the deadline and drops it.
func (d *dataStream) drop(until *deadline) error {
	for !d.atEnd() {
		if len(d.buffered) > 0 || d.left > 0 {
			if err := d.dropFragment(until); err != nil {
				return err
			}
			continue
		}
		if err := d.nextFragment(*until); err != nil {
			return err
		}
	}
	return nil
}

func (d *dataStream) dropFragment(until *deadline) error {
	if len(d.buffered) > 0 {
		d.advance(len(d.buffered))
		return nil
	}
	silence := d.silence().earlier(*until)
	b, err := d.messages.upper.link.some(d.left, &silence)
	if err != nil {
		return d.fail(d.messages.upper.receiveFailed(pdu.TypePDataTF, err))
	}
	d.advance(len(b))
	return nil
}

// nextFragment goes on to the next fragment, which may be empty, until the deadline. It returns io.EOF after the last one.
func (d *dataStream) nextFragment(until deadline) error {
	switch {
	case d.err != nil:
		return d.err
	case d.last:
		return io.EOF
	}
	until = d.silence().earlier(until)
	v, left, err := d.messages.nextDataPDV(&until)
	if err == nil {
		err = d.check(v, len(v.Fragment)+left)
	}
	if err != nil {
		return d.fail(err)
	}
	d.buffered, d.left, d.last = v.Fragment, left, v.Last
	if d.atEnd() {
		d.messages.phase = awaitCommand
	}
	return nil
}

// bytesPerFragment is the mean length of a data set's fragments below which MaxFragments counts them. PDUs have at least 4 KiB in
// practice.
const bytesPerFragment = 128

// check checks a PDV with n bytes against the protocol and the limits.
func (d *dataStream) check(v pdu.PDV, n int) error {
	u := d.messages.upper
	limits := &u.limits
	switch {
	case v.ContextID != d.contextID:
		return u.fail(pdu.ReasonUnexpectedParameter, "presentation context changes within a message")
	case v.Command:
		return u.fail(pdu.ReasonUnexpectedParameter, "command set fragment received, want a data set")
	}
	if n == 0 {
		d.empty++
	}
	d.fragments++
	switch total := d.received + int64(n); {
	case total > limits.MaxInstance:
		return u.exceedLimit("bytes in an instance", limits.MaxInstance)
	case d.empty > limits.MaxEmptyFragments:
		return u.exceedLimit("empty fragments in a message", int64(limits.MaxEmptyFragments))
	case int64(d.fragments) > int64(limits.MaxFragments)+total/bytesPerFragment:
		return u.exceedLimit("fragments in a message", int64(limits.MaxFragments))
	}
	return nil
}

// fail returns the error of a read that failed with err. The association has ended, unless the context of the operation is done.
func (d *dataStream) fail(err error) error {
	if errors.Is(err, errInterrupted) {
		return opError(d.step, context.Cause(d.ctx))
	}
	d.messages.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
	d.err = opError(d.step, err)
	return d.err
}

// end makes the stream unusable: its buffers are reused from now on.
func (d *dataStream) end() {
	*d = dataStream{received: d.received, err: opError(d.step, ErrClosed)}
}

// nextDataPDV returns the next PDV of a data set that is not assembled. Its fragment has left more bytes, which follow in the link.
func (s *assembler) nextDataPDV(until *deadline) (v pdu.PDV, left int, err error) {
	for {
		switch {
		case len(s.pdvs) > 0:
			v, rest, _, err := pdu.NextPDV(s.pdvs)
			if err != nil {
				return pdu.PDV{}, 0, s.upper.fail(pdu.ReasonInvalidParameter, err.Error())
			}
			s.pdvs = rest
			return v, 0, nil
		case s.pduLeft > 0:
			return s.readPDVHeader(until)
		}
		n, ind, err := s.upper.receiveHeader(until)
		switch {
		case err != nil:
			return pdu.PDV{}, 0, err
		case ind.action == ar2:
			// A release ends the association in order, but not in the middle of a data set.
			return pdu.PDV{}, 0, s.upper.fail(pdu.ReasonUnexpectedPDU, "A-RELEASE-RQ within a data set")
		case n == 0:
			return pdu.PDV{ContextID: s.message.contextID}, 0, nil // counts as an empty fragment
		}
		s.pduLeft = n
	}
}

// readPDVHeader reads the header of the next PDV of the current P-DATA-TF.
func (s *assembler) readPDVHeader(until *deadline) (v pdu.PDV, left int, err error) {
	b, err := s.upper.link.take(min(pdu.PDVHeaderLength, s.pduLeft), until)
	if err != nil {
		return pdu.PDV{}, 0, s.upper.receiveFailed(pdu.TypePDataTF, err)
	}
	v, n, err := pdu.DecodePDVHeader(b, s.pduLeft)
	if err != nil {
		return pdu.PDV{}, 0, s.upper.fail(pdu.ReasonInvalidParameter, err.Error())
	}
	s.pduLeft -= pdu.PDVHeaderLength + n
	return v, n, nil
}
