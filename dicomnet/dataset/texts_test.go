package dataset_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet/dataset"
)

// textsOf returns the values that Texts yields.
func textsOf(set *dataset.Set, of tag.Tag) []string {
	var texts []string
	if v, ok := set.Value(of); ok {
		for text := range v.Texts() {
			texts = append(texts, string(text))
		}
	}
	return texts
}

func TestTextsAreTheValuesOfStrings(t *testing.T) {
	t.Parallel()
	sets := []string{"", "ISO_IR 100", "ISO_IR 192", "ISO_IR 13", "GB18030", `ISO 2022 IR 13\ISO 2022 IR 87`, "KLINGON"}
	tags := []tag.Tag{
		tag.PatientName, tag.OtherPatientIDs, tag.AdditionalPatientHistory, tag.StudyInstanceUID, tag.StudyDate, tag.RetrieveURL,
		tag.LongCodeValue, privateText, tag.Rows,
	}
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringOf(rapid.SampledFrom([]rune("aB1^=\\ ~\x00\x1b$()BJ山田ü\n.-"))).Draw(t, "value")
		if rapid.Bool().Draw(t, "bytes") {
			value = string(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "raw"))
		}
		characterSet := element(tag.SpecificCharacterSet, rapid.SampledFrom(sets).Draw(t, "set"))
		of := rapid.SampledFrom(tags).Draw(t, "tag")
		read := func() *dataset.Set {
			set, err := dataset.Parse([]byte(characterSet+element(of, value)), dataset.ImplicitVRLittleEndian, dataset.Limits{})
			require.NoError(t, err)
			return set
		}
		byStrings, byTexts := read(), read()
		want := byStrings.Strings(of)
		if of == tag.Rows {
			want = nil
		}
		require.Equal(t, want, textsOf(byTexts, of))
		if of != tag.Rows {
			require.Equal(t, byStrings.Warnings(), byTexts.Warnings())
		}
	})
}

func TestTextsStopsEarlyAndAtTheLimit(t *testing.T) {
	t.Parallel()
	set := parse(t, element(tag.OtherPatientIDs, strings.Repeat(`\`, 2*dataset.MaxValues)))
	v, _ := set.Value(tag.OtherPatientIDs)
	for range v.Texts() {
		break
	}
	assert.Zero(t, set.Warnings())
	assert.Len(t, textsOf(set, tag.OtherPatientIDs), dataset.MaxValues)
	assert.Equal(t, dataset.ValueMalformed, set.Warnings())
}

func TestTextsOfASCIICostNoAllocation(t *testing.T) { //nolint:paralleltest // it measures
	set := parse(t, element(tag.PatientName, `Doe^John\Roe^Jane`))
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		v, _ := set.Value(tag.PatientName)
		for text := range v.Texts() {
			sink += len(text)
		}
	}))
}
