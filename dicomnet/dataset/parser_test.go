package dataset_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/suyashkumar/dicom/pkg/tag"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet/dataset"
)

// What a Parser remembers of one data set has no bearing on what it reads of the next.
func TestAParserReadsWhatParseReads(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		terms := rapid.SampledFrom([]string{"", "ISO_IR 100", "ISO_IR 192", "ISO_IR 13", `ISO 2022 IR 13\ISO 2022 IR 87`, "no such set", "ISO_IR 144"})
		text := rapid.SampledFrom([]string{
			"", " ", "DOE^JOHN", " DOE^JOHN ", "DOE^JOHN\x00", "A~B", `CT\MR`, `\CT`, "M\xfcller", "Müller", "\xc0\xde\xb2", "tab\there",
			"1.2.840.99999.1", "1.2.840.not.a.uid", "20240101", "a value that is longer than the sixty-four characters its VR allows it to be",
		})
		elements := []tag.Tag{tag.StudyDate, tag.AccessionNumber, tag.ModalitiesInStudy, tag.PatientName, tag.PatientID, tag.PatientComments, tag.StudyInstanceUID}
		var parser dataset.Parser
		for range rapid.IntRange(1, 6).Draw(t, "data sets") {
			encoded := []byte(element(tag.SpecificCharacterSet, pad(terms.Draw(t, "term"))))
			for _, key := range elements {
				if value := pad(text.Draw(t, "value")); rapid.Bool().Draw(t, "present") {
					encoded = append(encoded, element(key, value)...)
				}
			}
			want, err := dataset.Parse(encoded, dataset.ImplicitVRLittleEndian, dataset.Limits{})
			assert.NoError(t, err)
			got, err := parser.Parse(encoded, dataset.ImplicitVRLittleEndian, dataset.Limits{})
			assert.NoError(t, err)
			for _, key := range elements {
				assert.Equal(t, want.String(key), got.String(key), "%v", key)
				assert.Equal(t, want.Warnings(), got.Warnings(), "%v", key)
				assert.Equal(t, want.Strings(key), got.Strings(key), "%v", key)
			}
		}
	})
}

func TestAParserMakesNoTextTwice(t *testing.T) { //nolint:paralleltest // it measures
	b, err := dataset.Encode(identifier(), dataset.ImplicitVRLittleEndian)
	assert.NoError(t, err)
	var parser dataset.Parser
	allocations := testing.AllocsPerRun(100, func() {
		set, err := parser.Parse(b, dataset.ImplicitVRLittleEndian, dataset.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			sink += len(set.String(key))
		}
	})
	assert.Zero(t, allocations)
}

func TestAParserKeepsNoLongValues(t *testing.T) { //nolint:paralleltest // it measures
	long := []byte(element(tag.PatientName, strings.Repeat("x", 1<<20)))
	var parser dataset.Parser
	assert.Equal(t, 1.0, testing.AllocsPerRun(10, func() {
		set, err := parser.Parse(long, dataset.ImplicitVRLittleEndian, dataset.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		sink += len(set.String(tag.PatientName))
	}), "it is made anew each time")
}

// The strings of a Parser share memory, and stay what they are when that is full, and when it is for another answer.
func TestWhatAParserHasReadStays(t *testing.T) {
	t.Parallel()
	var parser dataset.Parser
	var got, want []string
	for i := range 3000 {
		value := strings.Repeat(string(rune('a'+i%26)), 1+i%60)
		set, err := parser.Parse([]byte(element(tag.PatientID, pad(value))), dataset.ImplicitVRLittleEndian, dataset.Limits{})
		assert.NoError(t, err)
		got, want = append(got, set.String(tag.PatientID)), append(want, value)
		if i%1000 == 999 {
			parser.Forget()
		}
	}
	assert.Equal(t, want, got)
}

func TestKeysAreFoundInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		elements := rapid.SliceOfNDistinct(rapid.Uint16Range(1, 60), 0, 40, rapid.ID).Draw(t, "elements")
		if rapid.Bool().Draw(t, "sorted") {
			slices.Sort(elements)
		}
		var encoded []byte
		for _, e := range elements {
			encoded = append(encoded, element(tag.Tag{Group: 0x0009, Element: 0x1000 + e}, pad(strconv.Itoa(int(e))))...)
		}
		set, err := dataset.Parse(encoded, dataset.ImplicitVRLittleEndian, dataset.Limits{})
		assert.NoError(t, err)
		for _, e := range rapid.SliceOf(rapid.Uint16Range(1, 60)).Draw(t, "asked") {
			raw, found := set.Bytes(tag.Tag{Group: 0x0009, Element: 0x1000 + e})
			assert.Equal(t, slices.Contains(elements, e), found)
			if found {
				assert.Equal(t, strconv.Itoa(int(e)), strings.TrimSpace(string(raw)))
			}
		}
	})
}
