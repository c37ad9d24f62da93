package dicomweb_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/server/dicomweb"
)

// encoder encodes elements in explicit VR, little or big endian. Values are padded with a space.
type encoder struct{ order byteOrder }

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

func (e encoder) uint16(values ...uint16) string { return encode(e.order.AppendUint16, values) }
func (e encoder) uint32(values ...uint32) string { return encode(e.order.AppendUint32, values) }
func (e encoder) uint64(values ...uint64) string { return encode(e.order.AppendUint64, values) }

func encode[T any](appendOne func([]byte, T) []byte, values []T) string {
	var b []byte
	for _, v := range values {
		b = appendOne(b, v)
	}
	return string(b)
}

func (e encoder) element(group, element uint16, vr, value string) string {
	if len(value)%2 != 0 {
		value += " "
	}
	head := e.uint16(group, element) + vr
	if slices.Contains([]string{"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}, vr) {
		return head + "\x00\x00" + e.uint32(uint32(len(value))) + value
	}
	return head + e.uint16(uint16(len(value))) + value
}

func (e encoder) sequence(group, element uint16, items ...string) string {
	var b strings.Builder
	for _, item := range items {
		b.WriteString(e.uint16(0xfffe, 0xe000) + e.uint32(uint32(len(item))) + item)
	}
	return e.element(group, element, "SQ", b.String())
}

func (e encoder) parse(tb testing.TB, elements string) *dataset.Set {
	tb.Helper()
	syntax := dataset.ExplicitVRLittleEndian
	if e.order == binary.BigEndian {
		syntax = dataset.ExplicitVRBigEndian
	}
	set, err := dataset.Parse([]byte(elements), syntax, dataset.Limits{})
	require.NoError(tb, err)
	return set
}

func jsonOf(tb testing.TB, set *dataset.Set) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := dicomweb.NewJSONWriter(&out)
	w.Set(set)
	require.NoError(tb, w.Flush())
	return out.Bytes()
}
