package pdu

// AssociateRJ is A-ASSOCIATE-RJ (PS3.8 section 9.3.4). Its numbers are kept as
// received, reserved ones too.
type AssociateRJ struct{ Result, Source, Reason byte }

// Type is TypeAssociateRJ.
func (*AssociateRJ) Type() Type { return TypeAssociateRJ }

// Append appends the PDU to b.
func (p *AssociateRJ) Append(b []byte) []byte {
	return append(b, byte(TypeAssociateRJ), 0, 0, 0, 0, 4, 0, p.Result, p.Source, p.Reason)
}

func decodeAssociateRJ(body []byte) (*AssociateRJ, error) {
	if len(body) != 4 {
		return nil, invalid("A-ASSOCIATE-RJ of %d bytes, want 4", len(body))
	}
	return &AssociateRJ{Result: body[1], Source: body[2], Reason: body[3]}, nil
}
