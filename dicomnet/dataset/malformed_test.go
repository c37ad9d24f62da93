package dataset_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

// A malformed value costs itself, not what is around it.
func TestMalformedValues(t *testing.T) {
	t.Parallel()
	id := element(tag.PatientID, "P1")
	for what, b := range map[string]string{
		"US of one byte":              element(tag.Rows, "\x01"),
		"US of three bytes":           element(tag.Rows, "\x01\x00\x02"),
		"text of odd length":          element(tag.StudyID, "123"),
		"UID of 65 characters":        element(tag.StudyInstanceUID, strings.Repeat("1", 65)+"\x00"),
		"LO of 66 characters":         element(tag.StudyDescription, strings.Repeat("x", 66)),
		"PN with a group too long":    element(tag.PatientName, "A=B="+strings.Repeat("x", 66)),
		"letters in a UID":            element(tag.StudyInstanceUID, "1.2.x\x00"),
		"letters in a date":           element(tag.StudyDate, "15MAR024"),
		"letters in a time":           element(tag.StudyTime, "10 o'clock"),
		"letters in IS":               element(tag.NumberOfStudyRelatedInstances, "many"),
		"IS that is no integer":       element(tag.NumberOfStudyRelatedInstances, "1.5 "),
		"an item outside a sequence":  element(itemTag, "\x01\x02"),
		"a sequence without items":    element(tag.ProcedureCodeSequence, "\x08\x00\x00\x01\x02\x00\x00\x00ab"),
		"a sequence of odd things":    element(tag.ProcedureCodeSequence, item("")+id),
		"a sequence cut off":          element(tag.ProcedureCodeSequence, item(id)[:14]),
		"an item cut off":             element(tag.ProcedureCodeSequence, item("")+"\xfe\xff\x00\xe0"),
		"an item broken inside":       element(tag.ProcedureCodeSequence, item("\x10\x00\x10\x00\xff\x00\x00\x00")),
		"an item without an end":      element(tag.ProcedureCodeSequence, undefinedItem+id),
		"an undefined one, item bad":  undefinedSequence(tag.ProcedureCodeSequence, item("\x10\x00\x10\x00\xff\x00\x00\x00")),
		"a sequence that is no such":  element(tag.ProcedureCodeSequence, "gibberish!"),
		"a control character in text": element(tag.StudyDescription, "a\x01"),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			set := parse(t, b, element(tag.Columns, "\x07\x00"), element(tag.Tag{Group: 0x7fff, Element: 0x1000}, "P1"))
			for n := range set.Tags() {
				_ = set.Strings(n)
				_, _ = set.Int(n)
			}
			set.Items(tag.ProcedureCodeSequence)
			columns, ok := set.Uint16(tag.Columns)
			assert.True(t, ok)
			assert.Equal(t, uint16(7), columns)
			assert.Equal(t, dataset.ValueMalformed, set.Warnings())
		})
	}
}

func TestMalformedValuesAreGivenAsTheyAre(t *testing.T) {
	t.Parallel()
	uid := strings.Repeat("1", 65)
	set := parse(t,
		element(tag.StudyDate, "2024-03-15"), element(tag.StudyInstanceUID, uid+"\x00"), element(tag.StudyID, "123"),
		element(tag.Rows, "\x01\x00\x02"), element(tag.Columns, "\x01"))
	assert.Equal(t, uid, set.String(tag.StudyInstanceUID))
	assert.Equal(t, "2024-03-15", set.String(tag.StudyDate))
	assert.Equal(t, "123", set.String(tag.StudyID))
	rows, ok := set.Uint16(tag.Rows)
	assert.True(t, ok, "the first value is whole")
	assert.Equal(t, uint16(1), rows)
	assert.Equal(t, []string{"1"}, set.Strings(tag.Rows))
	_, ok = set.Uint16(tag.Columns)
	assert.False(t, ok)
	assert.Empty(t, set.String(tag.Columns))
}

func TestItemsBeforeAFault(t *testing.T) {
	t.Parallel()
	set := parse(t, element(tag.ProcedureCodeSequence, item(element(tag.CodeValue, "1 "))+element(tag.CodeValue, "2 ")), element(tag.PatientID, "P1"))
	items := set.Items(tag.ProcedureCodeSequence)
	require.Len(t, items, 1)
	assert.Equal(t, "1", items[0].String(tag.CodeValue))
	assert.Equal(t, dataset.ValueMalformed, items[0].Warnings(), "an item speaks for the whole")
}

// What has no end inside an item of defined length is not there, and what stood before it is.
func TestItemThatEndsInside(t *testing.T) {
	t.Parallel()
	set := parse(t, element(tag.ProcedureCodeSequence, item(element(tag.CodeValue, "1 ")+element(privateSequence, "")[:4]+"\xff\xff\xff\xff")))
	items := set.Items(tag.ProcedureCodeSequence)
	require.Len(t, items, 1)
	assert.Equal(t, "1", items[0].String(tag.CodeValue))
	assert.Equal(t, 1, items[0].Len())
	assert.Equal(t, dataset.ValueMalformed, set.Warnings())
}

func TestBrokenStructure(t *testing.T) {
	t.Parallel()
	id := element(tag.PatientID, "P1")
	for what, v := range map[string]struct {
		b      string
		offset int
		reason string
	}{
		"a header cut off":          {id + "\x10\x00\x10", 10, "an element is cut off"},
		"a value cut off":           {id + element(tag.PatientName, "A^B ")[:10], 10, "a value is longer than what is left"},
		"4 GiB claimed":             {id + "\x10\x00\x10\x00\xfe\xff\xff\xff", 10, "a value is longer than what is left"},
		"no end of a sequence":      {id + "\x40\x00\x75\x02\xff\xff\xff\xff" + item(""), 26, "a sequence of undefined length does not end"},
		"no end of an item":         {id + "\x40\x00\x75\x02\xff\xff\xff\xff" + undefinedItem + id, 36, "an item of undefined length does not end"},
		"no items":                  {id + undefinedSequence(tag.ProcedureCodeSequence, id), 18, "a sequence holds something else than items"},
		"an item of undefined":      {id + undefinedItem + itemEnd, 18, "an item outside a sequence has an undefined length"},
		"an item too long":          {id + undefinedSequence(tag.ProcedureCodeSequence, "\xfe\xff\x00\xe0\x40\x00\x00\x00"), 26, "an item is longer than what is left"},
		"a sequence's item cut off": {id + "\x40\x00\x75\x02\xff\xff\xff\xff\xfe\xff", 18, "an item is cut off"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, err := dataset.Parse([]byte(v.b), dataset.ImplicitVRLittleEndian, dataset.Limits{})
			var broken *dataset.FormatError
			require.ErrorAs(t, err, &broken)
			assert.Equal(t, dataset.FormatError{Offset: v.offset, Reason: v.reason}, *broken)
			assert.NotContains(t, err.Error(), "P1")
		})
	}
	_, err := dataset.Parse([]byte(explicit(tag.PatientID, "LO", "P1")+"\x42\x00\x11\x00OB\x00\x00\x02\x00"), dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.EqualError(t, err, "data set broken at offset 10: an element is cut off")
	_, err = dataset.Parse([]byte(explicitUndefined(tag.PixelData, "OB", undefinedItem+itemEnd+sequenceEnd)), dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.EqualError(t, err, "data set broken at offset 20: an item is longer than what is left")
}

// PS3.5 section 7.1.2: new VRs have the long form; what else stands for a VR cannot be one.
func TestUnknownVR(t *testing.T) {
	t.Parallel()
	set := parseExplicit(t,
		element(tag.PatientName, "")[:4]+"XX\x00\x00\x04\x00\x00\x00A^B ",
		element(tag.PatientID, "")[:4]+"YY\x02\x00P1",
		explicit(tag.PatientSex, "CS", "F "))
	assert.Equal(t, "A^B", set.String(tag.PatientName))
	assert.Equal(t, "P1", set.String(tag.PatientID))
	assert.Equal(t, "F", set.String(tag.PatientSex))
	assert.Zero(t, set.Warnings())

	set = parseExplicit(t,
		explicit(tag.PatientName, "PN", "A^B "), element(tag.PatientID, "P1"), element(tag.Rows, "\x00\x02"),
		explicit(tag.Columns, "US", "\x00\x02"))
	assert.Equal(t, "P1", set.String(tag.PatientID), "an element of implicit VR among explicit ones")
	rows, _ := set.Uint16(tag.Rows)
	assert.Equal(t, uint16(512), rows)
	assert.True(t, set.Has(tag.Columns))
	assert.Equal(t, dataset.ValueMalformed, set.Warnings())
}
