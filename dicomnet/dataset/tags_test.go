package dataset_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

func TestKeywordIsThatOfTheDictionary(t *testing.T) {
	t.Parallel()
	for keyword, tg := range map[string]dataset.Tag{
		"PatientID":              dataset.PatientID,
		"ReferringPhysicianName": dataset.ReferringPhysicianName,
		"GenericGroupLength":     {Group: 0x0010},
		"":                       privateText,
	} {
		assert.Equal(t, keyword, dataset.Keyword(tg))
	}
}

func TestVMIsThatOfTheDictionary(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "1", dataset.VM(dataset.PatientID))
	assert.Equal(t, "1-n", dataset.VM(dataset.ModalitiesInStudy))
	assert.Empty(t, dataset.VM(privateText))
}

func TestEveryTagOfTheDictionaryHasAVR(t *testing.T) {
	t.Parallel()
	for _, delimiter := range []dataset.Tag{tag.Item, tag.ItemDelimitationItem, tag.SequenceDelimitationItem} {
		assert.Equal(t, "UN", dataset.DictionaryVR(delimiter))
	}
	assert.Equal(t, "US", dataset.DictionaryVR(tag.PixelPaddingValue))
}
