package dataset_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

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
