//go:build interop

package interop

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/demo"
)

// dcmqrscp compares a list of UIDs literally and Orthanc takes it for OR, so the gateway sends none.
func TestStudiesAreSelectedByUID(t *testing.T) {
	var all []string
	for _, s := range demo.Studies() {
		if s.PatientID == demo.PatientID {
			all = append(all, s.UID())
		}
	}
	dst := theSite.destinations[0]
	for _, src := range theSite.sources {
		for _, n := range []int{1, 2} {
			t.Run(src.name, func(t *testing.T) {
				r := src.query(demo.PatientID, filter{})
				r.StudyInstanceUIDs = all[:n]
				got := ask(t, r)
				assert.ElementsMatch(t, all[:n], uids(got.StudyDetails))
				src.assertWarnings(t, got.Warnings)

				dst.clear(t)
				m := src.retrieve(demo.PatientID, filter{}, dst.title())
				m.StudyInstanceUIDs = all[:n]
				reply := move(t, m)
				require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
				assertMoved(t, reply.JSON200.Retrievals, dst.received(t))
			})
		}
	}
}

// issued is a Patient ID that two hospitals gave to different patients.
const issued = "ISSUED-1"

// issuedStudy returns an instance of a study of that patient, with an Accession Number longer than SH allows.
func issuedStudy(t *testing.T, studyUID, issuer, accession string) *dicomtest.Instance {
	t.Helper()
	in, err := dicomtest.NewInstance([]*dicom.Element{
		dataset.Text(tag.SOPClassUID, "1.2.840.10008.5.1.4.1.1.7"), dataset.Text(tag.SOPInstanceUID, studyUID+".1.1"),
		dataset.Text(tag.StudyInstanceUID, studyUID), dataset.Text(tag.SeriesInstanceUID, studyUID+".1"),
		dataset.Text(tag.PatientID, issued), dataset.Text(tag.PatientName, "DOE^"+issuer), dataset.Text(tag.IssuerOfPatientID, issuer),
		dataset.Text(tag.AccessionNumber, accession), dataset.Text(tag.Modality, "OT"), dataset.Text(tag.StudyDate, "20240101"),
	}, nil)
	require.NoError(t, err)
	return in
}

func TestIssuerOfPatientIDSelectsOnePatient(t *testing.T) {
	const a, b, accession = "2.25.4711", "2.25.4712", "ACCESSION-NUMBER-OF-30-LETTERS"
	files, err := dicomtest.WriteDir(t.TempDir(), []*dicomtest.Instance{
		issuedStudy(t, a, "HOSPITAL-A", accession), issuedStudy(t, b, "HOSPITAL-B", "A-1"),
	})
	require.NoError(t, err)
	o := theSite.orthanc
	require.NoError(t, o.load(files))
	t.Cleanup(func() {
		assert.NoError(t, o.deleteStudy(a))
		assert.NoError(t, o.deleteStudy(b))
	})

	both := ask(t, o.query(issued, filter{}))
	assert.ElementsMatch(t, []string{a, b}, uids(both.StudyDetails))
	require.NotEmpty(t, both.Warnings)
	assert.Equal(t, goclient.PatientIdentityAmbiguous, both.Warnings[0].Code)

	r := o.query(issued, filter{})
	r.IssuerOfPatientID = new("HOSPITAL-B")
	one := ask(t, r)
	assert.Equal(t, []string{b}, uids(one.StudyDetails))
	assert.Empty(t, one.Warnings)

	r = o.query(issued, filter{})
	r.AccessionNumber = new(accession)
	assert.Equal(t, []string{a}, uids(ask(t, r).StudyDetails))
}
