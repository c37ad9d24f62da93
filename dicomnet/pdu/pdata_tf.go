package pdu

import "encoding/binary"

// PDataTF is a received P-DATA-TF PDU (PS3.8 section 9.3.5). Body refers to the buffer given to
// Decode; NextPDV iterates over it.
type PDataTF struct{ Body []byte }

// Type returns TypePDataTF.
func (*PDataTF) Type() Type { return TypePDataTF }

// Append appends the encoded PDU to b, with Body unchanged.
func (p *PDataTF) Append(b []byte) []byte {
	b, start := beginPDU(b, TypePDataTF)
	return endPDU(append(b, p.Body...), start)
}

// PDV is a presentation data value: one fragment of a command set or data set (PS3.8 section
// 9.3.5.1 and annex E).
type PDV struct {
	ContextID byte
	Command   bool // a command set fragment, else a data set fragment
	Last      bool
	Fragment  []byte
}

// PDVHeaderLength is the length of the length field, the presentation context ID and the message
// control header.
const PDVHeaderLength = 6

// NextPDV decodes the first PDV of body and returns the bytes after it. The fragment refers to
// body. NextPDV ignores bits 2 to 7 of the message control header. For an empty body it returns ok
// false and no error.
func NextPDV(body []byte) (v PDV, rest []byte, ok bool, err error) {
	if len(body) == 0 {
		return PDV{}, nil, false, nil
	}
	v, n, err := DecodePDVHeader(body, len(body))
	if err != nil {
		return PDV{}, nil, false, err
	}
	end := PDVHeaderLength + n
	v.Fragment = body[PDVHeaderLength:end]
	return v, body[end:], true, nil
}

// DecodePDVHeader decodes the header of a PDV, with which b begins, and returns the length of its fragment. left is the number of
// bytes in the P-DATA-TF from the header on. The PDV is returned without its fragment.
func DecodePDVHeader(b []byte, left int) (v PDV, fragment int, err error) {
	if min(left, len(b)) < PDVHeaderLength {
		return PDV{}, 0, invalidf("PDV header needs 6 bytes, %d left", left)
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if n < 2 || n > uint64(left-4) {
		return PDV{}, 0, invalidf("PDV length %d with %d bytes left", n, left-4)
	}
	return PDV{ContextID: b[4], Command: b[5]&1 != 0, Last: b[5]&2 != 0}, int(n) - 2, nil
}

// AppendPDV appends v as it is encoded inside a P-DATA-TF.
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

// AppendPDataTF appends a P-DATA-TF PDU with the one PDV v.
func AppendPDataTF(b []byte, v PDV) []byte {
	b, start := beginPDU(b, TypePDataTF)
	return endPDU(AppendPDV(b, v), start)
}

// MinMaxLength is the smallest maximum length that leaves room for a fragment of two bytes (PS3.8
// annex E.1 requires fragments of even length).
const MinMaxLength = 8

// AppendMessagePart appends data, one whole command set or data set, as P-DATA-TF PDUs with one PDV
// each. No body is longer than maxLength, which must be at least MinMaxLength. Every fragment has
// an even length, except the last one if len(data) is odd.
//
// One PDV per PDU avoids peers that misread several (DCMTK's DUL_NextPDV).
func AppendMessagePart(b []byte, contextID byte, command bool, data []byte, maxLength uint32) []byte {
	maxFragment := int(maxLength-PDVHeaderLength) &^ 1
	for {
		n := min(len(data), maxFragment)
		b = AppendPDataTF(b, PDV{ContextID: contextID, Command: command, Last: n == len(data), Fragment: data[:n]})
		if data = data[n:]; len(data) == 0 {
			return b
		}
	}
}
