package qr

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"dicom-qr-gateway/dicomnet/dataset"
)

func TestSearchAttributesAgreeWithTheDictionary(t *testing.T) {
	for _, level := range []Level{LevelStudy, LevelSeries, LevelImage} {
		attributes := SearchAttributes(level)
		assert.NotEmpty(t, attributes)
		for i, a := range attributes {
			t.Run(string(level)+" "+a.Keyword, func(t *testing.T) {
				last := a.Path[len(a.Path)-1]
				assert.Equal(t, dataset.Keyword(last), a.Keyword)
				assert.Equal(t, level, a.Level)
				assert.True(t, i == 0 || compareTags(attributes[i-1].Path[0], a.Path[0]) <= 0, "the rows are in the order of tags")
				if a.Key != Optional {
					assert.True(t, a.Default, "every search asks for the keys of the standard")
				}
			})
		}
	}
}

func TestSearchAttributesHaveTheSameKeysAsThoseOfAStudy(t *testing.T) {
	for i := range attributes {
		a := &attributes[i]
		for _, row := range searchAttributes {
			if len(row.Path) == 1 && row.Path[0] == a.Tag {
				assert.Equal(t, a.VR, row.VR, a.Keyword)
				if row.Level != LevelImage && row.Level == a.Level {
					assert.Equal(t, a.Key, row.Key, a.Keyword)
				}
			}
		}
	}
}

func TestLevelOfAnAttribute(t *testing.T) {
	for tag, want := range map[dataset.Tag]Level{
		dataset.PatientName: LevelStudy, dataset.StudyDate: LevelStudy, dataset.Modality: LevelSeries, sopInstanceUID: LevelImage,
	} {
		level, ok := LevelOf(tag)
		assert.Equal(t, want, level)
		assert.True(t, ok)
	}
	_, ok := LevelOf(dataset.Tag{Group: 0x0008, Element: 0x0056})
	assert.False(t, ok, "InstanceAvailability is at several levels")
	_, ok = LevelOf(dataset.Tag{Group: 0x0009, Element: 0x0010})
	assert.False(t, ok)
}
