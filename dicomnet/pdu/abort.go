package pdu

// AbortSource tells who aborted (PS3.8 table 9-26).
type AbortSource byte

// The sources.
const (
	SourceUser     AbortSource = 0
	SourceProvider AbortSource = 2
)

// AbortReason tells why a provider aborted; not significant from a user.
type AbortReason byte

// The reasons.
const (
	ReasonNotSpecified          AbortReason = 0
	ReasonUnrecognizedPDU       AbortReason = 1
	ReasonUnexpectedPDU         AbortReason = 2
	ReasonUnrecognizedParameter AbortReason = 4
	ReasonUnexpectedParameter   AbortReason = 5
	ReasonInvalidParameter      AbortReason = 6
)

// Abort is A-ABORT (PS3.8 section 9.3.8). Reserved values are kept as received.
type Abort struct {
	Source AbortSource
	Reason AbortReason
}

// Type is TypeAbort.
func (*Abort) Type() Type { return TypeAbort }

// Append appends the PDU to b.
func (p *Abort) Append(b []byte) []byte {
	return append(b, byte(TypeAbort), 0, 0, 0, 0, 4, 0, 0, byte(p.Source), byte(p.Reason))
}

func decodeAbort(body []byte) *Abort {
	if len(body) < 4 {
		return &Abort{}
	}
	return &Abort{Source: AbortSource(body[2]), Reason: AbortReason(body[3])}
}
