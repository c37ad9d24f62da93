package match_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr/match"
)

func TestNewKeyRefusesWhatTheVRDoesNotAllow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		of     tag.Tag
		values []string
		reason string
	}{
		{tag.StudyDate, []string{"20240230"}, "is not a date such as 20240131, or a range of dates"},
		{tag.StudyDate, []string{"20230229"}, "is not a date such as 20240131, or a range of dates"},
		{tag.StudyDate, []string{"2024"}, "is not a date such as 20240131, or a range of dates"},
		{tag.StudyDate, []string{"2024-01-31"}, "is not a date such as 20240131, or a range of dates"},
		{tag.StudyDate, []string{"2024.01.31"}, "is not a date such as 20240131, or a range of dates"},
		{tag.StudyDate, []string{"00000101"}, "is not a date such as 20240131, or a range of dates"},
		{tag.StudyDate, []string{"-"}, "is not a date such as 20240131, or a range of dates"},
		{tag.StudyDate, []string{"20240101-20240131-"}, "is not a date such as 20240131, or a range of dates"},
		{tag.StudyDate, []string{"20240131-20240101"}, "is a range that ends before it begins"},
		{tag.StudyDate, []string{"2024*"}, "has a wildcard, which its VR does not allow"},
		{tag.StudyDate, []string{`20240101\20240102`}, "has a backslash, which would separate two values"},
		{tag.StudyTime, []string{"24"}, "is not a time such as 101530, or a range of times"},
		{tag.StudyTime, []string{"1060"}, "is not a time such as 101530, or a range of times"},
		{tag.StudyTime, []string{"101561"}, "is not a time such as 101530, or a range of times"},
		{tag.StudyTime, []string{"10:15"}, "is not a time such as 101530, or a range of times"},
		{tag.StudyTime, []string{"1015.5"}, "is not a time such as 101530, or a range of times"},
		{tag.StudyTime, []string{"101530.1234567"}, "is not a time such as 101530, or a range of times"},
		{tag.StudyTime, []string{"2300-0100"}, "is a range that ends before it begins"},
		{tag.AcquisitionDateTime, []string{"202413"}, "is not a date-time such as 20240131101530, or a range of date-times"},
		{tag.AcquisitionDateTime, []string{"2024-01-31"}, "is not a date-time such as 20240131101530, or a range of date-times"},
		{tag.AcquisitionDateTime, []string{"20240131.5"}, "is not a date-time such as 20240131101530, or a range of date-times"},
		{tag.AcquisitionDateTime, []string{"2024-1500"}, "is a range that ends before it begins"},
		{tag.StudyInstanceUID, []string{"1.2.x"}, "is not a UID"},
		{tag.StudyInstanceUID, []string{"1..2"}, "is not a UID"},
		{tag.StudyInstanceUID, []string{".1"}, "is not a UID"},
		{tag.StudyInstanceUID, []string{"1.2", "1.3."}, "is not a UID"},
		{tag.StudyInstanceUID, []string{strings.Repeat("1", 65)}, "is not a UID"},
		{tag.StudyInstanceUID, []string{"1.2.*"}, "has a wildcard, which its VR does not allow"},
		{tag.StudyInstanceUID, []string{"*"}, "has a wildcard, which its VR does not allow"},
		{tag.StudyInstanceUID, []string{"1.2-1.3"}, "is a range, which its VR does not allow"},
		{tag.StudyInstanceUID, []string{`1.2\`}, "has an empty value among several"},
		{tag.SeriesNumber, []string{"x"}, "is not an integer of the VR"},
		{tag.SeriesNumber, []string{"1.0"}, "is not an integer of the VR"},
		{tag.SeriesNumber, []string{"2147483648"}, "is not an integer of the VR"},
		{tag.SeriesNumber, []string{"-2147483649"}, "is not an integer of the VR"},
		{tag.SeriesNumber, []string{"1-5"}, "is a range, which its VR does not allow"},
		{tag.SeriesNumber, []string{"1-"}, "is a range, which its VR does not allow"},
		{tag.SeriesNumber, []string{"1?"}, "has a wildcard, which its VR does not allow"},
		{tag.Rows, []string{"65536"}, "is not an integer of the VR"},
		{tag.Rows, []string{"-1"}, "is not an integer of the VR"},
		{tag.SelectorUVValue, []string{"18446744073709551616"}, "is not an integer of the VR"},
		{tag.SliceThickness, []string{"1,5"}, "is not a decimal number"},
		{tag.SliceThickness, []string{"0x10"}, "is not a decimal number"},
		{tag.SliceThickness, []string{"1.00000000000000000"}, "is not a decimal number"},
		{tag.SelectorFDValue, []string{"NaN"}, "is not a number"},
		{tag.SelectorFLValue, []string{"1e999"}, "is not a number"},
		{tag.FrameIncrementPointer, []string{"181063"}, "is not a tag of eight hexadecimal digits"},
		{tag.FrameIncrementPointer, []string{"0018106G"}, "is not a tag of eight hexadecimal digits"},
		{tag.PatientAge, []string{"18M"}, "is not an age such as 018M"},
		{tag.PatientAge, []string{"018m"}, "is not an age such as 018M"},
		{tag.PatientAge, []string{"018M-024M"}, "is a range, which its VR does not allow"},
		{tag.Modality, []string{"ct"}, "is not a code of upper case letters, digits, spaces and underscores"},
		{tag.Modality, []string{"CT-MR"}, "is not a code of upper case letters, digits, spaces and underscores"},
		{tag.Modality, []string{"ABCDEFGHIJKLMNOPQ"}, "is too long"},
		{tag.Modality, []string{`CT\MR`}, "has a backslash, which would separate two values"},
		{tag.RetrieveAETitle, []string{"PÄCS"}, "is not an AE title"},
		{tag.RetrieveAETitle, []string{"ABCDEFGHIJKLMNOPQ"}, "is too long"},
		{tag.RetrieveURL, []string{"http://ä"}, "is not a URI"},
		{tag.PatientID, []string{strings.Repeat("x", 65)}, "is too long"},
		{tag.PatientID, []string{"P1\n"}, "has a control character"},
		{tag.PatientID, []string{"P\u0085"}, "has a control character"},
		{tag.PatientID, []string{"P\xff"}, "is not valid UTF-8"},
		{tag.PatientID, []string{`P1\P2`}, "has a backslash, which would separate two values"},
		{tag.PatientID, []string{"P1", " "}, "has an empty value among several"},
		{tag.PatientComments, []string{strings.Repeat("x", 1025)}, "is too long"},
		{tag.PatientName, []string{"a=b=c=d"}, "is not a person name: at most three groups of five components and 64 characters"},
		{tag.PatientName, []string{"a^b^c^d^e^f"}, "is not a person name: at most three groups of five components and 64 characters"},
		{tag.PatientName, []string{strings.Repeat("x", 65)}, "is not a person name: at most three groups of five components and 64 characters"},
		{tag.PatientName, []string{"="}, "is not a person name: at most three groups of five components and 64 characters"},
		{tag.PatientName, []string{"^ ^=^"}, "is not a person name: at most three groups of five components and 64 characters"},
		{tag.PatientName, []string{"=\u0301"}, "is not a person name: at most three groups of five components and 64 characters"},
		{tag.RequestAttributesSequence, []string{"x"}, "has a VR whose values cannot be matched"},
		{tag.PixelData, []string{"x"}, "has a VR whose values cannot be matched"},
		{tag.SpecificCharacterSet, []string{"ISO_IR 6"}, "is never matched"},
		{tag.ModalitiesInStudy, make101(), "has too many values"},
		{tag.Tag{Group: 0x0010}, nil, "is no attribute of a data set"},
		{tag.Tag{Group: 0x0009, Element: 1}, nil, "is no attribute of a data set"},
		{tag.TransferSyntaxUID, nil, "is no attribute of a data set"},
		{tag.Item, nil, "is no attribute of a data set"},
	} {
		_, err := match.NewKey(match.Path{c.of}, "", c.values, false)
		var invalid *match.ValueError
		require.ErrorAs(t, err, &invalid, "%v %q", c.of, c.values)
		assert.Equal(t, c.reason, invalid.Reason, "%v %q", c.of, c.values)
		assert.Equal(t, match.Path{c.of}.String()+" "+c.reason, err.Error())
	}
}

func make101() []string {
	values := make([]string, 101)
	for i := range values {
		values[i] = "CT"
	}
	return values
}

func TestNewKeyAcceptsWhatArchivesHold(t *testing.T) {
	t.Parallel()
	for of, value := range map[tag.Tag]string{
		tag.StudyInstanceUID:  "1.02.3", // a component that begins with zero
		tag.AccessionNumber:   strings.Repeat("A", 64),
		tag.PatientName:       strings.Repeat("x", 64) + "*=*" + strings.Repeat("y", 64) + "=z",
		tag.PatientComments:   strings.Repeat("?", 1024) + "*",
		tag.Modality:          "*ABCDEFGHIJKLMNOP*",
		tag.StudyDate:         "20240229",
		tag.SliceThickness:    "-1.5e-3",
		tag.SelectorFDValue:   "1e-5",
		tag.StudyDescription:  "a-b_c%&/(",
		tag.SelectorURValue:   "urn:x\\y",
		tag.StudyTime:         "000000-235960",
		tag.SelectorDTValue:   "20240131101530.123456-0500-20240201101530.123456-0500",
		tag.PatientBirthDate:  "-19991231",
		tag.LongCodeValue:     strings.Repeat("A", 1024),
		tag.PatientAge:        "018M",
		tag.SelectorSVValue:   "-9223372036854775808",
		tag.SelectorULValue:   "4294967295",
		tag.InstanceNumber:    "-2147483648",
		tag.SelectorOBValue:   "",
		tag.PixelData:         "",
		tag.PatientBirthTime:  "10",
		tag.SOPClassesInStudy: `1.2\1.3`,
	} {
		_, err := match.NewKey(match.Path{of}, "", []string{value}, false)
		assert.NoError(t, err, of)
	}
}

func TestPathsLeadThroughSequences(t *testing.T) {
	t.Parallel()
	for reason, path := range map[string]match.Path{
		"has no tag": {},
		"leads into an attribute that is no sequence":         {tag.PatientID, tag.PatientID},
		"is nested too deeply":                                make(match.Path, 9),
		"is no attribute of a data set":                       {tag.Tag{Group: 2, Element: 1}, tag.PatientID},
		"has a VR whose values cannot be matched":             {tag.RequestAttributesSequence, tag.RequestedProcedureCodeSequence},
		"has a VR that the standard does not define":          {tag.Tag{Group: 9, Element: 0x1001}},
		"has a wildcard, which its VR does not allow":         {tag.RequestAttributesSequence, tag.StudyInstanceUID},
		"is not a date such as 20240131, or a range of dates": {tag.Tag{Group: 9, Element: 0x1001}, tag.StudyDate},
	} {
		vr, value := "", "x"
		switch reason {
		case "has a VR that the standard does not define":
			vr = "XX"
		case "has a wildcard, which its VR does not allow":
			value = "*"
		}
		_, err := match.NewKey(path, vr, []string{value}, false)
		var invalid *match.ValueError
		require.ErrorAs(t, err, &invalid, reason)
		assert.Equal(t, reason, invalid.Reason)
	}
	assert.Equal(t, "00400275.00400009", match.Path{tag.RequestAttributesSequence, tag.ScheduledProcedureStepID}.String())
}

func TestValuesAreKeptAsTheyAreSent(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"20240101-20240131"}, key(t, tag.StudyDate, " 20240101 - 20240131 ").Values)
	assert.Equal(t, []string{"1.2", "1.3", "1.4"}, key(t, tag.StudyInstanceUID, `1.2\ 1.3`, "1.4").Values)
	assert.Equal(t, []string{"P 1"}, key(t, tag.PatientID, " P 1 ").Values)
	assert.Empty(t, key(t, tag.PatientID, "*").Values)
	assert.True(t, key(t, tag.PatientID, "").IsUniversal())
	universal := key(t, tag.PatientID, "P1").Universal()
	assert.True(t, universal.IsUniversal())
	assert.Equal(t, "LO", universal.VR)
}

func TestVerdictsHaveNames(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "unknown matches differs", match.Unknown.String()+" "+match.Matches.String()+" "+match.Differs.String())
	assert.Zero(t, match.Unknown)
	assert.Equal(t, dataset.PatientID, tag.PatientID)
}
