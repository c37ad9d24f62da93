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

// encoded is a text of the standard or of another implementation with the bytes that stand for it.
type encoded struct {
	origin       string
	characterSet string
	tag          tag.Tag
	text         string // values separated by a bar
	bytes        string
}

// exactly are vectors where the bytes are the only proper ones, so that they hold in both directions.
var exactly = []encoded{
	{
		"PS3.5 H.3.1", `\ISO 2022 IR 87`, tag.PatientName, "Yamada^Tarou=山田^太郎=やまだ^たろう",
		"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
	},
	{
		"PS3.5 H.3.2", `ISO 2022 IR 13\ISO 2022 IR 87`, tag.PatientName, "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
		"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
	},
	{
		"PS3.5 I.2", `\ISO 2022 IR 149`, tag.PatientName, "Hong^Gildong=洪^吉洞=홍^길동",
		"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
	},
	{
		"PS3.5 I.3", `\ISO 2022 IR 149`, tag.AdditionalPatientHistory,
		"The first line includes 한글.\r\nThe second line includes 한글, too.\r\nThe third line.",
		"The first line includes \x1b$)C\xc7\xd1\xb1\xdb.\r\nThe second line includes \x1b$)C\xc7\xd1\xb1\xdb, too.\r\nThe third line.",
	},
	{
		"PS3.5 J.1", `ISO_IR 192`, tag.PatientName, "Wang^XiaoDong=王^小東",
		"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1",
	},
	{
		"PS3.5 J.3", `GB18030`, tag.PatientName, "Wang^XiaoDong=王^小东",
		"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab",
	},
	{
		"PS3.5 J.3 with GBK", `GBK`, tag.PatientName, "Wang^XiaoDong=王^小东",
		"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab",
	},
	{
		"PS3.5 K.2", `\ISO 2022 IR 58`, tag.PatientName, "Zhang^XiaoDong=张^小东=",
		"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
	},
	{
		"PS3.5 K.3", `\ISO 2022 IR 58`, tag.AdditionalPatientHistory,
		"1.第一行文字。\r\n2.第二行文字。\r\n3.第三行文字。\r\n",
		"1.\x1b$)A\xb5\xda\xd2\xbb\xd0\xd0\xce\xc4\xd7\xd6\xa1\xa3\r\n" +
			"2.\x1b$)A\xb5\xda\xb6\xfe\xd0\xd0\xce\xc4\xd7\xd6\xa1\xa3\r\n" +
			"3.\x1b$)A\xb5\xda\xc8\xfd\xd0\xd0\xce\xc4\xd7\xd6\xa1\xa3\r\n",
	},
}

func TestCharacterSetsBothWays(t *testing.T) {
	t.Parallel()
	for _, v := range exactly {
		t.Run(v.origin, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, v.text, read(t, v.characterSet, v.tag, v.bytes), "decoded")
			assert.Equal(t, pad(v.bytes), write(t, v.characterSet, v.tag, v.text), "encoded")
		})
	}
}

func pad(s string) string {
	if len(s)%2 != 0 {
		return s + " "
	}
	return s
}

// element is one element in implicit VR little endian.
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

func read(t *testing.T, characterSet string, of tag.Tag, bytes string) string {
	t.Helper()
	set := parse(t, element(tag.SpecificCharacterSet, pad(characterSet)), element(of, pad(bytes)))
	text := strings.Join(set.Strings(of), "|")
	assert.Zero(t, set.Warnings(), "warnings")
	return text
}

func write(t *testing.T, characterSet string, of tag.Tag, text string) string {
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
