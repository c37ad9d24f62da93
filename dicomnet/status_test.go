package dicomnet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
)

func TestStatusMeanings(t *testing.T) {
	for _, test := range []struct {
		status dicomnet.Status
		op     dicomnet.Step
		want   string
	}{
		{0xB000, dicomnet.StepMove, "sub-operations complete, one or more failures or warnings"},
		{0xA702, dicomnet.StepMove, "refused: out of resources, unable to perform sub-operations"},
		{0xFE00, dicomnet.StepEcho, "cancelled"},
		{0xFF01, dicomnet.StepFind, "pending, optional keys are not supported"},
		{0x0000, dicomnet.StepFind, "success"},
		{0x0107, dicomnet.StepStore, "attribute list error"},
	} {
		require.Equal(t, test.want, test.status.Meaning(test.op), "%s %s", test.op, test.status)
	}
	require.Equal(t, dicomnet.ClassWarning, dicomnet.Status(0x0107).Class())
}
