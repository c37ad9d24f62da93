package dataset_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet/dataset"
)

func TestBytesReferToTheBuffer(t *testing.T) {
	t.Parallel()
	b := []byte(element(tag.PatientID, "P1"))
	set, err := dataset.Parse(b, dataset.ImplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	value, _ := set.Bytes(tag.PatientID)
	b[9] = '2'
	assert.Equal(t, "P2", string(value))
	assert.Equal(t, 2, cap(value), "appending must not overwrite the next element")
}

func TestElementsAreFoundInAnyOrder(t *testing.T) {
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
