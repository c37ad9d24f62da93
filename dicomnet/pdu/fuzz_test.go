package pdu_test

import (
	"bytes"
	"errors"
	"testing"

	"dicom-qr-gateway/dicomnet/pdu"
)

// FuzzDecode checks that decoding fails only with a *FormatError, and that a decoded PDU survives
// encoding and decoding unchanged.
func FuzzDecode(f *testing.F) {
	f.Add(byte(2), append(make([]byte, 68), unhex(f, `21 00 0019 01 00 00 00 40 00 0011 '1.2.840.10008.1.2' 50 00 0008 51 00 0004 00004000`)...))
	f.Add(byte(1), append(make([]byte, 68), unhex(f, `20 00 0019 01 00 00 00 30 00 0011 '1.2.840.10008.1.1' 50 00 000B 54 00 0007 0003 '1.2' 00 01`)...))
	f.Add(byte(4), unhex(f, `00000004 01 03 ABCD 00000002 01 02`))
	f.Add(byte(7), []byte{0, 0, 2, 6})
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		if len(b) > pdu.MaxAssociateLength {
			return
		}
		p, err := pdu.Decode(pdu.Type(kind), b)
		if err != nil {
			if _, ok := errors.AsType[*pdu.FormatError](err); !ok {
				t.Fatalf("error of type %T, want *pdu.FormatError", err)
			}
			return
		}
		for rest := b; p.Type() == pdu.TypePDataTF; {
			_, next, ok, err := pdu.NextPDV(rest)
			if err != nil || !ok {
				break
			}
			rest = next
		}
		again := p.Append(nil)
		q, err := pdu.Decode(p.Type(), again[pdu.HeaderLength:])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(q.Append(nil), again) {
			t.Fatal("the PDU changed when it was decoded and encoded again")
		}
	})
}
