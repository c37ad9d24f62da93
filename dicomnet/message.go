package dicomnet

import (
	"bytes"
	"context"
	"errors"
	"time"

	"dicom-qr-gateway/dicomnet/pdu"
)

// message is one DIMSE message: a command set and, if it has one, the encoded data set. data refers
// to buffers that the next read reuses.
type message struct {
	contextID byte
	command   CommandSet
	data      []byte
	hasData   bool
	// dataMissing reports that the command set announced a data set that did not arrive.
	dataMissing bool
}

// phase is what the assembler expects next.
type phase uint8

const (
	awaitCommand      phase = iota // the first fragment of a command set
	inCommand                      // more of the command set
	awaitData                      // the first fragment of a data set
	awaitOptionalData              // perhaps a data set: some peers announce none and send one
	inData                         // more of the data set
	inStream                       // the data set of a C-STORE-RQ, which a dataStream reads
)

// assembler assembles the PDVs of an association into messages (PS3.8 annex E). It reads a stream
// of PDVs: a PDU may contain several messages, a message may span many PDUs, and a PDU may end
// anywhere in a message. An interrupted read keeps what has been assembled, and the next call
// continues from there.
type assembler struct {
	upper    *upperLayer
	accepted func(contextID byte) bool

	pdvs          []byte  // PDVs of the current P-DATA-TF that are not processed yet
	pushedBack    pdu.PDV // a PDV that belongs to the next message
	hasPushedBack bool    // pushedBack is set
	pduLeft       int     // bytes of the current P-DATA-TF that follow pdvs and have not been taken from the link

	phase            phase
	message          message
	decodedFrom      []byte // the encoded form of message.command: all matches of an answer have the same, so it is decoded once
	buffer           []byte
	fragments, empty int

	received int64 // bytes since the operation began
	streams  bool  // the data set of a C-STORE-RQ is left to a dataStream

	memory  Memory          // asked for the memory of a long message; nil: not asked
	ctx     context.Context //nolint:containedctx // of the operation, for memory
	holding bool            // memory holds something
}

// Memory limits what an operation may hold. Hold sets how many bytes the operation holds for the message that it is reading; zero
// never fails. It may wait until ctx is done. After an error the association is aborted, and the operation ends with that error.
type Memory interface {
	Hold(ctx context.Context, bytes int) error
}

// maxUncounted is the length of a message from which on its memory is asked for. Nearly all are shorter.
const maxUncounted = maxKeptBuffer

// perByte is how many bytes of memory decoding takes for each byte of a data set, in the worst case: the buffer, the table of its
// elements and the text.
const perByte = 4

// maxKeptBuffer bounds the assembly buffer that is kept after a message.
const maxKeptBuffer = 64 << 10

// maxDecodedFrom is more than the length of a match's command set.
const maxDecodedFrom = 256

// next returns the next complete message, which is valid until the next call. The deadline until
// bounds the whole message.
func (s *assembler) next(until *deadline) (*message, error) {
	if s.phase == awaitCommand {
		s.message.data, s.message.hasData, s.message.dataMissing = nil, false, false
		s.fragments, s.empty = 0, 0
		if cap(s.buffer) > maxKeptBuffer {
			s.buffer = nil
		}
		s.releaseMemory()
	}
	for {
		v, err := s.nextPDV(s.dataDeadline(until))
		if err != nil {
			if s.dataMayBeMissing() && !errors.Is(err, errInterrupted) {
				s.phase, s.message.dataMissing = awaitCommand, true
				return &s.message, nil
			}
			return nil, err
		}
		done, err := s.add(v)
		if err != nil {
			return nil, err
		}
		if done {
			if s.phase != inStream {
				s.phase = awaitCommand
			}
			return &s.message, nil
		}
	}
}

// dataSetGrace bounds the wait for a data set that some peers announce with the final response to a
// C-FIND, C-MOVE or C-GET and never send.
const dataSetGrace = 2 * time.Second

// dataMayBeMissing reports whether the message is such a response, without any of its data set.
func (s *assembler) dataMayBeMissing() bool {
	c := &s.message.command
	if s.phase != awaitData || c.Status.Pending() {
		return false
	}
	return c.CommandField == CFindRSP || c.CommandField == CMoveRSP || c.CommandField == CGetRSP
}

// dataDeadline returns until, or the end of dataSetGrace if that is earlier and applies.
func (s *assembler) dataDeadline(until *deadline) *deadline {
	if !s.dataMayBeMissing() {
		return until
	}
	grace := until.start().earlier(deadlineAfter(dataSetGrace, until.timer))
	return &grace
}

// nextPDV returns the next PDV and counts it against the limits.
func (s *assembler) nextPDV(until *deadline) (pdu.PDV, error) {
	if s.hasPushedBack {
		s.hasPushedBack = false
		return s.pushedBack, nil
	}
	for {
		if len(s.pdvs) == 0 && s.pduLeft > 0 {
			b, err := s.upper.link.take(s.pduLeft, until)
			if err != nil {
				return pdu.PDV{}, s.upper.receiveFailed(pdu.TypePDataTF, err)
			}
			s.pdvs, s.pduLeft = b, 0
		}
		v, rest, ok, err := pdu.NextPDV(s.pdvs)
		if err != nil {
			return pdu.PDV{}, s.upper.fail(pdu.ReasonInvalidParameter, err.Error())
		}
		if ok {
			s.pdvs = rest
			return v, s.count(v)
		}
		ind, err := s.upper.receive(until)
		if err != nil {
			return pdu.PDV{}, err
		}
		if ind.action == ar2 {
			return pdu.PDV{}, s.upper.acceptRelease()
		}
		if s.pdvs = ind.data; len(s.pdvs) == 0 {
			if err := s.countEmpty(); err != nil {
				return pdu.PDV{}, err
			}
		}
	}
}

// count checks v against the limits of a message and of the operation.
func (s *assembler) count(v pdu.PDV) error {
	limits := &s.upper.limits
	if s.fragments++; s.fragments > limits.MaxFragments {
		return s.upper.exceedLimit("fragments in a message", int64(limits.MaxFragments))
	}
	if s.received += int64(len(v.Fragment)); s.received > limits.MaxOperationBytes {
		return s.upper.exceedLimit("bytes received in an operation", limits.MaxOperationBytes)
	}
	if len(v.Fragment) == 0 {
		return s.countEmpty()
	}
	return nil
}

// countEmpty counts an empty PDV, or a P-DATA-TF without a PDV.
func (s *assembler) countEmpty() error {
	if s.empty++; s.empty > s.upper.limits.MaxEmptyFragments {
		return s.upper.exceedLimit("empty fragments in a message", int64(s.upper.limits.MaxEmptyFragments))
	}
	return nil
}

// add adds v to the current message and reports whether the message is complete.
func (s *assembler) add(v pdu.PDV) (done bool, err error) {
	if s.phase == awaitOptionalData {
		if v.Command || v.ContextID != s.message.contextID {
			s.pushedBack, s.hasPushedBack = v, true
			return true, nil
		}
		s.phase = awaitData
	}
	switch {
	case s.phase == awaitCommand && !s.accepted(v.ContextID):
		return false, s.upper.fail(pdu.ReasonUnexpectedParameter, "PDV on a presentation context that was not accepted")
	case s.phase == awaitCommand:
		s.message.contextID = v.ContextID
	case v.ContextID != s.message.contextID:
		return false, s.upper.fail(pdu.ReasonUnexpectedParameter, "presentation context changes within a message")
	}
	switch s.phase {
	case awaitCommand, inCommand:
		if !v.Command {
			return false, s.upper.fail(pdu.ReasonUnexpectedParameter, "data set fragment received, want a command set")
		}
		return s.addCommand(v)
	default:
		if v.Command {
			return false, s.upper.fail(pdu.ReasonUnexpectedParameter, "command set fragment received, want a data set")
		}
		return s.addData(v)
	}
}

// addCommand adds a fragment of a command set and decodes the last one.
func (s *assembler) addCommand(v pdu.PDV) (done bool, err error) {
	b, err := s.appendFragment(v, s.phase == awaitCommand, s.upper.limits.MaxCommandSet, "bytes in a command set")
	if err != nil {
		return false, err
	}
	if !v.Last {
		s.phase = inCommand
		return false, nil
	}
	c := &s.message.command
	if len(b) == 0 || !bytes.Equal(b, s.decodedFrom) {
		s.decodedFrom = s.decodedFrom[:0]
		if *c, err = DecodeCommandSet(b); err != nil {
			return false, s.upper.fail(pdu.ReasonInvalidParameter, err.Error())
		}
		if len(b) <= maxDecodedFrom {
			s.decodedFrom = append(s.decodedFrom, b...)
		}
	}
	s.upper.traceCommand(false, c)
	switch {
	case c.HasDataSet && s.streams && c.CommandField == CStoreRQ:
		s.phase, s.message.hasData = inStream, true
		return true, nil
	case c.HasDataSet:
		s.phase = awaitData
	case c.CommandField == CFindRSP && c.Status.Pending():
		s.phase = awaitOptionalData
	default:
		return true, nil
	}
	return false, nil
}

// addData adds a fragment of a data set.
func (s *assembler) addData(v pdu.PDV) (done bool, err error) {
	b, err := s.appendFragment(v, s.phase == awaitData, s.upper.limits.MaxDataSet, "bytes in a data set")
	if err != nil {
		return false, err
	}
	s.phase = inData
	if v.Last {
		s.message.data, s.message.hasData = b, true
	}
	return v.Last, nil
}

// appendFragment returns the fragments of a command set or data set so far, v included. It does not
// copy a part that arrives in one fragment. limit bounds the length; what describes it in a
// LimitError.
func (s *assembler) appendFragment(v pdu.PDV, first bool, limit int, what string) ([]byte, error) {
	if first {
		s.buffer = s.buffer[:0]
	}
	if len(s.buffer)+len(v.Fragment) > limit {
		return nil, s.upper.exceedLimit(what, int64(limit))
	}
	if first && v.Last {
		return v.Fragment, nil
	}
	if len(s.buffer)+len(v.Fragment) > maxUncounted && !s.holding && s.memory != nil {
		if err := s.memory.Hold(s.ctx, perByte*limit); err != nil {
			s.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
			return nil, err
		}
		s.holding = true
	}
	s.buffer = append(s.buffer, v.Fragment...)
	return s.buffer, nil
}

// releaseMemory ends what was asked for a long message.
func (s *assembler) releaseMemory() {
	if s.holding {
		s.holding = false
		_ = s.memory.Hold(s.ctx, 0) // does not fail
	}
}

// sendMessage sends a command set and, unless data is nil, its data set in one write. Each PDU
// contains one PDV and is at most maxLength bytes long.
func (u *upperLayer) sendMessage(contextID byte, c *CommandSet, data []byte, maxLength uint32) error {
	u.traceCommand(true, c)
	command := c.Append(make([]byte, 0, 256))
	b := make([]byte, 0, len(command)+len(data)+(2+len(command)/int(maxLength-6)+len(data)/int(maxLength-6))*12)
	b = pdu.AppendMessagePart(b, contextID, true, command, maxLength)
	if data != nil {
		b = pdu.AppendMessagePart(b, contextID, false, data, maxLength)
	}
	return u.sendData(b)
}

// drained reports whether nothing received is waiting to be processed.
func (s *assembler) drained() bool {
	return s.phase == awaitCommand && !s.hasPushedBack && len(s.pdvs) == 0 && s.pduLeft == 0
}

// releaseBuffers drops the buffers of the last message if nothing is left in them.
func (s *assembler) releaseBuffers() {
	if s.drained() {
		s.message, s.decodedFrom, s.pdvs, s.buffer = message{}, nil, nil, nil
	}
}
