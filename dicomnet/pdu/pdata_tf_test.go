package pdu_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet/pdu"
)

func TestNextPDVIgnoresReservedControlBitsAndRejectsWrongLengths(t *testing.T) {
	t.Run("bits 2 to 7 of the message control header are ignored", func(t *testing.T) {
		v, rest, ok, err := pdu.NextPDV(unhex(t, `00000003 05 FD 31   00000002 07 FE`))
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, pdu.PDV{ContextID: 5, Command: true, Fragment: []byte("1")}, v)
		v, rest, ok, err = pdu.NextPDV(rest)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, pdu.PDV{ContextID: 7, Last: true, Fragment: []byte{}}, v)
		_, _, ok, err = pdu.NextPDV(rest)
		require.NoError(t, err)
		require.False(t, ok)
	})
	for name, b := range map[string]string{
		"length 0":                `00000000 01 03`,
		"length 1":                `00000001 01 03`,
		"length exceeds the PDU":  `00000003 01 03`,
		"length overflows uint32": `FFFFFFFF 01 03 00`,
		"shorter than a header":   `000000`,
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := pdu.NextPDV(unhex(t, b))
			var format *pdu.FormatError
			require.ErrorAs(t, err, &format)
			require.Equal(t, pdu.ReasonInvalidParameter, format.Reason)
		})
	}
}

func TestAppendMessagePartWritesOnePDVPerPDUWithinTheMaximumLength(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "data")
		maxLength := rapid.Uint32Range(pdu.MinMaxLength, 300).Draw(t, "maximum length")
		b := pdu.AppendMessagePart(nil, 3, true, data, maxLength)
		var got []byte
		for last := false; len(b) > 0; {
			if last {
				t.Fatal("a PDU follows the last fragment")
			}
			n := uint32(b[2])<<24 | uint32(b[3])<<16 | uint32(b[4])<<8 | uint32(b[5])
			if b[0] != byte(pdu.TypePDataTF) || n > maxLength {
				t.Fatalf("PDU type %d with a body of %d bytes, want P-DATA-TF of at maxLength %d", b[0], n, maxLength)
			}
			v, rest, ok, err := pdu.NextPDV(b[6 : 6+n])
			if err != nil || !ok || len(rest) != 0 {
				t.Fatalf("the PDU does not hold exactly one PDV: %v", err)
			}
			if last = v.Last; !last && len(v.Fragment)%2 != 0 {
				t.Fatalf("fragment of odd length %d before the last", len(v.Fragment))
			}
			got = append(got, v.Fragment...)
			b = b[6+n:]
		}
		if !bytes.Equal(got, data) {
			t.Fatal("the fragments together differ from the data")
		}
	})
}
