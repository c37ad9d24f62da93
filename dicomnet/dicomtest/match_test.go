package dicomtest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/suyashkumar/dicom/pkg/tag"
)

func TestMatches(t *testing.T) {
	list := func(values ...string) []string { return values }
	tests := []struct {
		name      string
		attribute tag.Tag
		key       []string
		values    []string
		want      bool
	}{
		// PS3.4 C.2.2.2.1
		{"a single value is matched exactly", tag.PatientID, list("P1"), list("P1"), true},
		{"a single value is not a prefix", tag.PatientID, list("P1"), list("P12"), false},
		{"a single value is case-sensitive", tag.PatientID, list("p1"), list("P1"), false},
		{"one of several values suffices", tag.ModalitiesInStudy, list("SR"), list("CT", "SR"), true},
		{"no match among several values", tag.ModalitiesInStudy, list("MR"), list("CT", "SR"), false},
		{"an attribute without a value", tag.AccessionNumber, list("A"), nil, false},
		{"numbers as text", tag.SeriesNumber, list("2"), list("2"), true},
		{"a name is matched without regard to case", tag.PatientName, list("doe^john"), list("DOE^JOHN"), true},
		{"trailing delimiters of a name are ignored", tag.PatientName, list("DOE^JOHN^^"), list("DOE^JOHN"), true},
		{"a name by its ideographic group", tag.PatientName, list("山田^太郎"), list("Yamada^Tarou=山田^太郎"), true},
		{"another name", tag.PatientName, list("DOE^JANE"), list("DOE^JOHN"), false},
		// C.2.2.2.2
		{"a list of UIDs", tag.StudyInstanceUID, list("1.2", "1.3"), list("1.3"), true},
		{"a UID that is not in the list", tag.StudyInstanceUID, list("1.2", "1.3"), list("1.4"), false},
		{"a UID has no wildcards", tag.StudyInstanceUID, list("1.*"), list("1.4"), false},
		{"a UID of only an asterisk", tag.StudyInstanceUID, list("*"), list("1.4"), false},
		// C.2.2.2.3
		{"zero length is universal", tag.PatientID, nil, list("P1"), true},
		{"zero length matches an attribute without a value", tag.PatientID, nil, nil, true},
		{"an asterisk is universal", tag.PatientID, list("*"), nil, true},
		// C.2.2.2.4
		{"a prefix", tag.PatientName, list("doe*"), list("DOE^JOHN"), true},
		{"an infix", tag.StudyDescription, list("*HEST*"), list("CT CHEST WITH REPORT"), true},
		{"a suffix that needs backtracking", tag.StudyDescription, list("*AB"), list("AAB"), true},
		{"asterisks at both ends and in the middle", tag.StudyDescription, list("*C*T*"), list("ACBT"), true},
		{"a question mark is one character", tag.PatientID, list("P?"), list("P1"), true},
		{"a question mark is one character of several bytes", tag.PatientName, list("M?ller"), list("Müller"), true},
		{"a question mark is not zero characters", tag.PatientID, list("P?"), list("P"), false},
		{"a question mark is not two characters", tag.PatientID, list("P?"), list("P12"), false},
		{"a pattern longer than the value", tag.PatientID, list("P*Z"), list("P12"), false},
		// C.2.2.2.5
		{"a date", tag.StudyDate, list("20240101"), list("20240101"), true},
		{"another date", tag.StudyDate, list("20240101"), list("20240102"), false},
		{"the first day of a range", tag.StudyDate, list("20240101-20240131"), list("20240101"), true},
		{"the last day of a range", tag.StudyDate, list("20240101-20240131"), list("20240131"), true},
		{"the day before a range", tag.StudyDate, list("20240101-20240131"), list("20231231"), false},
		{"the day after a range", tag.StudyDate, list("20240101-20240131"), list("20240201"), false},
		{"since a day", tag.StudyDate, list("20240101-"), list("20991231"), true},
		{"until a day", tag.StudyDate, list("-20240101"), list("19700101"), true},
		{"a range never matches an attribute without a date", tag.StudyDate, list("-20240101"), list(""), false},
		{"a time in a range of hours", tag.StudyTime, list("12-13"), list("135959.999999"), true},
		{"a time after a range of hours", tag.StudyTime, list("12-13"), list("140000"), false},
		{"a time without its fraction", tag.StudyTime, list("120000"), list("120000.5"), true},
		{"another time", tag.StudyTime, list("120000"), list("120001"), false},
		{"an asterisk means nothing in a date", tag.StudyDate, list("*"), list("20240101"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b builder
			b.text(tt.attribute, tt.key...)
			assert.Equal(t, tt.want, matches(b.elements[0], tt.values))
		})
	}
}
