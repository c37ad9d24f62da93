// Package pdu encodes and decodes the protocol data units of the DICOM Upper Layer (PS3.8 section
// 9.3). It neither reads nor writes connections, and it keeps no state.
//
// Decoding is lenient: it ignores reserved bytes, skips items of unknown type, accepts items in any
// order, strips trailing NULs and spaces from UIDs, and keeps reserved values as received. It
// rejects a PDU only if an inner length exceeds the outer one. It never allocates memory for a
// length that is only claimed.
package pdu

import "fmt"

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

// String returns the standard's name of the PDU.
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

// Known reports whether the Upper Layer defines a PDU of this type.
func (t Type) Known() bool { return t >= TypeAssociateRQ && t <= TypeAbort }

const (
	// HeaderLength is the length of the fields before the body of a PDU: type, reserved byte and
	// length.
	HeaderLength = 6
	// MaxAssociateLength limits the body of A-ASSOCIATE-RQ and -AC. It is four times the length of
	// the largest sensible request, with 128 contexts of several transfer syntaxes.
	MaxAssociateLength = 64 << 10
	// maxItems limits the number of items and sub-items in one PDU. 128 contexts with all transfer syntaxes of the standard have fewer.
	maxItems = 8192
)

// PDU is one protocol data unit.
type PDU interface {
	// Type returns the PDU's type.
	Type() Type
	// Append appends the whole encoded PDU, including its header, to b.
	Append(b []byte) []byte
}

// FormatError reports a PDU that is malformed for its type. Reason is the reason to send in the
// A-ABORT that answers the PDU (PS3.8 table 9-26).
type FormatError struct {
	Reason AbortReason
	Detail string
}

func (e *FormatError) Error() string { return e.Detail }

// invalidf returns a FormatError with ReasonInvalidParameter.
func invalidf(format string, args ...any) *FormatError {
	return &FormatError{Reason: ReasonInvalidParameter, Detail: fmt.Sprintf(format, args...)}
}

// CheckHeader reports whether a PDU of type t may have a body of the given length, so that the
// caller can check before it allocates memory for the body. maxData limits P-DATA-TF. The error is
// a *FormatError.
func CheckHeader(t Type, length, maxData uint32) error {
	switch t {
	case TypeAssociateRQ, TypeAssociateAC:
		if length > MaxAssociateLength {
			return invalidf("%s of %d bytes, want at most %d", t, length, MaxAssociateLength)
		}
	case TypePDataTF:
		if length > maxData {
			return invalidf("%s of %d bytes, want at most %d", t, length, maxData)
		}
	case TypeAssociateRJ, TypeReleaseRQ, TypeReleaseRP:
		if length != 4 {
			return invalidf("%s of %d bytes, want 4", t, length)
		}
	case TypeAbort:
		// The association ends in any case, so only the size of the body matters.
		if length > MaxAssociateLength {
			return invalidf("%s of %d bytes, want at most %d", t, length, MaxAssociateLength)
		}
	default:
		return &FormatError{Reason: ReasonUnrecognizedPDU, Detail: "unrecognized " + t.String()}
	}
	return nil
}

// Decode decodes a body that CheckHeader accepted for type t. The result does not refer to body,
// unless it is a *PDataTF. The error is a *FormatError.
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
