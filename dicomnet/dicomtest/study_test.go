package dicomtest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

func TestInstancesAreReproducible(t *testing.T) {
	for _, s := range demo.Studies() {
		first, second := s.Instances(), s.Instances()
		require.Len(t, second, len(first))
		for i := range first {
			want, err := first[i].Encode(dataset.ExplicitVRLittleEndian)
			require.NoError(t, err)
			got, err := second[i].Encode(dataset.ExplicitVRLittleEndian)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
	}
}

func TestInstancesHaveUniqueUIDs(t *testing.T) {
	seen := map[string]string{}
	for _, s := range demo.Studies() {
		for _, in := range s.Instances() {
			uid := in.Text(tag.SOPInstanceUID)
			assert.Regexp(t, `^2\.25\.[1-9][0-9]{1,38}$`, uid)
			assert.Empty(t, seen[uid], "%s twice", uid)
			seen[uid] = in.Text(tag.StudyInstanceUID)
			assert.Equal(t, s.UID(), seen[uid])
		}
	}
	assert.Len(t, seen, 34)
}

func TestStudyKeepsItsUID(t *testing.T) {
	s := dicomtest.Study{StudyInstanceUID: "1.2.3", PatientID: "P", Series: []dicomtest.Series{{Modality: "PT"}}}
	require.Len(t, s.Instances(), 1, "a series without a number has one instance")
	assert.Equal(t, "1.2.3", s.Instances()[0].Text(tag.StudyInstanceUID))
	assert.Equal(t, "PT", s.Instances()[0].Text(tag.Modality))
}

func TestNewInstanceRequiresUIDs(t *testing.T) {
	element := func(tg tag.Tag, value string) *dicom.Element {
		e, err := dicom.NewElement(tg, []string{value})
		require.NoError(t, err)
		return e
	}
	complete := []*dicom.Element{
		element(tag.SOPClassUID, "1.2"), element(tag.SOPInstanceUID, "1.2.3"),
		element(tag.StudyInstanceUID, "1.2.4"), element(tag.SeriesInstanceUID, "1.2.5"),
	}
	_, err := dicomtest.NewInstance(complete, nil)
	require.NoError(t, err)
	for i := range complete {
		_, err := dicomtest.NewInstance(append(complete[:i:i], complete[i+1:]...), nil)
		require.ErrorContains(t, err, "without a valid UID in "+complete[i].Tag.String())
	}
	_, err = dicomtest.NewInstance(append(complete[:3:3], element(tag.SeriesInstanceUID, "../../x")), nil)
	require.Error(t, err, "a UID names files")
}
