package batch_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/server/batch"
)

func TestAnItemReportsWhatAProblemDocumentWouldSay(t *testing.T) {
	f := batch.Failure(t.Context(), &dicomnet.StatusError{Op: dicomnet.StepMove, Status: 0xa801}, false)
	assert.Equal(t, "move_destination_unknown", f.Code)
	assert.NotEmpty(t, f.Title)
	assert.NotEmpty(t, f.Hint)
	assert.Equal(t, &jobs.DICOMFault{Step: "move", Status: "A801", Meaning: f.DICOM.Meaning}, f.DICOM)

	f = batch.Failure(t.Context(), errors.New("secret"), false)
	assert.Equal(t, "internal_error", f.Code)
	assert.NotContains(t, f.Detail, "secret")
	assert.Nil(t, f.DICOM)
}

func TestRecordsOfJobsHaveTheCodesOfProblems(t *testing.T) {
	assert.Equal(t, "internal_error", batch.Codes{}.Of(t.Context(), errors.New("secret")))
	assert.Equal(t, "move_failed", batch.Codes{}.NothingMoved(t.Context(), nil))
}
