package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/test/rig"
)

// Two requests use one association. Each log line that a request caused has its correlation ID; the end of the idle association
// belongs to no request.
func TestLogLinesOfAReusedAssociationNameTheRequest(t *testing.T) {
	pacs := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: "PACS"})
	require.NoError(t, pacs.AddStudies(demo.Studies()...))
	require.NoError(t, pacs.Listen("127.0.0.1:0"))
	_, port, err := net.SplitHostPort(pacs.Addr())
	require.NoError(t, err)
	gateway := startGateway(t, map[string]string{"ASSOCIATION_IDLE": "60", "DICOM_DEBUG": "true"})
	for _, id := range []string{"A", "B"} {
		body := fmt.Sprintf(`{"pacs_ip":"127.0.0.1","pacs_port":%s,"pacs_ae_title":"PACS","c_find_ae_title":"GATEWAY","patient_id":%q}`,
			port, demo.PatientID)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gateway.URL+"/q", strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Correlation-ID", id)
		reply, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, reply.StatusCode)
		require.NoError(t, reply.Body.Close())
		gateway.Await(t, rig.MessageOf("request", id))
	}
	gateway.Stop(t)
	require.NoError(t, pacs.Close())

	events := map[string][]string{} // PDUs, and the outcome of associations, by correlation ID
	for _, line := range gateway.Lines(nil) {
		var fields struct{ PDU, Outcome string }
		require.NoError(t, line.Decode(&fields))
		switch line.Message {
		case "pdu":
			events[line.CorrelationID] = append(events[line.CorrelationID], fields.PDU)
		case "association":
			events[line.CorrelationID] = append(events[line.CorrelationID], fields.Outcome)
		}
	}
	require.Len(t, events, 3)
	assert.Equal(t, []string{"A-ASSOCIATE-RQ", "A-ASSOCIATE-AC"}, events["A"][:2])
	assert.Equal(t, events["A"][2:], events["B"], "P-DATA-TF only")
	assert.NotContains(t, events["B"], "A-ASSOCIATE-RQ")
	assert.Equal(t, []string{"A-RELEASE-RQ", "A-RELEASE-RP", "released"}, events[""])
}
