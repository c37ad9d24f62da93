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

// TestParserReadsLikeParse checks that values cached from one data set do not change what is read
// from the next.
func TestParserReadsLikeParse(t *testing.T) {
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

func TestParserDoesNotDecodeARepeatedValueAgain(t *testing.T) { //nolint:paralleltest // it measures
	b, err := dataset.Encode(identifier(), dataset.ImplicitVRLittleEndian)
	assert.NoError(t, err)
	var parser dataset.Parser
	allocations := testing.AllocsPerRun(100, func() {
		set, err := parser.Parse(b, dataset.ImplicitVRLittleEndian, dataset.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range queryKeys {
			sink += len(set.String(key))
		}
	})
	assert.Zero(t, allocations)
}

func TestParserDoesNotCacheLongValues(t *testing.T) { //nolint:paralleltest // it measures
	long := []byte(element(tag.PatientName, strings.Repeat("x", 1<<20)))
	var parser dataset.Parser
	assert.Equal(t, 1.0, testing.AllocsPerRun(10, func() {
		set, err := parser.Parse(long, dataset.ImplicitVRLittleEndian, dataset.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		sink += len(set.String(tag.PatientName))
	}), "the value is decoded each time")
}

// TestStringsOfAParserStayValid reads enough strings to fill the shared memory several times, and
// releases it in between.
func TestStringsOfAParserStayValid(t *testing.T) {
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

func TestKeysOfAQueryHaveDifferentCacheSlots(t *testing.T) {
	slots := map[uint32]tag.Tag{}
	for _, key := range []tag.Tag{
		tag.SpecificCharacterSet, tag.StudyDate, tag.StudyTime, tag.AccessionNumber, tag.QueryRetrieveLevel, tag.RetrieveAETitle,
		tag.Modality, tag.ModalitiesInStudy, tag.InstitutionName, tag.ReferringPhysicianName, tag.StudyDescription,
		tag.PerformingPhysicianName, tag.PatientName, tag.PatientID, tag.PatientBirthDate, tag.StudyInstanceUID, tag.SeriesInstanceUID,
	} {
		slot := dataset.CacheSlot(key)
		require.NotContains(t, slots, slot, "%v and %v", key, slots[slot])
		slots[slot] = key
	}
}
