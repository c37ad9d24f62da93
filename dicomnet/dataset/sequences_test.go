package dataset_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

func TestItemsAreFoundInEveryEncodingOfASequence(t *testing.T) {
	t.Parallel()
	one, two := element(tag.CodeValue, "1 "), element(tag.CodeValue, "2 ")
	code := tag.ProcedureCodeSequence
	for what, b := range map[string]string{
		"defined, items defined":                   element(code, item(one)+item(two)),
		"defined, items undefined":                 element(code, undefinedItem+one+itemEnd+undefinedItem+two+itemEnd),
		"undefined, items defined":                 undefinedSequence(code, item(one)+item(two)),
		"undefined, items undefined":               undefinedSequence(code, undefinedItem+one+itemEnd+undefinedItem+two+itemEnd),
		"delimiters after items of defined length": undefinedSequence(code, item(one)+itemEnd+item(two)+itemEnd),
		"stray delimiters inside":                  element(code, sequenceEnd+item(itemEnd+one)+itemEnd+item(two+sequenceEnd)),
		"the last item lacks its delimiter":        undefinedSequence(code, item(one)+undefinedItem+two),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			set := parse(t, b, element(tag.PatientID, "P1"))
			items := set.Items(code)
			require.Len(t, items, 2)
			assert.Equal(t, "1", items[0].String(tag.CodeValue))
			assert.Equal(t, "2", items[1].String(tag.CodeValue))
			assert.Equal(t, "P1", set.String(tag.PatientID))
			assert.Zero(t, set.Warnings())
		})
	}
}

func TestNestedSequencesAreReadUpToTheLimit(t *testing.T) {
	t.Parallel()
	b := element(tag.CodeValue, "1 ")
	for range 8 {
		b = undefinedSequence(privateSequence, undefinedItem+b+itemEnd)
	}
	set := parse(t, b)
	for range 8 {
		items := set.Items(privateSequence)
		require.Len(t, items, 1)
		set = items[0]
	}
	assert.Equal(t, "1", set.String(tag.CodeValue))

	_, err := dataset.Parse([]byte(undefinedSequence(privateSequence, undefinedItem+b+itemEnd)), dataset.ImplicitVRLittleEndian, dataset.Limits{})
	var limit *dataset.LimitError
	require.ErrorAs(t, err, &limit)
	assert.Equal(t, &dataset.LimitError{What: "levels", Limit: 8}, limit)
}

func TestEmptySequencesHaveNoItems(t *testing.T) {
	t.Parallel()
	set := parse(t, element(tag.ProcedureCodeSequence, ""), undefinedSequence(privateSequence, ""))
	assert.True(t, set.Has(tag.ProcedureCodeSequence))
	assert.Nil(t, set.Items(tag.ProcedureCodeSequence))
	assert.Nil(t, set.Items(privateSequence))
	b, ok := set.Bytes(privateSequence)
	assert.True(t, ok)
	assert.Empty(t, b)
	assert.Zero(t, set.Warnings())
}

// TestItemsOfUNSequences covers CP-246 and PS3.5 section 6.2.2: the content of UN is implicit VR
// little endian in every transfer syntax.
func TestItemsOfUNSequences(t *testing.T) {
	t.Parallel()
	content := undefinedItem + element(tag.CodeValue, "1 ") + itemEnd
	for what, b := range map[string]string{
		"private, undefined length":     explicitUndefined(privateSequence, "UN", content+sequenceEnd),
		"private, defined length":       explicit(privateSequence, "UN", content),
		"nested":                        explicitUndefined(privateSequence, "UN", undefinedItem+undefinedSequence(privateSequence, content)+element(tag.CodeValue, "1 ")+itemEnd+sequenceEnd),
		"explicit SQ, defined length":   explicit(privateSequence, "SQ", item(explicit(tag.CodeValue, "SH", "1 "))),
		"explicit SQ, undefined length": explicitUndefined(privateSequence, "SQ", item(explicit(tag.CodeValue, "SH", "1 "))+sequenceEnd),
		"unknown VR, undefined length":  explicitUndefined(privateSequence, "XQ", item(explicit(tag.CodeValue, "SH", "1 "))+sequenceEnd),
		"unknown VR, defined length":    element(privateSequence, "")[:4] + "XQ\x00\x00\x16\x00\x00\x00" + item(explicit(tag.CodeValue, "SH", "\x31     ")),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			set := parseExplicit(t, b, explicit(tag.PatientID, "LO", "P1"))
			items := set.Items(privateSequence)
			require.Len(t, items, 1)
			assert.Equal(t, "1", items[0].String(tag.CodeValue))
			assert.Equal(t, "P1", set.String(tag.PatientID))
			assert.Zero(t, set.Warnings())
		})
	}
}

// TestUNIsReadByTheDictionary covers UN elements with a known tag: binary values are little endian
// even in a big endian data set.
func TestUNIsReadByTheDictionary(t *testing.T) {
	t.Parallel()
	set, err := dataset.Parse([]byte(
		"\x00\x10\x00\x10UN\x00\x00\x00\x00\x00\x04A^B "+
			"\x00\x28\x00\x10UN\x00\x00\x00\x00\x00\x02\x00\x02"+
			"\x00\x28\x00\x11US\x00\x02\x02\x00"), dataset.ExplicitVRBigEndian, dataset.Limits{})
	require.NoError(t, err)
	assert.Equal(t, "A^B", set.String(tag.PatientName))
	rows, _ := set.Uint16(tag.Rows)
	columns, _ := set.Uint16(tag.Columns)
	assert.Equal(t, []uint16{512, 512}, []uint16{rows, columns})
}

func TestFragmentsOfPixelDataAreNotItems(t *testing.T) {
	t.Parallel()
	content := item("") + item("\xff\xd8\xff\xd9")
	set := parseExplicit(t, explicitUndefined(tag.PixelData, "OB", content+sequenceEnd), explicit(tag.Tag{Group: 0xfffc, Element: 0xfffc}, "OB", "\x00\x00"))
	b, ok := set.Bytes(tag.PixelData)
	assert.True(t, ok)
	assert.Equal(t, content, string(b))
	assert.Nil(t, set.Items(tag.PixelData), "fragments are not items")
	assert.Equal(t, dataset.ValueMalformed, set.Warnings())
}
