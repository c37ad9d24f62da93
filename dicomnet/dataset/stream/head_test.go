package stream_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset/stream"
)

func (s syntax) head(more string) string {
	return s.element(0x00080005, "CS", "ISO_IR 100") +
		s.element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2\x00") +
		s.element(0x00080018, "UI", "1.2.3.4\x00") +
		more +
		s.element(0x0020000d, "UI", "1.2\x00") +
		s.element(0x0020000e, "UI", "1.2.3 ")
}

func TestReadHeadReturnsTheUIDsAndWhatItRead(t *testing.T) {
	for _, s := range syntaxes {
		t.Run(s.name, func(t *testing.T) {
			head := s.head(s.sequence(0x00081115, "SQ", s.item(s.element(0x00080018, "UI", "9.9\x00"), s.sequence(0x00081199, "SQ", s.item()))))
			all := head + s.us(0x00280010, 512) + strings.Repeat("x", 10000)
			r := strings.NewReader(all)
			got, buf, err := stream.ReadHead(r, s.ts, []byte("kept"), 8192)
			require.NoError(t, err)
			assert.Equal(t, stream.Head{"1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", "1.2", "1.2.3"}, got)
			rest := new(bytes.Buffer)
			_, _ = rest.ReadFrom(r)
			assert.Equal(t, "kept"+all, string(buf)+rest.String())
			assert.LessOrEqual(t, len(buf), 8192+4)
		})
	}
}
