package pdu

// ReleaseRQ is the A-RELEASE-RQ PDU (PS3.8 section 9.3.6).
type ReleaseRQ struct{}

// Type returns TypeReleaseRQ.
func (*ReleaseRQ) Type() Type { return TypeReleaseRQ }

// Append appends the encoded PDU to b.
func (*ReleaseRQ) Append(b []byte) []byte {
	return append(b, byte(TypeReleaseRQ), 0, 0, 0, 0, 4, 0, 0, 0, 0)
}

// ReleaseRP is the A-RELEASE-RP PDU (PS3.8 section 9.3.7).
type ReleaseRP struct{}

// Type returns TypeReleaseRP.
func (*ReleaseRP) Type() Type { return TypeReleaseRP }

// Append appends the encoded PDU to b.
func (*ReleaseRP) Append(b []byte) []byte {
	return append(b, byte(TypeReleaseRP), 0, 0, 0, 0, 4, 0, 0, 0, 0)
}
