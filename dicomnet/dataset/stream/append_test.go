package stream_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
)

func TestAppendedTokensAreReadAgain(t *testing.T) {
	s := explicit
	b := s.us(0x00280010, 1) + s.sequence(0x00081115, "SQ", s.item(s.element(0x0008103e, "LO", "ab")), s.item()) +
		s.sequence(0x7fe00010, "OB", s.definedItem(), s.definedItem("abcd"))
	d := stream.NewDecoder(strings.NewReader(b), s.ts, stream.Limits{})
	var got []byte
	for {
		token, err := d.Next()
		if err != nil {
			break
		}
		switch token.Kind {
		case stream.Element, stream.SequenceStart, stream.FragmentsStart:
			got = stream.AppendHeader(got, token.Tag, token.VR, token.Length)
		case stream.ItemStart, stream.OffsetTable, stream.Fragment:
			got = stream.AppendItem(got, token.Length)
		case stream.ItemEnd:
			got = stream.AppendItemEnd(got)
		case stream.SequenceEnd, stream.FragmentsEnd:
			got = stream.AppendSequenceEnd(got)
		}
		value, err := d.Bytes(100)
		require.NoError(t, err)
		got = append(got, value...)
	}
	assert.Equal(t, b, string(got))
	_, ok := dataset.LookupVR('a', 'b')
	assert.False(t, ok)
}
