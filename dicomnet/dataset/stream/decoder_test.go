package stream_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"dicom-qr-gateway/dicomnet/dataset/stream"
)

func TestDecoderReadsTheSameTokensFromEverySyntax(t *testing.T) {
	for _, s := range syntaxes {
		t.Run(s.name, func(t *testing.T) {
			b := s.element(0x00080018, "UI", "1.2\x00") +
				s.sequence(0x00081115, "SQ",
					s.item(s.element(0x00080060, "CS", "CT"), s.sequence(0x00081199, "SQ")),
					s.definedItem(s.us(0x00280010, 258)), s.item()) +
				s.element(0x00081140, "SQ", s.definedItem(s.us(0x00280011, 1))) +
				s.us(0x00280010, 512) +
				s.us(0x00280103, 1) +
				s.element(0x00280106, "SS", string(s.order.AppendUint16(nil, 0xfffe))) +
				s.element(0x7fe00010, "OW", string(s.order.AppendUint16(nil, 0x0102)))
			want := []string{
				`00080018 UI "1.2\x00"`,
				`00081115 SQ sequence`, `00081115 item 1`,
				`  00080060 CS "CT"`, `  00081199 SQ sequence`, `  00081199 sequence end`,
				`00081115 item end 1`, `00081115 item 2`, `  00280010 US "\x02\x01"`, `00081115 item end 2`,
				`00081115 item 3`, `00081115 item end 3`, `00081115 sequence end`,
				`00081140 SQ sequence`, `00081140 item 1`, `  00280011 US "\x01\x00"`, `00081140 item end 1`, `00081140 sequence end`,
				`00280010 US "\x00\x02"`,
				`00280103 US "\x01\x00"`,
				`00280106 SS "\xfe\xff"`,
				`7FE00010 OW "\x02\x01"`,
			}
			lines, err := describe(t, stream.NewDecoder(strings.NewReader(b), s.ts, stream.Limits{}))
			assert.Equal(t, io.EOF, err)
			assert.Equal(t, want, lines)
		})
	}
}
