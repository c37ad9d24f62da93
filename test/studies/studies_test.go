package studies_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/test/studies"
)

func TestInstanceUIDsAreUniqueAndStable(t *testing.T) {
	today := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	seen := map[string]bool{}
	for _, study := range studies.All(today) {
		for _, in := range study.Instances() {
			uid := in.Text(tag.SOPInstanceUID)
			assert.False(t, seen[uid], "%s of %s", uid, study.PatientID)
			seen[uid] = true
		}
	}
	for _, study := range studies.All(today.AddDate(1, 0, 0)) {
		for _, in := range study.Instances() {
			assert.True(t, seen[in.Text(tag.SOPInstanceUID)], study.PatientID)
		}
	}
}

func TestOnlyDatesOfTheRecentPatientAreRelativeToToday(t *testing.T) {
	today := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	dates := func(today time.Time) (recent, others []string) {
		for _, study := range studies.All(today) {
			if study.PatientID == "RECENT" {
				recent = append(recent, study.StudyDate)
			} else {
				others = append(others, study.StudyDate)
			}
		}
		return recent, others
	}
	recent, others := dates(today)
	assert.Equal(t, []string{"20260130", "20250125"}, recent)
	_, later := dates(today.AddDate(0, 1, 0))
	assert.Equal(t, others, later)
	assert.Contains(t, others, "", "a study without a date")
}

func TestTextSurvivesItsCharacterSet(t *testing.T) {
	terms := map[string]bool{}
	for _, study := range studies.All(time.Now()) {
		for _, term := range study.CharacterSet {
			terms[term] = true
		}
		first := study.Instances()[0]
		if first.TransferSyntax() != "" {
			continue
		}
		data, err := first.Encode(dataset.ExplicitVRLittleEndian)
		require.NoError(t, err, study.PatientID)
		set, err := dataset.Parse(data, dataset.ExplicitVRLittleEndian, dataset.Limits{})
		require.NoError(t, err, study.PatientID)
		assert.Equal(t, study.PatientID, set.String(tag.PatientID))
		assert.Equal(t, study.PatientName, set.String(tag.PatientName))
		assert.Equal(t, study.StudyDescription, set.String(tag.StudyDescription))
		assert.Equal(t, study.ReferringPhysicianName, set.String(tag.ReferringPhysicianName))
		assert.Equal(t, study.InstitutionName, set.String(tag.InstitutionName))
		assert.Zero(t, set.Warnings(), study.PatientID)
	}
	assert.GreaterOrEqual(t, len(terms), 17, "number of character sets")
}

func TestSlicesOfTheVolumeDifferAndAreOneVolume(t *testing.T) {
	volume := studies.Volume(4)
	instances := volume.Instances()
	require.Len(t, instances, 4)
	seen := map[string]bool{}
	for i, in := range instances {
		data, err := in.Encode(dataset.ExplicitVRLittleEndian)
		require.NoError(t, err)
		set, err := dataset.Parse(data, dataset.ExplicitVRLittleEndian, dataset.Limits{})
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf(`-191.625\-191.625\%.1f`, 0.8*float64(i)), strings.Join(set.Strings(tag.ImagePositionPatient), `\`))
		pixels := string(data[len(data)-2*512*512:])
		assert.False(t, seen[pixels], "slice %d", i)
		seen[pixels] = true
	}
}

func TestStudiesOfAPatientAgreeOnThePatient(t *testing.T) {
	byID := map[string]dicomtest.Study{}
	for _, study := range studies.All(time.Now()) {
		first, ok := byID[study.PatientID]
		if !ok {
			byID[study.PatientID] = study
			continue
		}
		assert.Equal(t, first.PatientName, study.PatientName)
		assert.Equal(t, first.PatientBirthDate, study.PatientBirthDate)
		assert.Equal(t, first.CharacterSet, study.CharacterSet)
	}
}
