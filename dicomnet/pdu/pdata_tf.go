package pdu

import "encoding/binary"

// PDataTF is a received P-DATA-TF (PS3.8 section 9.3.5). Its body is walked with
// NextPDV and refers to the reader's buffer.
type PDataTF struct{ Body []byte }

// Type is TypePDataTF.
func (*PDataTF) Type() Type { return TypePDataTF }

// Append appends the PDU, with its PDVs as they are, to b.
func (p *PDataTF) Append(b []byte) []byte {
	b, start := begin(b, TypePDataTF)
	return end(append(b, p.Body...), start)
}

// PDV is a presentation data value: one fragment of a command set or data set
// (PS3.8 section 9.3.5.1 and annex E).
type PDV struct {
	ContextID byte
	Command   bool // else data set
	Last      bool
	Fragment  []byte
}

// pdvHeaderLength is the length field, the context identifier and the message
// control header.
const pdvHeaderLength = 6

// NextPDV takes the first PDV off body and returns what follows it. The fragment
// refers to body. Bits 2 to 7 of the message control header are ignored. An
// empty body gives ok false and no error.
func NextPDV(body []byte) (v PDV, rest []byte, ok bool, err error) {
	if len(body) == 0 {
		return PDV{}, nil, false, nil
	}
	if len(body) < pdvHeaderLength {
		return PDV{}, nil, false, invalid("%d stray bytes after the last PDV", len(body))
	}
	n := uint64(binary.BigEndian.Uint32(body))
	if n < 2 || n > uint64(len(body)-4) {
		return PDV{}, nil, false, invalid("PDV length %d in %d bytes", n, len(body)-4)
	}
	v = PDV{
		ContextID: body[4],
		Command:   body[5]&1 != 0,
		Last:      body[5]&2 != 0,
		Fragment:  body[pdvHeaderLength : 4+n],
	}
	return v, body[4+n:], true, nil
}

// AppendPDV appends v in the form it has inside a P-DATA-TF.
func AppendPDV(b []byte, v PDV) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(v.Fragment)+2))
	var control byte
	if v.Command {
		control |= 1
	}
	if v.Last {
		control |= 2
	}
	return append(append(b, v.ContextID, control), v.Fragment...)
}

// MinMaxLength is the smallest maximum length that leaves room for a fragment
// (annex E.1 wants even ones).
const MinMaxLength = 8

// AppendMessagePart appends data, one whole command set or data set, as
// P-DATA-TF PDUs of exactly one PDV each, no body longer than maxLength and
// every fragment of even length but for the last one of odd data. One PDV a PDU
// is legal and keeps clear of peers that misread several (DCMTK's DUL_NextPDV).
// maxLength must be at least MinMaxLength.
func AppendMessagePart(b []byte, contextID byte, command bool, data []byte, maxLength uint32) []byte {
	most := int(maxLength-pdvHeaderLength) &^ 1
	for {
		n := min(len(data), most)
		var start int
		b, start = begin(b, TypePDataTF)
		b = AppendPDV(b, PDV{ContextID: contextID, Command: command, Last: n == len(data), Fragment: data[:n]})
		b = end(b, start)
		if data = data[n:]; len(data) == 0 {
			return b
		}
	}
}
