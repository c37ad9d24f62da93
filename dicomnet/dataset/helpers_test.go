package dataset_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

var (
	// privateSequence and privateText are not in the dictionary.
	privateSequence = tag.Tag{Group: 0x0009, Element: 0x1001}
	privateText     = tag.Tag{Group: 0x0009, Element: 0x1002}
	itemTag         = tag.Tag{Group: 0xfffe, Element: 0xe000}
)

// The header of an item of undefined length, and the delimiters, in little endian.
const (
	undefinedItem = "\xfe\xff\x00\xe0\xff\xff\xff\xff"
	itemEnd       = "\xfe\xff\x0d\xe0\x00\x00\x00\x00"
	sequenceEnd   = "\xfe\xff\xdd\xe0\x00\x00\x00\x00"
)

// undefinedSequence encodes a sequence of undefined length in implicit VR little endian.
func undefinedSequence(t tag.Tag, content string) string {
	return element(t, "")[:4] + "\xff\xff\xff\xff" + content + sequenceEnd
}

// explicit encodes an element in explicit VR little endian.
func explicit(t tag.Tag, vr, value string) string {
	head := element(t, value)
	switch vr {
	case "OB", "OW", "OF", "SQ", "UN", "UT", "UC", "UR", "SV", "UV":
		return head[:4] + vr + "\x00\x00" + head[4:]
	}
	return head[:4] + vr + head[4:6] + value
}

// explicitUndefined encodes an element of undefined length in explicit VR little endian. The
// content includes the delimiter.
func explicitUndefined(t tag.Tag, vr, content string) string {
	return element(t, "")[:4] + vr + "\x00\x00\xff\xff\xff\xff" + content
}

func parseExplicit(t *testing.T, elements ...string) *dataset.Set {
	t.Helper()
	set, err := dataset.Parse([]byte(strings.Join(elements, "")), dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	return set
}

// item encodes an item of defined length in little endian.
func item(content string) string {
	n := len(content)
	return "\xfe\xff\x00\xe0" + string([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}) + content
}

// pad pads s with a space to even length.
func pad(s string) string {
	if len(s)%2 != 0 {
		return s + " "
	}
	return s
}

// element encodes an element in implicit VR little endian.
func element(t tag.Tag, value string) string {
	n := len(value)
	return string([]byte{
		byte(t.Group), byte(t.Group >> 8), byte(t.Element), byte(t.Element >> 8),
		byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24),
	}) + value
}

func parse(t *testing.T, elements ...string) *dataset.Set {
	t.Helper()
	set, err := dataset.Parse([]byte(strings.Join(elements, "")), dataset.ImplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	return set
}

// decodeText decodes the values of one element, separated by a bar, and expects no warning.
func decodeText(t *testing.T, characterSet string, of tag.Tag, bytes string) string {
	t.Helper()
	set := parse(t, element(tag.SpecificCharacterSet, pad(characterSet)), element(of, pad(bytes)))
	text := strings.Join(set.Strings(of), "|")
	assert.Zero(t, set.Warnings(), "warnings")
	return text
}

// encodeText encodes values separated by a bar and returns the value of the element.
func encodeText(t *testing.T, characterSet string, of tag.Tag, text string) string {
	t.Helper()
	b, err := dataset.Encode(&dicom.Dataset{Elements: []*dicom.Element{
		dataset.Text(of, strings.Split(text, "|")...),
		dataset.Text(tag.SpecificCharacterSet, strings.Split(characterSet, `\`)...),
	}}, dataset.ImplicitVRLittleEndian)
	require.NoError(t, err)
	set, err := dataset.Parse(b, dataset.ImplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	value, ok := set.Bytes(of)
	require.True(t, ok)
	return string(value)
}
