// Package pdu frames the protocol data units of the DICOM Upper Layer
// (PS3.8 section 9.3). It encodes and decodes; it neither reads nor writes
// connections, and it keeps no state.
//
// Decoding never tests reserved bytes, skips items of unknown type, takes items
// in any order, strips trailing NULs and spaces from UIDs, and keeps the numbers
// of reserved values as they came. What it insists on is that every inner length
// fits the outer one. Nothing is allocated by a length that was only claimed.
package pdu

import (
	"encoding/binary"
	"fmt"
)

// Type is the PDU type, the first byte of every PDU.
type Type byte

// The PDU types of PS3.8 section 9.3.
const (
	TypeAssociateRQ Type = 0x01
	TypeAssociateAC Type = 0x02
	TypeAssociateRJ Type = 0x03
	TypePDataTF     Type = 0x04
	TypeReleaseRQ   Type = 0x05
	TypeReleaseRP   Type = 0x06
	TypeAbort       Type = 0x07
)

// String is the standard's name of the PDU.
func (t Type) String() string {
	switch t {
	case TypeAssociateRQ:
		return "A-ASSOCIATE-RQ"
	case TypeAssociateAC:
		return "A-ASSOCIATE-AC"
	case TypeAssociateRJ:
		return "A-ASSOCIATE-RJ"
	case TypePDataTF:
		return "P-DATA-TF"
	case TypeReleaseRQ:
		return "A-RELEASE-RQ"
	case TypeReleaseRP:
		return "A-RELEASE-RP"
	case TypeAbort:
		return "A-ABORT"
	}
	return fmt.Sprintf("PDU type %02X", byte(t))
}

// Known reports whether the Upper Layer has such a PDU.
func (t Type) Known() bool { return t >= TypeAssociateRQ && t <= TypeAbort }

const (
	// HeaderLength is the length of the fields before a PDU's body: type,
	// reserved byte and length.
	HeaderLength = 6
	// MaxAssociateLength bounds the body of A-ASSOCIATE-RQ and -AC. The largest
	// sensible one, 128 contexts of several transfer syntaxes, is a quarter of it.
	MaxAssociateLength = 64 << 10
	// maxItems bounds the items and sub-items of one PDU.
	maxItems = 1024
)

// PDU is one protocol data unit.
type PDU interface {
	// Type is the PDU's type.
	Type() Type
	// Append appends the whole PDU, header included, to b.
	Append(b []byte) []byte
}

// FormatError is a PDU that cannot be what its type says. Reason is the A-ABORT
// reason that answers it (PS3.8 table 9-26).
type FormatError struct {
	Reason AbortReason
	Detail string
}

func (e *FormatError) Error() string { return e.Detail }

func invalid(format string, args ...any) *FormatError {
	return &FormatError{Reason: ReasonInvalidParameter, Detail: fmt.Sprintf(format, args...)}
}

// CheckHeader tells whether a body of length may follow a header of type t,
// before anything is allocated for it. maxData bounds P-DATA-TF.
func CheckHeader(t Type, length, maxData uint32) error {
	switch t {
	case TypeAssociateRQ, TypeAssociateAC:
		if length > MaxAssociateLength {
			return invalid("%s of %d bytes, at most %d", t, length, MaxAssociateLength)
		}
	case TypePDataTF:
		if length > maxData {
			return invalid("%s of %d bytes, at most %d", t, length, maxData)
		}
	case TypeAssociateRJ, TypeReleaseRQ, TypeReleaseRP:
		if length != 4 {
			return invalid("%s of %d bytes, want 4", t, length)
		}
	case TypeAbort:
		// Any length will do: the association ends anyway. Only its size is bounded.
		if length > MaxAssociateLength {
			return invalid("%s of %d bytes", t, length)
		}
	default:
		return &FormatError{Reason: ReasonUnrecognizedPDU, Detail: "unrecognized " + t.String()}
	}
	return nil
}

// Decode decodes the body that followed a header of type t and that CheckHeader
// let pass. The result does not refer to body, except for a *PDataTF.
func Decode(t Type, body []byte) (PDU, error) {
	switch t {
	case TypeAssociateRQ:
		return decodeAssociateRQ(body)
	case TypeAssociateAC:
		return decodeAssociateAC(body)
	case TypeAssociateRJ:
		return decodeAssociateRJ(body)
	case TypePDataTF:
		return &PDataTF{Body: body}, nil
	case TypeReleaseRQ:
		return &ReleaseRQ{}, nil
	case TypeReleaseRP:
		return &ReleaseRP{}, nil
	case TypeAbort:
		return decodeAbort(body), nil
	}
	return nil, &FormatError{Reason: ReasonUnrecognizedPDU, Detail: "unrecognized " + t.String()}
}

// begin appends a header whose length end fills in.
func begin(b []byte, t Type) ([]byte, int) {
	b = append(b, byte(t), 0, 0, 0, 0, 0)
	return b, len(b)
}

func end(b []byte, start int) []byte {
	binary.BigEndian.PutUint32(b[start-4:], uint32(len(b)-start))
	return b
}
