package dataset_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet/dataset"
)

// TestPaddingIsRemovedByVR covers PS3.5 table 6.2-1, which says for each VR which spaces are
// padding. NULs at the end are removed in all VRs.
func TestPaddingIsRemovedByVR(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		vr     string
		tag    tag.Tag
		bytes  string
		values string
	}{
		{"AE", tag.RetrieveAETitle, "  PACS  ", "PACS"},
		{"AS", tag.PatientAge, "042Y\x00\x00", "042Y"},
		{"CS", tag.ModalitiesInStudy, `CT \ MR\SR `, "CT|MR|SR"},
		{"CS with NULs", tag.Modality, "CT\x00\x00", "CT"},
		{"DA", tag.StudyDate, "20240315 \x00", "20240315"},
		{"DS", tag.PatientWeight, " 80.5 ", "80.5"},
		{"DT", tag.AcquisitionDateTime, "20240315120000.5+0100 ", "20240315120000.5+0100"},
		{"IS", tag.NumberOfStudyRelatedSeries, " 12 ", "12"},
		{"LO", tag.StudyDescription, "  two words  ", "two words"},
		{"LO, several", tag.OtherPatientIDs, `A \ B\\`, "A|B||"},
		{"PN", tag.PatientName, " A^B^^ ", "A^B^^"},
		{"SH", tag.AccessionNumber, " 1 ", "1"},
		{"TM", tag.StudyTime, "1200  ", "1200"},
		{"UI", tag.StudyInstanceUID, "1.2.3\x00", "1.2.3"},
		{"UI with a space", tag.StudyInstanceUID, "1.2.3 ", "1.2.3"},
		{"UI, several", tag.FailedSOPInstanceUIDList, "1.2\\1.3\x00", "1.2|1.3"},
		{"LT", tag.AdditionalPatientHistory, "  a\\b\r\n  c  ", "  a\\b\r\n  c"},
		{"ST", tag.InstitutionAddress, "  Street\\1  ", "  Street\\1"},
		{"UT", tag.TextValue, "  a\\b\t ", "  a\\b\t"},
		{"UC", tag.LongCodeValue, "  a  ", "  a"},
		{"UR", tag.RetrieveURL, "https://x/?a=b\\c  ", "https://x/?a=b\\c"},
		{"private creator", tag.Tag{Group: 9, Element: 0x10}, " ACME ", "ACME"},
		{"unknown VR", privateText, " as LO ", "as LO"},
		{"only padding", tag.PatientID, "    ", ""},
	} {
		t.Run(v.vr, func(t *testing.T) {
			t.Parallel()
			set := parse(t, element(v.tag, pad(v.bytes)))
			assert.Equal(t, v.values, strings.Join(set.Strings(v.tag), "|"))
			first := v.values
			if !strings.Contains(v.vr, "T") || v.vr == "DT" {
				first, _, _ = strings.Cut(first, "|")
			}
			assert.Equal(t, first, set.String(v.tag))
			assert.Zero(t, set.Warnings())
		})
	}
}

func TestStringReturnsAnEmptyFirstValue(t *testing.T) {
	t.Parallel()
	set := parse(t, element(tag.OtherPatientIDs, `\B`))
	assert.Empty(t, set.String(tag.OtherPatientIDs))
	assert.Equal(t, []string{"", "B"}, set.Strings(tag.OtherPatientIDs))
}

func TestNonASCIIInCodesIsDecoded(t *testing.T) {
	t.Parallel()
	set := parse(t, element(tag.SpecificCharacterSet, "ISO_IR 144"), element(tag.RetrieveAETitle, "\xbbAB "))
	assert.Equal(t, "ЛAB", set.String(tag.RetrieveAETitle), "not allowed by the standard, but unambiguous")
}

func TestIntReadsIS(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name  string
		bytes string
		n     int64
		ok    bool
		warn  dataset.Warnings
	}{
		{"IS", "12", 12, true, 0},
		{"IS with a sign", "-3", -3, true, 0},
		{"IS with a plus", "+3", 3, true, 0},
		{"IS with a zero fraction", "1.0 ", 1, true, 0},
		{"IS with a period", "1. ", 1, true, dataset.ValueMalformed}, // the value has an odd length
		{"IS with a fraction", "1.25", 0, false, dataset.ValueMalformed},
		{"IS too large", "99999999999999999999", 0, false, dataset.ValueMalformed},
		{"empty", "  ", 0, false, 0},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			set := parse(t, element(tag.NumberOfStudyRelatedInstances, v.bytes))
			n, ok := set.Int(tag.NumberOfStudyRelatedInstances)
			assert.Equal(t, v.n, n)
			assert.Equal(t, v.ok, ok)
			assert.Equal(t, v.warn, set.Warnings())
		})
	}
}

func TestIntReadsBinaryIntegers(t *testing.T) {
	t.Parallel()
	set := parseExplicit(t,
		explicit(tag.Rows, "US", "\xff\xff\x01\x00"),
		explicit(tag.SmallestImagePixelValue, "SS", "\xfe\xff"),
		explicit(tag.RegionFlags, "UL", "\xff\xff\xff\xff"),
		explicit(tag.ReferencePixelX0, "SL", "\xff\xff\xff\xff"),
		explicit(tag.SelectorSVValue, "SV", "\xfd\xff\xff\xff\xff\xff\xff\xff"),
		explicit(tag.SelectorUVValue, "UV", "\xff\xff\xff\xff\xff\xff\xff\xff"),
		explicit(tag.SelectorFDValue, "FD", "\x00\x00\x00\x00\x00\x00\xf0\x3f"),
		explicit(privateText, "UN", "\x05\x00"),
		explicit(tag.NumberOfStudyRelatedInstances, "IS", "70000 "),
	)
	assert.Equal(t, []string{"65535", "1"}, set.Strings(tag.Rows))
	for _, v := range []struct {
		tag tag.Tag
		n   int64
	}{
		{tag.Rows, 65535},
		{tag.SmallestImagePixelValue, -2},
		{tag.RegionFlags, 1<<32 - 1},
		{tag.ReferencePixelX0, -1},
		{tag.SelectorSVValue, -3},
		{privateText, 5},
	} {
		n, ok := set.Int(v.tag)
		assert.True(t, ok)
		assert.Equal(t, v.n, n)
	}
	for _, none := range []tag.Tag{tag.SelectorUVValue, tag.SelectorFDValue} {
		_, ok := set.Int(none)
		assert.False(t, ok)
		assert.Empty(t, set.String(none))
		assert.Nil(t, set.Strings(none))
	}
	for _, none := range []tag.Tag{tag.SmallestImagePixelValue, tag.RegionFlags, tag.NumberOfStudyRelatedInstances} {
		_, ok := set.Uint16(none)
		assert.False(t, ok, "the value does not fit into 16 bits without a sign")
	}
}

func TestTextKeepsBackslashes(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name         string
		characterSet string
		tag          tag.Tag
		bytes, text  string
		warnings     dataset.Warnings
	}{
		{"LO", "", tag.PatientID, ` A \ B\\ `, `A \ B\\`, 0},
		{"SH", "ISO_IR 100", tag.AccessionNumber, "4711\\\xe9 ", `4711\é`, 0},
		{"PN", "ISO_IR 192", tag.PatientName, "M\xc3\xbcller\\A^B", `Müller\A^B`, 0},
		{"only a backslash", "", tag.PatientID, `\`, `\`, 0},
		{"no backslash", "", tag.PatientID, " A ", "A", 0},
		{"empty", "", tag.PatientID, "", "", 0},
		{"only padding", "", tag.PatientID, "  ", "", 0},
		{"LT", "", tag.AdditionalPatientHistory, "  a\\b ", "  a\\b", 0},
		{"UC", "", tag.LongCodeValue, "  a\\b ", "  a\\b", 0},
		{"UI", "", tag.StudyInstanceUID, `1.2\1.3`, `1.2\1.3`, dataset.ValueMalformed},
		{"LO, too long", "", tag.PatientID, strings.Repeat(`x\`, 33), strings.Repeat(`x\`, 33), dataset.ValueMalformed},
		{"unknown VR", "", privateText, `a\b`, `a\b`, 0},
		{"GB18030, 5C inside a character", "GB18030", tag.PatientID, "\xd5\x5c\xd6\x5e", "誠謂", 0},
		{"GB18030, both", "GB18030", tag.PatientID, "\xd5\x5c\\\xd6\x5e", `誠\謂`, 0},
		{"GBK", "GBK", tag.PatientID, "\xe0\x5c\\\xd5\x5c", `郳\誠`, 0},
		{"Shift JIS", "shift_jis", tag.PatientID, "\x95\\\\\x95\\", `表\表`, 0},
		{"Shift JIS as ISO_IR 13", "ISO_IR 13", tag.PatientID, "\x95\\\x95\\", "表表", dataset.CharacterSetAssumed},
		{"ISO 2022 IR 87, 5C inside a character", `\ISO 2022 IR 87`, tag.PatientID, "\x1b$BK\\\x1b(B", "本", 0},
		{"ISO 2022 IR 87, both", `\ISO 2022 IR 87`, tag.PatientID, "\x1b$BK\\\x1b(B\\\x1b$BK\\\x1b(B", `本\本`, 0},
		{"ISO 2022 IR 149", `\ISO 2022 IR 149`, tag.PatientID, "\x1b$)C\xc8\xab\\\xb1\xe6", `홍\길`, 0},
		{"windows-1251", "windows-1251", tag.PatientID, "\xc8\\\xc8", `И\И`, 0},
		{"ISO_IR 13, a yen sign", "ISO_IR 13", tag.PatientID, `A\B`, "A¥B", 0},
		{"ISO_IR 13, an identifier that is not in the character set", "ISO_IR 13", tag.StudyInstanceUID, `1\2`, `1\2`, dataset.ValueMalformed},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			set := parse(t, element(tag.SpecificCharacterSet, pad(v.characterSet)), element(v.tag, pad(v.bytes)))
			assert.Equal(t, v.text, set.Text(v.tag))
			assert.Equal(t, v.warnings, set.Warnings())
		})
	}
	set := parse(t, element(tag.Rows, "\x00\x02"))
	assert.Equal(t, "512", set.Text(tag.Rows))
	assert.Empty(t, set.Text(tag.PatientID))
}

// TestTextIsStringWithoutBackslashes checks that Text of a value without a backslash is its String,
// and otherwise its Strings with the backslashes.
func TestTextIsStringWithoutBackslashes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		characterSet := rapid.SampledFrom([]string{"", "ISO_IR 100", "ISO_IR 192", "GB18030", `\ISO 2022 IR 87`, "windows-1251"}).Draw(t, "character set")
		values := rapid.SliceOfN(generateText(alphabets[characterSet]), 1, 4).Draw(t, "values")
		b, err := dataset.Encode(&dicom.Dataset{Elements: []*dicom.Element{
			dataset.Text(tag.SpecificCharacterSet, strings.Split(characterSet, `\`)...),
			dataset.Text(tag.PatientID, values...),
		}}, dataset.ImplicitVRLittleEndian)
		require.NoError(t, err)
		set, err := dataset.Parse(b, dataset.ImplicitVRLittleEndian, dataset.Limits{})
		require.NoError(t, err)
		assert.Equal(t, strings.Join(set.Strings(tag.PatientID), `\`), set.Text(tag.PatientID))
		if len(values) == 1 {
			assert.Equal(t, set.String(tag.PatientID), set.Text(tag.PatientID))
		}
	})
}
