//go:build interop

package interop

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/test/rig"
)

// associationLine is what a log line says of an association that has ended.
type associationLine struct {
	Outcome  string
	PDUsSent int `json:"pdus_sent"`
}

// associationLines returns the log lines of a request's associations, as soon as there is one.
func (g *gateway) associationLines(t *testing.T, correlationID string) []associationLine {
	t.Helper()
	of := rig.MessageOf("association", correlationID)
	g.Await(t, of)
	var lines []associationLine
	for _, text := range g.Lines(of) {
		var line associationLine
		require.NoError(t, text.Decode(&line))
		lines = append(lines, line)
	}
	return lines
}

// dcmqrscp ignores Modalities in Study and does not return it; Orthanc takes a list of values for OR. The gateway asks without a
// value and filters, so that both give the same studies, on one association each. For dcmqrscp it sends a C-FIND at SERIES level
// for each study.
func TestModalitiesDoNotDependOnHowThePACSMatchesThem(t *testing.T) {
	sent := map[string]int{}
	var found [][]string
	for _, src := range theSite.sources {
		correlationID := "modalities-" + src.name
		reply, err := theSite.gateway.client.QueryWithResponse(t.Context(), &goclient.QueryParams{XCorrelationID: &correlationID},
			src.query(demo.PatientID, filter{modalities: []string{"CT", "MR"}}))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
		found = append(found, uids(reply.JSON200.StudyDetails))
		lines := theSite.gateway.associationLines(t, correlationID)
		require.Len(t, lines, 1, src.name)
		sent[src.name] = lines[0].PDUsSent
	}
	assert.Len(t, found[0], 5, "CT, MR and CT with SR")
	assert.Equal(t, found[0], found[1])
	// A-ASSOCIATE-RQ, command and identifier, A-RELEASE-RQ; then two more a study.
	assert.Equal(t, 4, sent["Orthanc"])
	assert.Equal(t, 4+2*7, sent["dcmqrscp"])
}
