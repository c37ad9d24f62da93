package stream_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
)

// syntax encodes elements in one transfer syntax.
type syntax struct {
	name     string
	ts       dataset.TransferSyntax
	order    binary.AppendByteOrder
	implicit bool
}

var (
	implicit  = syntax{"Implicit", dataset.ImplicitVRLittleEndian, binary.LittleEndian, true}
	explicit  = syntax{"Explicit", dataset.ExplicitVRLittleEndian, binary.LittleEndian, false}
	bigEndian = syntax{"Big Endian", dataset.ExplicitVRBigEndian, binary.BigEndian, false}
	syntaxes  = []syntax{explicit, implicit, bigEndian}
)

const undefined = 0xffffffff

// header encodes tag, VR and length.
func (s syntax) header(tag uint32, vr string, length uint32) string {
	b := s.order.AppendUint16(nil, uint16(tag>>16))
	b = s.order.AppendUint16(b, uint16(tag))
	if s.implicit || tag>>16 == 0xfffe {
		return string(s.order.AppendUint32(b, length))
	}
	b = append(b, vr...)
	if slices.Contains([]string{"OB", "OW", "OF", "OL", "OD", "OV", "SQ", "UN", "UT", "UC", "UR", "SV", "UV"}, vr) {
		return string(s.order.AppendUint32(append(b, 0, 0), length))
	}
	return string(s.order.AppendUint16(b, uint16(length)))
}

func (s syntax) element(tag uint32, vr, value string) string {
	return s.header(tag, vr, uint32(len(value))) + value
}

func (s syntax) us(tag uint32, n uint16) string {
	return s.element(tag, "US", string(s.order.AppendUint16(nil, n)))
}

// sequence encodes a sequence of undefined length, items included.
func (s syntax) sequence(tag uint32, vr string, items ...string) string {
	return s.header(tag, vr, undefined) + strings.Join(items, "") + s.header(0xfffee0dd, "", 0)
}

// item encodes an item of undefined length.
func (s syntax) item(content ...string) string {
	return s.header(0xfffee000, "", undefined) + strings.Join(content, "") + s.header(0xfffee00d, "", 0)
}

// definedItem encodes an item, or a fragment, of defined length.
func (s syntax) definedItem(content ...string) string {
	return s.element(0xfffee000, "", strings.Join(content, ""))
}

// describe returns the tokens of a data set, a line each, with the values as hexadecimal digits or text.
func describe(t *testing.T, d *stream.Decoder) ([]string, error) {
	t.Helper()
	var lines []string
	for {
		token, err := d.Next()
		if err != nil {
			return lines, err
		}
		lines = append(lines, line(t, d, token))
		require.Less(t, len(lines), 1000)
	}
}

var kinds = [...]string{"", "sequence", "item", "item end", "sequence end", "fragments", "offset table", "fragment", "fragments end"}

func line(t *testing.T, d *stream.Decoder, token stream.Token) string {
	t.Helper()
	b := strings.Repeat("  ", token.Depth) + fmt.Sprintf("%04X%04X", token.Tag.Group, token.Tag.Element)
	if token.VR != (dataset.VR{}) {
		b += " " + token.VR.Name()
	}
	if token.Kind != stream.Element {
		b += " " + kinds[token.Kind]
	}
	if token.Index > 0 {
		b += fmt.Sprintf(" %d", token.Index)
	}
	switch token.Kind {
	case stream.Element, stream.OffsetTable, stream.Fragment:
		value, err := d.Bytes(1 << 20)
		require.NoError(t, err)
		require.Len(t, value, int(token.Length))
		b += fmt.Sprintf(" %q", value)
	default:
	}
	return b
}
