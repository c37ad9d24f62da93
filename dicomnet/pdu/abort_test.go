package pdu_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/pdu"
)

func TestDecodeAcceptsAnAbortOfAnyLength(t *testing.T) {
	p, err := pdu.Decode(pdu.TypeAbort, []byte{0, 0})
	require.NoError(t, err)
	require.Equal(t, &pdu.Abort{}, p)
	p, err = pdu.Decode(pdu.TypeAbort, []byte{0xFF, 0xFF, 1, 9, 7, 7})
	require.NoError(t, err)
	require.Equal(t, &pdu.Abort{Source: 1, Reason: 9}, p)
}
