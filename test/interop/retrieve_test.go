//go:build interop

package interop

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/demo"
)

// move calls /qr and returns the response with any status.
func move(t *testing.T, r goclient.RetrieveRequest) *goclient.RetrieveReply {
	t.Helper()
	reply, err := theSite.gateway.client.RetrieveWithResponse(t.Context(), nil, r)
	require.NoError(t, err)
	return reply
}

func TestRetrieveMovesEveryInstanceOfEveryMatchingStudy(t *testing.T) {
	cases := []struct {
		name    string
		filter  filter
		studies int
	}{
		{"all studies", filter{}, 7},
		{"two modalities of the last ten years", filter{modalities: []string{"CT", "MR"}, maxYearsOld: 10}, 3},
		{"the latest study", filter{maxResults: 1}, 1},
	}
	for _, src := range theSite.sources {
		for _, dst := range theSite.destinations {
			for _, tc := range cases {
				t.Run(src.name+" to "+dst.title()+"/"+tc.name, func(t *testing.T) {
					dst.clear(t)
					want := src.reference(t, demo.PatientID, tc.filter)
					require.Len(t, want, tc.studies)

					reply := move(t, src.retrieve(demo.PatientID, tc.filter, dst.title()))

					require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
					got := reply.JSON200
					assert.Equal(t, goclient.RetrieveResponseStatusOk, got.Status)
					assert.Equal(t, tc.studies, got.SuccessCount)
					assert.Equal(t, tc.studies, got.TotalCount)
					assert.Equal(t, uids(want), uids(got.StudyDetails))
					assertMoved(t, got.Retrievals, dst.received(t))
				})
			}
		}
	}
}

// assertMoved requires that all instances of the studies of the retrievals arrived, and nothing else, and that the retrievals
// report it.
func assertMoved(t *testing.T, retrievals []goclient.Retrieval, received map[string][]string) {
	t.Helper()
	assert.Len(t, received, len(retrievals), "studies that arrived")
	for _, r := range retrievals {
		want := instances(r.StudyInstanceUID)
		assert.Equal(t, want, slices.Sorted(slices.Values(received[r.StudyInstanceUID])))
		assert.Equal(t, goclient.RetrievalStatusOk, r.Status)
		assert.Equal(t, "0000", r.DICOMStatus)
		if assert.NotNil(t, r.Completed, "both peers send counters") {
			assert.Equal(t, len(want), *r.Completed)
		}
		assert.Empty(t, r.FailedSOPInstanceUIDs)
	}
}

func TestRetrieveMovesNoOtherPatient(t *testing.T) {
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			dst := theSite.destinations[0]
			dst.clear(t)
			reply := move(t, src.retrieve(demo.PatientID, filter{}, dst.title()))
			require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
			received := dst.received(t)
			for _, s := range demo.Studies() {
				assert.Equal(t, s.PatientID == demo.PatientID, len(received[s.UID()]) > 0, s.AccessionNumber)
			}
		})
	}
}

// The gateway must drop studies of other patients even if the PACS returns them.
func TestStudyOfAnotherPatientIsNeitherReturnedNorMoved(t *testing.T) {
	dst := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: "DEST"})
	require.NoError(t, dst.Listen("127.0.0.1:0"))
	defer func() { assert.NoError(t, dst.Close()) }()
	src := unfilteredPACS(t, dst)

	got := ask(t, src.query(demo.PatientID, filter{}))
	require.Len(t, got.StudyDetails, 7)
	for _, s := range got.StudyDetails {
		assert.Equal(t, demo.PatientID, s.PatientID)
	}
	require.Len(t, got.Warnings, 1)
	assert.Equal(t, goclient.WarningCode("other_patient_dropped"), got.Warnings[0].Code)

	reply := move(t, src.retrieve(demo.PatientID, filter{}, "DEST"))
	require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
	for _, s := range demo.Studies() {
		want := 0
		if s.PatientID == demo.PatientID {
			want = len(s.Instances())
		}
		assert.Equal(t, want, dst.StudyInstances(s.UID()), s.AccessionNumber)
	}
}
