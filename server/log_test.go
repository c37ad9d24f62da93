package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/telemetry"
)

// logged runs a retrieve on a server with a real gateway that log at info or debug.
func logged(t *testing.T, debug string) *running {
	t.Helper()
	p := pacsWith(2, func(a *association, n int) {
		if n == 2 {
			a.Moved(dicomnet.StatusCannotPerform, dicomtest.NoCounters, uidOf(9))
			return
		}
		a.Moving(count(1, 0, 0, 1))
		movedAll(a, 2)
	})
	trace := telemetry.NewLogTrace(debug == "true", "")
	w := gatewayTo(t, p, gatewayOptions{pool: pool.Options{Trace: func(pool.Peer) *dicomnet.Trace { return trace }}})
	r := start(t, w, "DICOM_DEBUG", debug)
	status, _, _ := r.post(t, "/qr", retrieveBody)
	require.Equal(t, http.StatusMultiStatus, status)
	require.NoError(t, w.Wait(t.Context()))
	waitForLine(t, r, "request")
	return r
}

func TestRequestAndAssociationAreOneLogLineEachWithoutPatientData(t *testing.T) {
	r := logged(t, "false")
	requests, associations := r.logs.lines(t, "request"), r.logs.lines(t, "association")
	require.Len(t, requests, 1)
	require.Len(t, associations, 1)
	assert.Equal(t, requests[0]["correlation_id"], associations[0]["correlation_id"])
	assert.Equal(t, "released", associations[0]["outcome"])
	assert.Equal(t, 2, strings.Count(r.logs.String(), requests[0]["correlation_id"].(string)), r.logs)
	for _, secret := range []string{patientID, "SECRETNAME", studyUID} {
		assert.NotContains(t, r.logs.String(), secret)
	}
}

func TestDebugLogShowsPDUsCommandsAndIdentifiers(t *testing.T) {
	r := logged(t, "true")
	pdus := map[any]bool{}
	for _, line := range r.logs.lines(t, "pdu") {
		assert.Equal(t, "debug", line["level"])
		pdus[line["pdu"]] = true
	}
	for _, name := range []string{"A-ASSOCIATE-RQ", "A-ASSOCIATE-AC", "P-DATA-TF", "A-RELEASE-RQ", "A-RELEASE-RP"} {
		assert.True(t, pdus[name], name)
	}
	commands := map[any]int{}
	for _, line := range r.logs.lines(t, "command") {
		commands[line["command"]]++
	}
	assert.Equal(t, map[any]int{"C-FIND-RQ": 1, "C-FIND-RSP": 3, "C-MOVE-RQ": 2, "C-MOVE-RSP": 3}, commands)

	identifiers := r.logs.lines(t, "identifier, holds patient data")
	require.NotEmpty(t, identifiers)
	assert.Contains(t, identifiers[0]["elements"], "(0010,0020) PatientID: "+patientID)
	assert.Contains(t, identifiers[0]["elements"], "(0008,0052) QueryRetrieveLevel: STUDY")
	assert.Contains(t, identifiers[1]["elements"], "(0010,0010) PatientName: "+patientName)
}
