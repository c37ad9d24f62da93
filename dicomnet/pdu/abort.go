package pdu

// AbortSource is the party that aborted the association (PS3.8 table 9-26).
type AbortSource byte

// The sources of an abort.
const (
	SourceUser     AbortSource = 0
	SourceProvider AbortSource = 2
)

// AbortReason is why the provider aborted. It is not significant if the source is the user.
type AbortReason byte

// The reasons of an abort by the provider.
const (
	ReasonNotSpecified          AbortReason = 0
	ReasonUnrecognizedPDU       AbortReason = 1
	ReasonUnexpectedPDU         AbortReason = 2
	ReasonUnrecognizedParameter AbortReason = 4
	ReasonUnexpectedParameter   AbortReason = 5
	ReasonInvalidParameter      AbortReason = 6
)

// Abort is the A-ABORT PDU (PS3.8 section 9.3.8). Decode keeps reserved values as received.
type Abort struct {
	Source AbortSource
	Reason AbortReason
}

// Type returns TypeAbort.
func (*Abort) Type() Type { return TypeAbort }

// Append appends the encoded PDU to b.
func (p *Abort) Append(b []byte) []byte {
	return append(b, byte(TypeAbort), 0, 0, 0, 0, 4, 0, 0, byte(p.Source), byte(p.Reason))
}

// decodeAbort accepts a body of any length, because the association ends anyway. A body that is too
// short for the fields gives the zero Abort.
func decodeAbort(body []byte) *Abort {
	if len(body) < 4 {
		return &Abort{}
	}
	return &Abort{Source: AbortSource(body[2]), Reason: AbortReason(body[3])}
}
