package pdu

// ReleaseRQ is A-RELEASE-RQ (PS3.8 section 9.3.6).
type ReleaseRQ struct{}

// Type is TypeReleaseRQ.
func (*ReleaseRQ) Type() Type { return TypeReleaseRQ }

// Append appends the PDU to b.
func (*ReleaseRQ) Append(b []byte) []byte {
	return append(b, byte(TypeReleaseRQ), 0, 0, 0, 0, 4, 0, 0, 0, 0)
}

// ReleaseRP is A-RELEASE-RP (PS3.8 section 9.3.7).
type ReleaseRP struct{}

// Type is TypeReleaseRP.
func (*ReleaseRP) Type() Type { return TypeReleaseRP }

// Append appends the PDU to b.
func (*ReleaseRP) Append(b []byte) []byte {
	return append(b, byte(TypeReleaseRP), 0, 0, 0, 0, 4, 0, 0, 0, 0)
}
