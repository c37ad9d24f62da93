package dataset_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

// TestMalformedValuesAffectOnlyThemselves checks that the elements around a malformed value stay
// readable.
func TestMalformedValuesAffectOnlyThemselves(t *testing.T) {
	t.Parallel()
	id := element(tag.PatientID, "P1")
	for what, b := range map[string]string{
		"US of one byte":                                          element(tag.Rows, "\x01"),
		"US of three bytes":                                       element(tag.Rows, "\x01\x00\x02"),
		"text of odd length":                                      element(tag.StudyID, "123"),
		"UID of 65 characters":                                    element(tag.StudyInstanceUID, strings.Repeat("1", 65)+"\x00"),
		"LO of 66 characters":                                     element(tag.StudyDescription, strings.Repeat("x", 66)),
		"PN with a component group too long":                      element(tag.PatientName, "A=B="+strings.Repeat("x", 66)),
		"letters in a UID":                                        element(tag.StudyInstanceUID, "1.2.x\x00"),
		"letters in a date":                                       element(tag.StudyDate, "15MAR024"),
		"letters in a time":                                       element(tag.StudyTime, "10 o'clock"),
		"letters in IS":                                           element(tag.NumberOfStudyRelatedInstances, "many"),
		"IS that is not an integer":                               element(tag.NumberOfStudyRelatedInstances, "1.5 "),
		"an item outside a sequence":                              element(itemTag, "\x01\x02"),
		"a sequence with an element instead of an item":           element(tag.ProcedureCodeSequence, "\x08\x00\x00\x01\x02\x00\x00\x00ab"),
		"a sequence with an element after an item":                element(tag.ProcedureCodeSequence, item("")+id),
		"a truncated sequence":                                    element(tag.ProcedureCodeSequence, item(id)[:14]),
		"a truncated item":                                        element(tag.ProcedureCodeSequence, item("")+"\xfe\xff\x00\xe0"),
		"an item with a malformed element":                        element(tag.ProcedureCodeSequence, item("\x10\x00\x10\x00\xff\x00\x00\x00")),
		"an item without a delimiter":                             element(tag.ProcedureCodeSequence, undefinedItem+id),
		"a sequence of undefined length with a malformed element": undefinedSequence(tag.ProcedureCodeSequence, item("\x10\x00\x10\x00\xff\x00\x00\x00")),
		"a sequence of other bytes":                               element(tag.ProcedureCodeSequence, "gibberish!"),
		"a control character in text":                             element(tag.StudyDescription, "a\x01"),
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

func TestMalformedValuesAreReturnedUnchanged(t *testing.T) {
	t.Parallel()
	uid := strings.Repeat("1", 65)
	set := parse(t,
		element(tag.StudyDate, "2024-03-15"), element(tag.StudyInstanceUID, uid+"\x00"), element(tag.StudyID, "123"),
		element(tag.Rows, "\x01\x00\x02"), element(tag.Columns, "\x01"))
	assert.Equal(t, uid, set.String(tag.StudyInstanceUID))
	assert.Equal(t, "2024-03-15", set.String(tag.StudyDate))
	assert.Equal(t, "123", set.String(tag.StudyID))
	rows, ok := set.Uint16(tag.Rows)
	assert.True(t, ok, "the first value is complete")
	assert.Equal(t, uint16(1), rows)
	assert.Equal(t, []string{"1"}, set.Strings(tag.Rows))
	_, ok = set.Uint16(tag.Columns)
	assert.False(t, ok)
	assert.Empty(t, set.String(tag.Columns))
}

func TestItemsReturnsTheItemsBeforeAFault(t *testing.T) {
	t.Parallel()
	set := parse(t, element(tag.ProcedureCodeSequence, item(element(tag.CodeValue, "1 "))+element(tag.CodeValue, "2 ")), element(tag.PatientID, "P1"))
	items := set.Items(tag.ProcedureCodeSequence)
	require.Len(t, items, 1)
	assert.Equal(t, "1", items[0].String(tag.CodeValue))
	assert.Equal(t, dataset.ValueMalformed, items[0].Warnings(), "an item shares the warnings of the data set")
}

// TestElementWithoutAnEndInsideAnItemIsOmitted checks that the elements before it stay readable.
func TestElementWithoutAnEndInsideAnItemIsOmitted(t *testing.T) {
	t.Parallel()
	set := parse(t, element(tag.ProcedureCodeSequence, item(element(tag.CodeValue, "1 ")+element(privateSequence, "")[:4]+"\xff\xff\xff\xff")))
	items := set.Items(tag.ProcedureCodeSequence)
	require.Len(t, items, 1)
	assert.Equal(t, "1", items[0].String(tag.CodeValue))
	assert.Equal(t, 1, items[0].Len())
	assert.Equal(t, dataset.ValueMalformed, set.Warnings())
}

func TestParseReportsTheOffsetOfABrokenStructure(t *testing.T) {
	t.Parallel()
	id := element(tag.PatientID, "P1")
	for what, v := range map[string]struct {
		b      string
		offset int
		reason string
	}{
		"truncated element header":                    {id + "\x10\x00\x10", 10, "element header is truncated"},
		"truncated value":                             {id + element(tag.PatientName, "A^B ")[:10], 10, "value length exceeds the remaining bytes"},
		"value of 4 GiB claimed":                      {id + "\x10\x00\x10\x00\xfe\xff\xff\xff", 10, "value length exceeds the remaining bytes"},
		"sequence without a delimiter":                {id + "\x40\x00\x75\x02\xff\xff\xff\xff" + item(""), 26, "sequence of undefined length has no delimiter"},
		"item without a delimiter":                    {id + "\x40\x00\x75\x02\xff\xff\xff\xff" + undefinedItem + id, 36, "item of undefined length has no delimiter"},
		"sequence of elements":                        {id + undefinedSequence(tag.ProcedureCodeSequence, id), 18, "sequence contains an element that is not an item"},
		"item of undefined length outside a sequence": {id + undefinedItem + itemEnd, 18, "item outside a sequence has an undefined length"},
		"item longer than the data set":               {id + undefinedSequence(tag.ProcedureCodeSequence, "\xfe\xff\x00\xe0\x40\x00\x00\x00"), 26, "item length exceeds the remaining bytes"},
		"truncated item header":                       {id + "\x40\x00\x75\x02\xff\xff\xff\xff\xfe\xff", 18, "item header is truncated"},
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
	require.EqualError(t, err, "invalid data set at offset 10: element header is truncated")
	_, err = dataset.Parse([]byte(explicitUndefined(tag.PixelData, "OB", undefinedItem+itemEnd+sequenceEnd)), dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.EqualError(t, err, "invalid data set at offset 20: item length exceeds the remaining bytes")
}
