package pdu

// AssociateRJ is the A-ASSOCIATE-RJ PDU (PS3.8 section 9.3.4). Decode keeps the values as received,
// including reserved ones.
type AssociateRJ struct{ Result, Source, Reason byte }

// Type returns TypeAssociateRJ.
func (*AssociateRJ) Type() Type { return TypeAssociateRJ }

// Append appends the encoded PDU to b.
func (p *AssociateRJ) Append(b []byte) []byte {
	return append(b, byte(TypeAssociateRJ), 0, 0, 0, 0, 4, 0, p.Result, p.Source, p.Reason)
}

func decodeAssociateRJ(body []byte) (*AssociateRJ, error) {
	if len(body) != 4 {
		return nil, invalidf("A-ASSOCIATE-RJ of %d bytes, want 4", len(body))
	}
	return &AssociateRJ{Result: body[1], Source: body[2], Reason: body[3]}, nil
}
