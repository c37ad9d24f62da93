//go:build interop

package interop

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

// unfilteredPACS starts a PACS in memory that returns the studies of all patients for any Patient ID, which neither DCMTK nor Orthanc
// can be configured to do.
func unfilteredPACS(t *testing.T, dst *dicomtest.PACS) source {
	t.Helper()
	pacs := dicomtest.NewPACS(dicomtest.PACSConfig{
		AETitle: "UNFILTERED", IgnoreKeys: []tag.Tag{tag.PatientID},
		Destinations: map[string]string{"DEST": dst.Addr()},
	})
	require.NoError(t, pacs.AddStudies(demo.Studies()...))
	require.NoError(t, pacs.Listen("127.0.0.1:0"))
	t.Cleanup(func() { assert.NoError(t, pacs.Close()) })
	_, port, err := net.SplitHostPort(pacs.Addr())
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	return source{"in memory", "UNFILTERED", n}
}
