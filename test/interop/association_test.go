//go:build interop

package interop

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

// associate opens an association with a source directly.
func (s source) associate(t *testing.T, maxPDULength uint32, ts ...dataset.TransferSyntax) *dicomnet.Association {
	t.Helper()
	const d = 5 * time.Second
	cfg := dicomnet.Config{
		CalledAETitle: s.aeTitle, CallingAETitle: "INTEROP",
		Timeouts: dicomnet.Timeouts{Connection: d, ACSE: d, DIMSE: d, Move: d, Network: d},
		Limits:   dicomnet.Limits{MaxPDULength: maxPDULength},
	}
	for _, class := range []string{dicomnet.VerificationSOPClass, dicomnet.StudyRoot.Find, dicomnet.StudyRoot.Move} {
		cfg.Contexts = append(cfg.Contexts, dicomnet.Context{AbstractSyntax: class, TransferSyntaxes: ts})
	}
	assoc, err := dicomnet.Dial(t.Context(), address(s.port), cfg)
	require.NoError(t, err)
	return assoc
}

func studiesOf(patientID string) *dicom.Dataset {
	return &dicom.Dataset{Elements: []*dicom.Element{
		dataset.Text(tag.QueryRetrieveLevel, "STUDY"), dataset.Text(tag.PatientID, patientID),
		dataset.Text(tag.StudyInstanceUID), dataset.Text(tag.PatientName),
	}}
}

func TestAssociationServesSeveralOperations(t *testing.T) {
	cases := []struct {
		name         string
		maxPDULength uint32
		syntax       dataset.TransferSyntax
	}{
		{"Explicit VR", 0, dataset.ExplicitVRLittleEndian},
		{"Implicit VR", 0, dataset.ImplicitVRLittleEndian},
		{"PDUs shorter than a message", 4096, dataset.ExplicitVRLittleEndian},
	}
	for _, src := range theSite.sources {
		for _, tc := range cases {
			t.Run(src.name+"/"+tc.name, func(t *testing.T) {
				assoc := src.associate(t, tc.maxPDULength, tc.syntax)
				require.NoError(t, assoc.Echo(t.Context()))
				for range 3 {
					matches := 0
					for match, err := range assoc.Find(t.Context(), dicomnet.StudyRoot, studiesOf(demo.PatientID)) {
						require.NoError(t, err)
						assert.Equal(t, "DOE^JOHN", match.String(tag.PatientName))
						matches++
					}
					assert.Equal(t, 7, matches)
				}
				require.NoError(t, assoc.Close())
			})
		}
	}
}

func TestBreakOutOfFindKeepsTheAssociationUsable(t *testing.T) {
	for _, src := range theSite.cancelling() {
		t.Run(src.name, func(t *testing.T) {
			assoc := src.associate(t, 0, dataset.ExplicitVRLittleEndian)
			for _, err := range assoc.Find(t.Context(), dicomnet.StudyRoot, studiesOf("*")) {
				require.NoError(t, err)
				break
			}
			require.True(t, assoc.Usable())
			require.NoError(t, assoc.Echo(t.Context()))
			require.NoError(t, assoc.Close())
		})
	}
}

// cancelling returns the sources that support C-CANCEL.
func (s *site) cancelling() []source {
	return slices.DeleteFunc(slices.Clone(s.sources), func(src source) bool { return src.name == pixelMed })
}

// PixelMed's server goes on, so that the association ends: the next operation needs a new one.
func TestBreakOutOfFindLeavesAPACSWithoutCancelUsable(t *testing.T) {
	src := theSite.named(pixelMed)
	assoc := src.associate(t, 0, dataset.ExplicitVRLittleEndian)
	for _, err := range assoc.Find(t.Context(), dicomnet.StudyRoot, studiesOf("*")) {
		require.NoError(t, err)
		break
	}
	_ = assoc.Close()
	assoc = src.associate(t, 0, dataset.ExplicitVRLittleEndian)
	require.NoError(t, assoc.Echo(t.Context()))
	require.NoError(t, assoc.Close())
}

func TestBreakOutOfMoveStopsTheMove(t *testing.T) {
	const accession = "ACC-1007"
	var study dicomtest.Study
	for _, s := range demo.Studies() {
		if s.AccessionNumber == accession {
			study = s
		}
	}
	for _, src := range theSite.cancelling() {
		t.Run(src.name, func(t *testing.T) {
			dst := theSite.destinations[0]
			dst.clear(t)
			assoc := src.associate(t, 0, dataset.ExplicitVRLittleEndian)
			query := &dicom.Dataset{Elements: []*dicom.Element{
				dataset.Text(tag.QueryRetrieveLevel, "STUDY"), dataset.Text(tag.StudyInstanceUID, study.UID()),
			}}
			for _, err := range assoc.Move(t.Context(), dicomnet.StudyRoot, dst.title(), query) {
				require.NoError(t, err)
				break
			}
			assert.Less(t, len(dst.received(t)[study.UID()]), len(study.Instances()))
			require.True(t, assoc.Usable())
			require.NoError(t, assoc.Echo(t.Context()))
			require.NoError(t, assoc.Close())
		})
	}
}
