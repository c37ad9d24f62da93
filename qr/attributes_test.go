package qr

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"
)

func TestAttributesAgreeWithTheDictionary(t *testing.T) {
	seen := map[tag.Tag]bool{}
	for _, a := range attributes {
		info, err := tag.Find(a.Tag)
		require.NoError(t, err)
		assert.Equal(t, []string{a.VR}, info.VRs, a.Keyword)
		assert.Equal(t, string(a.VM), info.VM, a.Keyword)
		assert.Equal(t, a.Keyword, info.Keyword)
		assert.False(t, seen[a.Tag], "%s is listed once", a.Keyword)
		seen[a.Tag] = true
	}
}

func TestEachFieldOfAStudyIsOneAttribute(t *testing.T) {
	var study Study
	fields := map[any]string{} // by address
	v := reflect.ValueOf(&study).Elem()
	for i := range v.NumField() {
		fields[v.Field(i).Addr().Interface()] = v.Type().Field(i).Name
	}
	var inOrder []string
	for _, a := range StudyAttributes() {
		require.NotEqual(t, a.Text == nil, a.List == nil, "%s has exactly one field", a.Keyword)
		var field any
		if a.Text != nil {
			field = a.Text(&study)
		} else {
			field = a.List(&study)
		}
		require.Contains(t, fields, field, "%s has a field of its own", a.Keyword)
		inOrder = append(inOrder, fields[field])
		assert.Equal(t, fields[field], a.JSON, a.Keyword)
		delete(fields, field)
	}
	assert.Empty(t, fields, "each field has an attribute")

	var declared []string
	for i := range v.NumField() {
		declared = append(declared, v.Type().Field(i).Name)
	}
	assert.Equal(t, declared, inOrder, "the order of the members of an answer")
}

func TestAttributesWithoutAMemberAreOfASeriesOrOfTheIssuer(t *testing.T) {
	for _, a := range attributes {
		isIssuer := strings.HasPrefix(a.Keyword, "IssuerOfPatientID")
		assert.Equal(t, a.JSON == "", a.Level == LevelSeries || isIssuer, a.Keyword)
		if a.JSON == "" {
			assert.Nil(t, a.Text, a.Keyword)
			assert.Nil(t, a.List, a.Keyword)
		}
	}
}

func TestStudyTextsAreReadInTheOrderOfTags(t *testing.T) {
	for i := 1; i < len(studyTexts); i++ {
		assert.Negative(t, compareTags(studyTexts[i-1].Tag, studyTexts[i].Tag), studyTexts[i].Keyword)
	}
}
