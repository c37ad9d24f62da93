package pdu_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/pdu"
)

func TestCheckHeaderLimitsTheBodyByType(t *testing.T) {
	for _, test := range []struct {
		name   string
		t      pdu.Type
		length uint32
		want   pdu.AbortReason
	}{
		{"an A-ASSOCIATE-AC at the limit", pdu.TypeAssociateAC, 65536, 0},
		{"an A-ASSOCIATE-AC over the limit", pdu.TypeAssociateAC, 65537, pdu.ReasonInvalidParameter},
		{"a P-DATA-TF at the limit", pdu.TypePDataTF, 131072, 0},
		{"a P-DATA-TF of 4 GiB", pdu.TypePDataTF, 0xFFFFFFF0, pdu.ReasonInvalidParameter},
		{"an A-RELEASE-RP of three bytes", pdu.TypeReleaseRP, 3, pdu.ReasonInvalidParameter},
		{"an A-ASSOCIATE-RJ of five bytes", pdu.TypeAssociateRJ, 5, pdu.ReasonInvalidParameter},
		{"an A-ABORT of no bytes", pdu.TypeAbort, 0, 0},
		{"an A-ABORT of a megabyte", pdu.TypeAbort, 1 << 20, pdu.ReasonInvalidParameter},
		{"type 0", 0, 4, pdu.ReasonUnrecognizedPDU},
		{"an HTTP request", 'H', 0x54502F31, pdu.ReasonUnrecognizedPDU},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := pdu.CheckHeader(test.t, test.length, 131072)
			if test.want == 0 {
				require.NoError(t, err)
				return
			}
			var format *pdu.FormatError
			require.ErrorAs(t, err, &format)
			require.Equal(t, test.want, format.Reason)
		})
	}
}

func TestDecodeChecksTypeAndLengthAgain(t *testing.T) {
	_, err := pdu.Decode(8, nil)
	require.Error(t, err)
	_, err = pdu.Decode(pdu.TypeAssociateRJ, []byte{0, 1})
	require.Error(t, err)
}

func TestTypeStringIsTheNameOfThePDU(t *testing.T) {
	require.Equal(t, "P-DATA-TF", pdu.TypePDataTF.String())
	require.Equal(t, "PDU type 48", pdu.Type('H').String())
}
