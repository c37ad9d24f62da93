//go:build interop

package interop

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/test/rig"
)

func TestLogHoldsNoPatientData(t *testing.T) {
	patientData := map[string]string{}
	for _, src := range theSite.sources {
		for _, s := range demo.Studies() {
			ask(t, src.query(s.PatientID, filter{}))
			move(t, src.retrieve(s.PatientID, filter{maxResults: 1}, theSite.destinations[0].title()))
			move(t, src.retrieve(s.PatientID, filter{maxResults: 1}, downAETitle))
			for _, value := range []string{
				s.PatientID, s.PatientName, s.PatientBirthDate, s.AccessionNumber, s.UID(),
				s.ReferringPhysicianName, s.PerformingPhysicianName, s.StudyDescription,
				strings.SplitN(s.PatientName, "^", 2)[0], s.Instances()[0].Text(tag.SOPInstanceUID),
			} {
				patientData[value] = s.AccessionNumber
			}
		}
	}
	// When a later request is in the log, the earlier ones are too.
	marker := goclient.CorrelationID("end-of-the-privacy-test")
	_, err := theSite.gateway.client.QueryWithResponse(t.Context(), &goclient.QueryParams{XCorrelationID: &marker},
		source{"closed", "UNKNOWN", theSite.closedPort}.query("UNKNOWN", filter{}))
	require.NoError(t, err)
	theSite.gateway.Await(t, rig.MessageOf("request", marker))
	log := theSite.gateway.String()
	for value, accession := range patientData {
		assert.False(t, strings.Contains(log, value), "a value of study %s is in the log", accession)
	}
}
