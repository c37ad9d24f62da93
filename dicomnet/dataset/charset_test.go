package dataset_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

func TestTextVectorsAreDecodedAndEncoded(t *testing.T) {
	t.Parallel()
	for _, v := range roundTripVectors {
		t.Run(v.origin, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, v.text, decodeText(t, v.characterSet, v.tag, v.bytes), "decoded")
			assert.Equal(t, pad(v.bytes), encodeText(t, v.characterSet, v.tag, v.text), "encoded")
		})
	}
}

func TestTextVectorsAreDecoded(t *testing.T) {
	t.Parallel()
	for _, v := range decodeOnlyVectors {
		t.Run(v.origin, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, v.text, decodeText(t, v.characterSet, v.tag, v.bytes))
		})
	}
}

// TestDecodeTextAssumesTheLikelyCharacterSetAndWarns covers bytes whose meaning the standard leaves
// open.
func TestDecodeTextAssumesTheLikelyCharacterSetAndWarns(t *testing.T) {
	t.Parallel()
	const assumed, unknown, undecodable, malformed = dataset.CharacterSetAssumed, dataset.CharacterSetUnknown,
		dataset.TextUndecodable, dataset.ValueMalformed
	for _, v := range []struct {
		name         string
		characterSet string
		bytes, text  string
		warnings     dataset.Warnings
	}{
		{"absent, ISO_IR 100 bytes", "-", "M\xfcller", "Müller", assumed},
		{"absent, UTF-8 bytes", "-", "M\xc3\xbcller", "Müller", assumed},
		{"absent, ASCII bytes", "-", "Muller", "Muller", 0},
		{"empty, ISO_IR 100 bytes", "", "M\xfcller", "Müller", assumed},
		{"ISO_IR 6, UTF-8 bytes", "ISO_IR 6", "M\xc3\xbcller", "Müller", assumed},
		{"absent, quotes of Windows-1252", "-", "\x84M\xfcller\x93", "„Müller“", assumed},
		{"unknown term, ISO_IR 100 bytes", "ISO_IR 999", "M\xfcller", "Müller", assumed | unknown},
		{"unknown term, UTF-8 bytes", "KLINGON", "M\xc3\xbcller", "Müller", assumed | unknown},
		{"unknown term, ASCII bytes", "KLINGON", "Muller", "Muller", 0},
		{"unknown term after a known one", `ISO 2022 IR 100\ISO 2022 IR 146`, "M\xfcller", "Müller", unknown},
		{"unknown term longer than any defined term", strings.Repeat("X", 40), "M\xfcller", "Müller", assumed | unknown},
		{"unknown term of punctuation", "???", "M\xfcller", "Müller", assumed | unknown},
		{"ISO_IR 100, dash of Windows-1252", "ISO_IR 100", "CT \x96 MR", "CT – MR", assumed},
		{"ISO_IR 100, a byte that Windows-1252 does not have", "ISO_IR 100", "CT \x81", "CT \ufffd", undecodable},
		{"ISO_IR 101, a control byte", "ISO_IR 101", "CT \x96", "CT \ufffd", undecodable},
		{"ISO_IR 126, an unassigned code", "ISO_IR 126", "\xc4\xd2", "Δ\ufffd", undecodable},
		{"ISO_IR 13, an unassigned code", "ISO_IR 13", "\xd4\x1b)I\xe0", "ﾔ\ufffd", undecodable},
		{"ISO_IR 13, Shift JIS bytes", "ISO_IR 13", "\x8eR\x93c", "山田", assumed},
		{"ISO_IR 192, invalid UTF-8", "ISO_IR 192", "M\xfcller", "M\ufffdller", undecodable},
		{"ISO_IR 192, truncated character", "ISO_IR 192", "M\xc3", "M\ufffd", undecodable},
		{"ISO_IR 192, surrogates", "ISO_IR 192", "\xed\xa0\x80", "\ufffd\ufffd\ufffd", undecodable},
		{"GB18030, truncated character", "GB18030", "\xcd\xf5\xcd", "王\ufffd", undecodable},
		{"GBK, euro sign of Windows-936", "GBK", "\x80", "€", 0},
		{"Korean without escape sequences", "ISO 2022 IR 149", "\xc8\xab", "홍", assumed},
		{"Korean without an escape sequence after a delimiter", `\ISO 2022 IR 149`, "\x1b$)C\xc8\xab^\xb1\xe6", "홍^길", assumed},
		{"Korean of Windows-949", `\ISO 2022 IR 149`, "\x1b$)C\x8c\x63", "똠", assumed},
		{"Korean, unassigned codes", `\ISO 2022 IR 149`, "\x1b$)C\xc9\xa1\xa0\x20x", "\ufffd\ufffd x", undecodable},
		{"Chinese without escape sequences", "ISO_IR 58", "\xcd\xf5", "王", assumed},
		{"Chinese, truncated character", `\ISO 2022 IR 58`, "\x1b$)A\xcd", "\ufffd", undecodable},
		{"pydicom, katakana after a delimiter", `\ISO 2022 IR 13`, "\x1b)I\xd4^\xc0", "ﾔ^ﾀ", assumed},
		{"kanji, unassigned codes", `\ISO 2022 IR 87`, "\x1b$B//\x7d\x21\x1b(B", "\ufffd\ufffd", undecodable},
		{"kanji, truncated character", `\ISO 2022 IR 87`, "\x1b$B;", "\ufffd", undecodable},
		{"unknown escape sequence", "ISO_IR 100", "a\x1b(Zb", "a\ufffdb", undecodable},
		{"ESC at the end", "ISO_IR 100", "a\x1b", "a\ufffd", undecodable},
		{"ESC before a letter", "ISO_IR 100", "a\x1bb", "a\ufffdb", undecodable},
		{"truncated escape sequence", "ISO_IR 100", "a\x1b$", "a\ufffd", undecodable},
		{"control characters", "ISO_IR 100", "a\x07b\x00c", "a b c", malformed},
		{"C1 controls in UTF-8", "ISO_IR 192", "a\xc2\x85b", "a b", malformed},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			elements := []string{element(tag.PatientName, v.bytes)}
			if len(v.bytes)%2 != 0 {
				elements[0] = element(tag.PatientName, v.bytes+" ")
			}
			if v.characterSet != "-" {
				elements = append([]string{element(tag.SpecificCharacterSet, pad(v.characterSet))}, elements...)
			}
			set := parse(t, elements...)
			assert.Equal(t, v.text, set.String(tag.PatientName))
			assert.Equal(t, v.warnings, set.Warnings())
		})
	}
}

func TestMisspeltCharacterSetTermsAreRecognized(t *testing.T) {
	t.Parallel()
	for term, v := range map[string]struct{ bytes, text string }{
		"ISO-8859-1":                {"\xe9", "é"},
		"iso8859-1":                 {"\xe9", "é"},
		"ISO 8859/1":                {"\xe9", "é"},
		"latin1":                    {"\xe9", "é"},
		"ISO IR 100":                {"\xe9", "é"},
		"ISO-IR 100":                {"\xe9", "é"},
		"ISO_IR_100":                {"\xe9", "é"},
		"ISO_IR  100 ":              {"\xe9", "é"},
		"ISO 2022 IR 100":           {"\xe9", "é"},
		"ISO_2022-IR 100":           {"\xe9", "é"},
		"ISO 2022 100":              {"\xe9", "é"},
		"IR 100":                    {"\xe9", "é"},
		"windows-1252":              {"\xe9", "é"},
		"ISO-8859-5":                {"\xbb", "Л"},
		"ISO-8859-15":               {"\xa4", "€"},
		"ISO IR 144":                {"\xbb", "Л"},
		"TIS-620":                   {"\xb9", "น"},
		"UTF-8":                     {"\xc3\xa9", "é"},
		"utf8":                      {"\xc3\xa9", "é"},
		"ISO IR 192":                {"\xc3\xa9", "é"},
		"ISO 2022 IR 192":           {"\xc3\xa9", "é"},
		"GB2312":                    {"\xcd\xf5", "王"},
		"GB 18030":                  {"\xcd\xf5", "王"},
		"ISO 2022 GBK":              {"\xcd\xf5", "王"},
		"ISO_IR 58":                 {"\x1b$)A\xcd\xf5", "王"},
		"ISO_IR 87":                 {"\x1b$B;3", "山"},
		"ISO-IR 149":                {"\x1b$)C\xc8\xab", "홍"},
		"\\ISO 2022 IR 149\x00":     {"\x1b$)C\xc8\xab", "홍"},
		"shift_jis":                 {"\x8eR\x95\\", "山表"},
		"ISO_IR 6\\ISO_IR 87":       {"\x1b$B;3", "山"},
		"ISO_2022_IR_6\\ISO+IR+126": {"\x1b-F\xc4", "Δ"},
	} {
		t.Run(term, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, v.text, decodeText(t, term, tag.PatientName, v.bytes))
		})
	}
}

func TestCharacterSetWithAWrongVRIsUnknown(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"\x08\x00\x05\x00US\x02\x00\x64\x00", "\x08\x00\x05\x00SQ\x00\x00\x00\x00\x00\x00"} {
		set, err := dataset.Parse([]byte(header+"\x10\x00\x10\x00PN\x04\x00J\xe9r "), dataset.ExplicitVRLittleEndian, dataset.Limits{})
		require.NoError(t, err)
		assert.Equal(t, "Jér", set.String(tag.PatientName))
		assert.Equal(t, dataset.CharacterSetUnknown|dataset.CharacterSetAssumed, set.Warnings())
	}
}

func TestCodePagesAreRecognized(t *testing.T) {
	t.Parallel()
	for page, v := range map[string]struct{ bytes, text string }{
		"1250": {"\x8aafa\xf8 \x84x\x93", "Šafař „x“"},
		"1251": {"\xcf\xf0\xe8\xe2\xe5\xf2 \x80\xa8", "Привет ЂЁ"},
		"1252": {"M\xfcller \x80\x96\x9e", "Müller €–ž"},
		"1253": {"\xc4\xe9\xef\x80", "Διο€"},
		"1254": {"\xc7avu\xfeo\xf0lu \x8c", "Çavuşoğlu Œ"},
		"1255": {"\xf9\xf8\xe5\xef \xa4", "שרון ₪"},
		"1256": {"\xde\xc8\xc7\xe4\xed \x81", "قباني پ"},
		"1257": {"v\xe2rds \x8d", "vārds ¨"},
		"1258": {"Nguy\xea\xden \xfe", "Nguyê\u0303n ₫"},
	} {
		for _, term := range []string{
			"windows-", "WINDOWS_", "Windows ", "windows", "CP", "CP-", "cp_", "WIN-", "win", "MS", "ANSI ", "", `\CP`, `\windows-`,
			`ISO 2022 IR 6\CP`, `ISO 2022 IR 87\CP`, `\ISO 2022 IR 87\CP`,
		} {
			assert.Equal(t, v.text, decodeText(t, term+page, tag.StudyDescription, v.bytes), "%s%s", term, page)
		}
	}
}

func TestCodePagesCombineWithEscapeSequences(t *testing.T) {
	t.Parallel()
	for _, characterSet := range []string{`windows-1251\ISO 2022 IR 87`, `\ISO 2022 IR 87\windows-1251`, `windows-1251\ISO 2022 IR 100\ISO 2022 IR 87`} {
		assert.Equal(t, "Иванов^山田", decodeText(t, characterSet, tag.PatientName, "\xc8\xe2\xe0\xed\xee\xe2^\x1b$B;3ED\x1b(B"), characterSet)
	}
	assert.Equal(t, "é|И", decodeText(t, `windows-1251\ISO 2022 IR 100`, tag.OtherPatientIDs, "\x1b-A\xe9\\\xc8"))
	assert.Equal(t, "éÈ", decodeText(t, `ISO 2022 IR 100\windows-1251`, tag.PatientName, "\xe9\xc8"), "the first value has a set for these bytes")
}

func TestCodesThatACodePageLacksAreReplaced(t *testing.T) {
	t.Parallel()
	set := parse(t, element(tag.SpecificCharacterSet, "windows-1252"), element(tag.StudyDescription, "CT\x81\x20"))
	assert.Equal(t, "CT\ufffd", set.String(tag.StudyDescription))
	assert.Equal(t, dataset.TextUndecodable, set.Warnings())
}

// PS3.5 section 7.5.3: an item inherits the character set of its data set, unless it has its own.
func TestItemsInheritTheCharacterSet(t *testing.T) {
	t.Parallel()
	set := parse(
		t,
		element(tag.SpecificCharacterSet, "ISO_IR 144"),
		element(tag.RequestAttributesSequence, item(
			element(tag.SpecificCharacterSet, "ISO_IR 100")+
				element(tag.RequestedProcedureDescription, "\xc4\xc4")+
				element(tag.RequestedProcedureCodeSequence, item(element(tag.CodeMeaning, "\xc4 "))),
		)+item(
			element(tag.RequestedProcedureDescription, "\xc4\xc4"),
		)+item(
			element(tag.SpecificCharacterSet, "")+element(tag.RequestedProcedureDescription, "\xc4\xc4"),
		)),
	)
	items := set.Items(tag.RequestAttributesSequence)
	require.Len(t, items, 3)
	assert.Equal(t, "ÄÄ", items[0].String(tag.RequestedProcedureDescription))
	inner := items[0].Items(tag.RequestedProcedureCodeSequence)
	require.Len(t, inner, 1)
	assert.Equal(t, "Ä", inner[0].String(tag.CodeMeaning))
	assert.Equal(t, "ФФ", items[1].String(tag.RequestedProcedureDescription))
	assert.Equal(t, "ФФ", items[2].String(tag.RequestedProcedureDescription))
	assert.Zero(t, set.Warnings())
}
