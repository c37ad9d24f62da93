//go:build interop

package interop

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
)

// associationLines are the gateway's log lines of the associations of a request,
// once there is one.
func (g *gateway) associationLines(t *testing.T, correlationID string) (lines []map[string]any) {
	t.Helper()
	require.NoError(t, g.ready(func() error {
		lines = nil
		for line := range strings.Lines(g.written()) {
			var fields map[string]any
			if json.Unmarshal([]byte(line), &fields) == nil &&
				fields["message"] == "association" && fields["correlation_id"] == correlationID {
				lines = append(lines, fields)
			}
		}
		if len(lines) == 0 {
			return assert.AnError
		}
		return nil
	}))
	return lines
}

// dcmqrscp ignores the key and returns none, Orthanc takes a list for OR: asked
// for without a value and filtered here, both give the same studies, on one
// association each. With dcmqrscp the C-FINDs at SERIES level show.
func TestProtocol55ModalitiesAreTheSameWhateverThePACSMakesOfTheKey(t *testing.T) {
	sent := map[string]float64{}
	var found [][]string
	for _, src := range theSite.sources {
		correlationID := "protocol-55-" + src.name
		reply, err := theSite.gateway.client.QueryWithResponse(t.Context(), &goclient.QueryParams{XCorrelationID: &correlationID},
			src.query(dicomtest.DemoPatientID, filter{modalities: []string{"CT", "MR"}}))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
		found = append(found, uids(reply.JSON200.StudyDetails))
		lines := theSite.gateway.associationLines(t, correlationID)
		require.Len(t, lines, 1, src.name)
		sent[src.name] = lines[0]["pdus_sent"].(float64)
	}
	assert.Len(t, found[0], 5, "CT, MR and CT with SR")
	assert.Equal(t, found[0], found[1])
	// A-ASSOCIATE-RQ, command and identifier, A-RELEASE-RQ; then two more a study.
	assert.InDelta(t, 4, sent["Orthanc"], 0)
	assert.InDelta(t, 4+2*7, sent["dcmqrscp"], 0)
}
