package qr_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

func TestTheIdentifierOfAFilterIsWhatTheCFindAsks(t *testing.T) {
	today := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	encoded, err := Identifier(qr.Filter{PatientID: "PID-1", AccessionNumber: "ACC", MaxYearsOld: 2}, today)
	require.NoError(t, err)
	set, err := dataset.Parse(encoded, dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	assert.Equal(t, "PID-1", set.String(tag.PatientID))
	assert.Equal(t, "ACC", set.String(tag.AccessionNumber))
	assert.Equal(t, "STUDY", set.String(tag.QueryRetrieveLevel))
	assert.Equal(t, "20240301-", set.String(tag.StudyDate))

	_, err = Identifier(qr.Filter{}, today)
	assert.ErrorAs(t, err, new(*qr.FilterError))
}
