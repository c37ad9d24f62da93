package match_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr/match"
)

// matching is one row of the table: a key of an attribute, and a value of the attribute that a data set has.
type matching struct {
	of    tag.Tag
	key   string
	value string
	want  match.Verdict
}

const (
	matches = match.Matches
	differs = match.Differs
	unknown = match.Unknown
)

// attributeMatching is PS3.4 section C.2.2.2 by examples.
var attributeMatching = map[string][]matching{
	"C.2.2.2.1 single value of a code or identifier: exactly": {
		{tag.PatientID, "P1", "P1", matches},
		{tag.PatientID, "P1", "p1", differs},
		{tag.PatientID, "P1", "P11", differs},
		{tag.PatientID, "P1", "XP1", differs},
		{tag.PatientID, " P1 ", "P1", matches},
		{tag.PatientID, "Á1", "A\u03011", matches}, // the same characters
		{tag.PatientID, "A1", "Á1", differs},
		{tag.PatientID, "P1", `P1\P2`, differs}, // an identifier has one value
		{tag.PatientID, "P1", "", differs},
		{tag.PatientID, "[P.1]+(x)^$", "[P.1]+(x)^$", matches},
		{tag.Modality, "CT", "CT", matches},
		{tag.Modality, "CT", "CTA", differs},
		{tag.CodeValue, "T-A1", "T-A1", matches},
		{tag.CodeValue, "T-A1", "t-a1", differs},
		{tag.RetrieveAETitle, "PACS", "PACS", matches},
		{tag.RetrieveAETitle, "PACS", "Pacs", differs},
		{tag.PatientAge, "018M", "018M", matches},
		{tag.PatientAge, "018M", "018Y", differs},
		{tag.RetrieveURL, "http://a/b", "http://a/b", matches},
		{tag.RetrieveURL, "http://a/b", "http://a/B", differs},
	},
	"C.2.2.2.1 single value of text: without regard to case and accents": {
		{tag.StudyDescription, "Thorax", "Thorax", matches},
		{tag.StudyDescription, "thorax", "THORAX", matches},
		{tag.StudyDescription, "Schädel", "SCHADEL", matches},
		{tag.StudyDescription, "Schadel", "Scha\u0308del", matches},
		{tag.StudyDescription, "ΣΊΣΥΦΟΣ", "σίσυφος", matches},
		{tag.StudyDescription, "Thorax", "Thorax ap", differs},
		{tag.StudyDescription, "Thorax-CT", "Thorax-CT", matches}, // no range
		{tag.StudyDescription, "胸部", "胸部", matches},
		{tag.StudyDescription, "か", "が", differs}, // another syllable, no accent
		{tag.PatientComments, "a", "b", differs},
		{tag.PatientComments, `C:\a`, `C:\a`, matches}, // LT has one value
		{tag.LongCodeValue, "x", "X", differs},
		{tag.AccessionNumber, "A-123456789012345678", "A-123456789012345678", matches}, // longer than SH
	},
	"C.2.2.2.1.1 person names: without regard to case, accents, padding and delimiters at the end": {
		{tag.PatientName, "DOE^JOHN", "Doe^John", matches},
		{tag.PatientName, "DOE^JOHN", "Doe^John^^^", matches},
		{tag.PatientName, "DOE^JOHN^", "Doe^John", matches},
		{tag.PatientName, "DOE^JOHN", "Doe ^ John ", matches},
		{tag.PatientName, "Müller^Jürgen", "MULLER^JURGEN", matches},
		{tag.PatientName, "DOE", "Doe^John", differs},
		{tag.PatientName, "DOE", "Doe", matches},
		{tag.PatientName, "DOE", "Doe^^^Dr", differs},
		{tag.PatientName, "JOHN^DOE", "Doe^John", differs},
		{tag.PatientName, "^JOHN", "^John", matches},
		{tag.PatientName, "DOE", "", differs},
	},
	"PS3.5 6.2.1 component groups of names": {
		{tag.PatientName, "Yamada^Tarou", "Yamada^Tarou=山田^太郎=やまだ^たろう", matches},
		{tag.PatientName, "山田^太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう", matches},
		{tag.PatientName, "やまだ^たろう", "Yamada^Tarou=山田^太郎=やまだ^たろう", matches},
		{tag.PatientName, "山田*", "Yamada^Tarou=山田^太郎", matches},
		{tag.PatientName, "Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう", matches},
		{tag.PatientName, "Yamada^Tarou=田中^太郎", "Yamada^Tarou=山田^太郎", differs},
		{tag.PatientName, "=山田^太郎", "Yamada^Tarou=山田^太郎", matches},
		{tag.PatientName, "山田^太郎=", "Yamada^Tarou=山田^太郎", matches}, // one group
		{tag.PatientName, "=Yamada*", "Yamada^Tarou=山田^太郎", differs},
		{tag.PatientName, "Hong^Gildong=洪^吉洞", "Hong^Gildong", differs},
		{tag.PatientName, "홍^?동", "Hong^Gildong=洪^吉洞=홍^길동", matches},
		{tag.PatientName, "Doe^John==", "Doe^John", matches},
	},
	"C.2.2.2.2 list of UIDs": {
		{tag.StudyInstanceUID, "1.2.3", "1.2.3", matches},
		{tag.StudyInstanceUID, `1.2.3\1.2.4`, "1.2.4", matches},
		{tag.StudyInstanceUID, `1.2.3\1.2.4`, "1.2.5", differs},
		{tag.StudyInstanceUID, "1.2.3", "1.2.30", differs},
		{tag.StudyInstanceUID, "1.2.03", "1.2.3", differs},
		{tag.StudyInstanceUID, "1.2.3", `1.2.3\1.2.4`, differs}, // which of the two?
		{tag.SOPClassesInStudy, "1.2.3", `1.2.4\1.2.3`, matches},
		{tag.StudyInstanceUID, "1.2.3", "", differs},
	},
	"C.2.2.2.3 universal": {
		{tag.PatientID, "", "P1", matches},
		{tag.PatientID, "", "", matches},
		{tag.PatientID, "*", "", matches},
		{tag.PatientName, "**", "Doe", matches},
		{tag.Rows, "", "512", matches},
		{tag.StudyDate, "", "tomorrow", matches},
	},
	"C.2.2.2.4 wildcards": {
		{tag.PatientID, "P*", "P1", matches},
		{tag.PatientID, "P*", "P", matches},
		{tag.PatientID, "P*", "p1", differs},
		{tag.PatientID, "P?", "P1", matches},
		{tag.PatientID, "P?", "P", differs},
		{tag.PatientID, "P?", "P12", differs},
		{tag.PatientID, "*1", "P11", matches},
		{tag.PatientID, "*1*2*", "xx1yy2zz", matches},
		{tag.PatientID, "*1*2*", "xx2yy1zz", differs},
		{tag.PatientID, "P??*", "P12", matches},
		{tag.PatientID, "?*", "", differs},
		{tag.PatientID, "?", "Á", matches},
		{tag.PatientID, "?", "A\u0301", matches}, // one character
		{tag.Modality, "C*", "CT", matches},
		{tag.Modality, "?T", "PT", matches},
		{tag.StudyDescription, "*thorax*", "CT THORAX/ABDOMEN", matches},
		{tag.StudyDescription, "*schaedel*", "SCHÄDEL", differs},
		{tag.StudyDescription, "*schadel*", "CT SCHÄDEL", matches},
		{tag.PatientName, "DOE*", "Doe^John", matches},
		{tag.PatientName, "DOE^*", "Doe", matches}, // the given name is empty
		{tag.PatientName, "DOE^?", "Doe", differs},
		{tag.PatientName, "DOE^J*", "Doe^Jane", matches},
		{tag.PatientName, "*^JOHN", "Doe^John", matches},
		{tag.PatientName, "*^JOHN^*", "Doe^John", matches},
		{tag.PatientName, "M?LLER*", "Müller^A", matches},
		{tag.PatientName, "*OHN*", "Doe^John", matches},
		{tag.RetrieveURL, "http://a/*", "http://a/b?c=d", matches},
	},
	"C.2.2.2.5 range of dates": {
		{tag.StudyDate, "20240131", "20240131", matches},
		{tag.StudyDate, "20240131", "20240201", differs},
		{tag.StudyDate, "20240101-20240131", "20240101", matches},
		{tag.StudyDate, "20240101-20240131", "20240131", matches},
		{tag.StudyDate, "20240101 - 20240131", "20240115", matches},
		{tag.StudyDate, "20240101-20240131", "20231231", differs},
		{tag.StudyDate, "20240101-20240131", "20240201", differs},
		{tag.StudyDate, "20240101-", "20240101", matches},
		{tag.StudyDate, "20240101-", "99991231", matches},
		{tag.StudyDate, "20240101-", "20231231", differs},
		{tag.StudyDate, "-20240131", "20240131", matches},
		{tag.StudyDate, "-20240131", "19000101", matches},
		{tag.StudyDate, "-20240131", "20240201", differs},
		{tag.StudyDate, "20240131", "2024.01.31", matches}, // as ACR-NEMA wrote it
		{tag.StudyDate, "20240101-", "", differs},
		{tag.StudyDate, "20240101-", "20241301", differs},
		{tag.StudyDate, "20240101-", "2024", differs},
		{tag.DateOfLastCalibration, "20240131", `20230101\20240131`, matches},
	},
	"C.2.2.2.5 range of times": {
		{tag.StudyTime, "101530", "101530", matches},
		{tag.StudyTime, "101530", "101530.25", matches}, // the key means the whole second
		{tag.StudyTime, "101530.25", "101530", matches}, // the value may be any moment of its second
		{tag.StudyTime, "101530.25", "101530.26", differs},
		{tag.StudyTime, "1015", "101559.999999", matches},
		{tag.StudyTime, "1015", "101600", differs},
		{tag.StudyTime, "10-12", "1259", matches},
		{tag.StudyTime, "10-12", "13", differs},
		{tag.StudyTime, "10-12", "0959", differs},
		{tag.StudyTime, "-1200", "000000", matches},
		{tag.StudyTime, "2300-", "235960", matches}, // a leap second
		{tag.StudyTime, "2300-", "0000", differs},   // no range crosses midnight
		{tag.StudyTime, "101530", "10:15:30", matches},
		{tag.StudyTime, "1015", "10:15", matches},
		{tag.StudyTime, "10-", "10:1530", differs},
		{tag.StudyTime, "10-", "1", differs},
		{tag.StudyTime, "10-", "101530.", differs},
		{tag.StudyTime, "10-", "24", differs},
	},
	"C.2.2.2.5 range of date-times": {
		{tag.AcquisitionDateTime, "20240131101530", "20240131101530", matches},
		{tag.AcquisitionDateTime, "20240131101530", "20240131101530.5", matches},
		{tag.AcquisitionDateTime, "20240131", "20240131101530", matches},
		{tag.AcquisitionDateTime, "202401", "20240201", differs},
		{tag.AcquisitionDateTime, "2024", "20241231235959.999999", matches},
		{tag.AcquisitionDateTime, "2023-2024", "202406", matches},
		{tag.AcquisitionDateTime, "2024013110-2024013112", "202401311259", matches},
		{tag.AcquisitionDateTime, "2024013110-2024013112", "202401311300", differs},
		{tag.AcquisitionDateTime, "-20240131", "20240131235959", matches},
		{tag.AcquisitionDateTime, "20240131-", "20240130235959", differs},
		{tag.AcquisitionDateTime, "2024-1100", "20240601000000-1100", matches}, // an offset, no range
		{tag.AcquisitionDateTime, "1400-1500", "1450", matches},                // no offset: there is none beyond +1400
		{tag.AcquisitionDateTime, "20240131-", "yesterday", differs},
		{tag.AcquisitionDateTime, "20240131-", "202401311", differs},
	},
	"C.2.2.2.5 offset from UTC": {
		{tag.AcquisitionDateTime, "20240131100000+0100", "20240131090000+0000", matches},
		{tag.AcquisitionDateTime, "20240131100000+0100", "20240131100000+0000", differs},
		{tag.AcquisitionDateTime, "20240131100000+0000-20240131120000+0000", "20240131070000-0500", matches},
		{tag.AcquisitionDateTime, "20240131100000+0000-", "2024013112", unknown}, // its zone is unknown
		{tag.AcquisitionDateTime, "20240131100000+0000-", "20240203", matches},
		{tag.AcquisitionDateTime, "20240131100000+0000-", "20240129", differs},
		{tag.AcquisitionDateTime, "-20240131100000+0000", "20240129", matches},
		{tag.AcquisitionDateTime, "20240131100000", "20240131100000+0100", unknown},
		{tag.AcquisitionDateTime, "20240131100000", "20240131100000+1500", differs}, // no such offset
	},
	"numbers: by value": {
		{tag.SeriesNumber, "7", "7", matches},
		{tag.SeriesNumber, "7", "007", matches},
		{tag.SeriesNumber, "+7", "7", matches},
		{tag.SeriesNumber, "-7", "7", differs},
		{tag.SeriesNumber, "7", "7.0", matches},
		{tag.SeriesNumber, "0", "-0", matches},
		{tag.SeriesNumber, "7", "", differs},
		{tag.SeriesNumber, "7", "x", differs},
		{tag.SliceThickness, "1.5", "1.50", matches},
		{tag.SliceThickness, "1.5", "15e-1", matches},
		{tag.SliceThickness, "1.5", "1.51", differs},
		{tag.PixelSpacing, "0.5", `0.25\0.5`, matches},
		{tag.Rows, "512", "512", matches},
		{tag.Rows, "512", "511", differs},
		{tag.SelectorSSValue, "-3", `1\-3`, matches},
		{tag.SelectorSLValue, "-3", "3", differs},
		{tag.SelectorULValue, "4294967295", "4294967295", matches},
		{tag.SelectorSVValue, "-9223372036854775808", "-9223372036854775808", matches},
		{tag.SelectorSVValue, "9007199254740993", "9007199254740992", differs}, // equal as floats
		{tag.SelectorUVValue, "18446744073709551615", "18446744073709551615", matches},
		{tag.SelectorFDValue, "0.1", "0.1", matches},
		{tag.SelectorFLValue, "0.1", "0.1", matches}, // as FL has it
		{tag.SelectorFLValue, "0.1", "0.2", differs},
		{tag.SelectorFDValue, "1e3", "1000", matches},
		{tag.FrameIncrementPointer, "00181063", "00181063", matches},
		{tag.FrameIncrementPointer, "0018106a", `00181063\0018106A`, matches},
		{tag.FrameIncrementPointer, "00181065", "00181063", differs},
	},
	"several values of an attribute: one of them": {
		{tag.ModalitiesInStudy, "MR", `CT\MR`, matches},
		{tag.ModalitiesInStudy, "US", `CT\MR`, differs},
		{tag.OtherPatientNames, "ROE*", `Doe^John\Roe^Jane`, matches},
		{tag.OtherPatientIDs, "P2", `P1\P2`, matches},
	},
}

func TestAttributeMatching(t *testing.T) {
	t.Parallel()
	for section, rows := range attributeMatching {
		t.Run(section, func(t *testing.T) {
			t.Parallel()
			for _, row := range rows {
				var set *dataset.Set
				if row.of == tag.PatientComments || row.of == tag.RetrieveURL { // a backslash separates no values
					set = setOf(t, textOf(row.of, row.value))
				} else {
					set = setOf(t, valueOf(t, row.of, "", row.value))
				}
				k := key(t, row.of, row.key)
				assert.Equal(t, row.want, k.Judge(set), "%v: key %q, value %q", row.of, row.key, row.value)
				judged, _ := match.NewFilter([]match.Key{k}).Judge(set, nil)
				assert.Equal(t, row.want, judged, "%v: filter of %q, value %q", row.of, row.key, row.value)
			}
		})
	}
}

func TestAnAbsentAttributeIsUnknown(t *testing.T) {
	t.Parallel()
	set := setOf(t, textOf(tag.PatientID, "P1"))
	for _, k := range []match.Key{
		key(t, tag.PatientName, "Doe"), key(t, tag.StudyDate, "20240131-"), key(t, tag.Rows, "1"), key(t, tag.StudyInstanceUID, "1.2"),
		pathKey(t, "X", tag.RequestAttributesSequence, tag.ScheduledProcedureStepID),
	} {
		assert.Equal(t, unknown, k.Judge(set))
	}
	assert.Equal(t, matches, key(t, tag.PatientName).Judge(set))
	assert.Equal(t, unknown, match.Key{Path: match.Path{tag.PatientID}, VR: "LO", Values: []string{"P1"}}.Judge(set), "not made by NewKey")
}

func TestTheTimezoneOfTheDataSetAppliesToDateTimesWithoutOne(t *testing.T) {
	t.Parallel()
	zone := textOf(tag.TimezoneOffsetFromUTC, "+0100")
	local := setOf(t, zone, textOf(tag.AcquisitionDateTime, "20240131100000"))
	assert.Equal(t, matches, key(t, tag.AcquisitionDateTime, "20240131090000+0000").Judge(local))
	assert.Equal(t, differs, key(t, tag.AcquisitionDateTime, "20240131100000+0000").Judge(local))
	assert.Equal(t, matches, key(t, tag.AcquisitionDateTime, "20240131100000").Judge(local))
	zoned := setOf(t, zone, textOf(tag.AcquisitionDateTime, "20240131090000+0000"))
	assert.Equal(t, matches, key(t, tag.AcquisitionDateTime, "20240131100000").Judge(zoned))
	assert.Equal(t, differs, key(t, tag.AcquisitionDateTime, "20240131090000").Judge(zoned))
	several := setOf(t, textOf(tag.SelectorDTValue, "20240131100000+0000", "20240131", "20230101"))
	assert.Equal(t, unknown, key(t, tag.SelectorDTValue, "20240131120000+0100-20240131130000+0100").Judge(several))
	assert.Equal(t, matches, key(t, tag.SelectorDTValue, "20240131120000+0200").Judge(several))
}

func TestSeveralValuesOfAKeyAreAlternatives(t *testing.T) {
	t.Parallel()
	modalities := key(t, tag.ModalitiesInStudy, "CT", "MR")
	assert.Equal(t, matches, modalities.Judge(setOf(t, textOf(tag.ModalitiesInStudy, "US", "MR"))))
	assert.Equal(t, differs, modalities.Judge(setOf(t, textOf(tag.ModalitiesInStudy, "US"))))
	moments := key(t, tag.AcquisitionDateTime, "2023+0000", "20240101000000+0000")
	assert.Equal(t, unknown, moments.Judge(setOf(t, textOf(tag.AcquisitionDateTime, "20240101"))))
	assert.True(t, key(t, tag.ModalitiesInStudy, "CT", "*").IsUniversal())
}

func TestEmptyValueMatching(t *testing.T) {
	t.Parallel()
	empty, err := match.NewEmptyKey(match.Path{tag.StudyDescription}, "")
	require.NoError(t, err)
	assert.Equal(t, matches, empty.Judge(setOf(t, textOf(tag.StudyDescription))))
	assert.Equal(t, matches, empty.Judge(setOf(t, textOf(tag.StudyDescription, " "))))
	assert.Equal(t, differs, empty.Judge(setOf(t, textOf(tag.StudyDescription, "CT"))))
	assert.Equal(t, unknown, empty.Judge(setOf(t)))
	assert.False(t, empty.IsUniversal())

	sequence, err := match.NewEmptyKey(match.Path{tag.RequestAttributesSequence}, "")
	require.NoError(t, err)
	assert.Equal(t, matches, sequence.Judge(setOf(t, valueOf(t, tag.RequestAttributesSequence, "", ""))))
	_, err = match.NewEmptyKey(nil, "")
	assert.Error(t, err)
}

func TestFuzzyNamesMatchWordByWord(t *testing.T) {
	t.Parallel()
	set := setOf(t, textOf(tag.PatientName, "Müller-Lüdenscheidt^Jürgen^^Dr.=山田^太郎"))
	for value, want := range map[string]match.Verdict{
		"jurgen":          matches,
		"LUDEN MUL":       matches,
		"Jürgen, Mü":      matches,
		"山":               matches,
		"jurgen*":         matches,
		"Jürgen^Maria":    differs,
		"ürgen":           differs,
		"...":             differs,
		"Müller-Lüden*":   matches,
		"denscheidt^jurg": differs,
	} {
		k, err := match.NewKey(match.Path{tag.PatientName}, "", []string{value}, true)
		require.NoError(t, err)
		assert.Equal(t, want, k.Judge(set), value)
	}
}

// TestTheVROfTheAnswerCounts judges attributes that a PACS sends with another VR than that of the dictionary.
func TestTheVROfTheAnswerCounts(t *testing.T) {
	t.Parallel()
	private := tag.Tag{Group: 0x0009, Element: 0x1001}
	assert.Equal(t, matches, key(t, tag.SeriesNumber, "7").Judge(setOf(t, valueOf(t, tag.SeriesNumber, "US", "7"))))
	assert.Equal(t, matches, key(t, tag.SeriesNumber, "-7").Judge(setOf(t, valueOf(t, tag.SeriesNumber, "SS", "-7"))))
	assert.Equal(t, matches, key(t, tag.Rows, "7").Judge(setOf(t, valueOf(t, tag.Rows, "IS", "7"))))
	assert.Equal(t, matches, key(t, tag.SeriesNumber, "7").Judge(setOf(t, valueOf(t, tag.SeriesNumber, "FD", "7"))))
	assert.Equal(t, matches, key(t, tag.StudyID, "1?").Judge(setOf(t, valueOf(t, tag.StudyID, "US", "17"))))
	assert.Equal(t, matches, key(t, tag.StudyID, "-17").Judge(setOf(t, valueOf(t, tag.StudyID, "SS", "-17"))))
	assert.Equal(t, differs, key(t, tag.StudyID, "17").Judge(setOf(t, valueOf(t, tag.StudyID, "FD", "17"))))
	assert.Equal(t, matches, key(t, private, "x*").Judge(setOf(t, valueOf(t, private, "LO", "X1"))))
	assert.Equal(t, matches, key(t, private, "x*").Judge(setOf(t, valueOf(t, private, "ST", "X1"))))
	assert.Equal(t, differs, key(t, tag.Rows, "7").Judge(setOf(t, valueOf(t, tag.Rows, "SQ", ""))))
	assert.Equal(t, differs, key(t, tag.FrameIncrementPointer, "00181063").Judge(setOf(t, textOf(tag.FrameIncrementPointer, "x"))))
}
