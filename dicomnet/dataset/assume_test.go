package dataset_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
)

func TestAssumedCharacterSetAppliesToDataSetsThatNameNone(t *testing.T) {
	t.Parallel()
	cyrillic, ok := dataset.LookupCharacterSet("ISO_IR 144")
	require.True(t, ok)
	name := element(dataset.PatientName, "\xbb\xee\xdc")
	nested := undefinedSequence(dataset.IssuerOfPatientIDQualifiersSequence, item(element(dataset.StudyDescription, "\xbb")))
	for _, test := range []struct {
		elements     []string
		name, inside string
	}{
		{[]string{name, nested}, "Люм", "Л"},
		{[]string{element(dataset.SpecificCharacterSet, ""), name, nested}, "Люм", "Л"},
		{[]string{element(dataset.SpecificCharacterSet, "ISO_IR 100"), name, nested}, "»îÜ", "»"},
	} {
		s := parse(t, test.elements...)
		s.AssumeCharacterSet(cyrillic)
		assert.Equal(t, test.name, s.String(dataset.PatientName))
		require.Len(t, s.Items(dataset.IssuerOfPatientIDQualifiersSequence), 1)
		assert.Equal(t, test.inside, s.Items(dataset.IssuerOfPatientIDQualifiersSequence)[0].String(dataset.StudyDescription))
		assert.Zero(t, s.Warnings()&dataset.CharacterSetAssumed)
	}
	s := parse(t, name)
	s.AssumeCharacterSet(dataset.CharacterSet{})
	assert.Equal(t, "»îÜ", s.String(dataset.PatientName))
	assert.NotZero(t, s.Warnings()&dataset.CharacterSetAssumed)
}

func TestLookupCharacterSetRefusesUnknownTerms(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", " ", "klingon", "ISO 2022 IR 6\\klingon"} {
		_, ok := dataset.LookupCharacterSet(value)
		assert.False(t, ok, value)
	}
	for _, value := range []string{"ISO_IR 192", "ISO 2022 IR 6\\ISO 2022 IR 87", "\\ISO 2022 IR 149"} {
		_, ok := dataset.LookupCharacterSet(value)
		assert.True(t, ok, value)
	}
}
