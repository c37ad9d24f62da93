package server

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

func TestRefusedCallerLeavesAnAlert(t *testing.T) {
	r, of := startAudited(t, &fakeGateway{}, "API_KEYS_FILE", keysFile(t, keyLine("viewer", viewerKey)))
	r.post(t, "/qr", retrieveBody, "Authorization", "Bearer SECRET-KEY-wrong", "X-Correlation-ID", "order-4711")
	r.post(t, "/q", queryBody)
	all := of(t)
	require.Len(t, all, 2)
	assert.Equal(t, alertEvent, all[0].Event.ID.Code)
	assert.Equal(t, "110126", all[0].Event.Types[0].Code)
	assert.Equal(t, "4", all[0].Event.Outcome)
	assert.Equal(t, "order-4711", all[0].CorrelationID)
	assert.Equal(t, "unknown API key", all[0].Event.Description)
	assert.Equal(t, "unknown API key", all[0].details("/qr")["Alert Description"])
	assert.Equal(t, "no API key", all[1].Event.Description)
	assert.Equal(t, "127.0.0.1", all[0].Participants[1].NetworkAccessPointID)
	for _, p := range all[0].Participants {
		assert.False(t, p.UserIsRequestor)
	}
	assert.Empty(t, all[0].objectIDs("2"), "the body was not read")
}

func TestForbiddenPACSLeavesAnAlert(t *testing.T) {
	refusal := &dicomnet.OpError{Step: dicomnet.StepConnect, Err: &pool.NotAllowedError{}}
	r, of := startAudited(t, &fakeGateway{
		query:    func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) { return nil, refusal },
		retrieve: narrating(nil, refusal).retrieve,
		echo:     func(context.Context, qr.Call, qr.Peer) *qr.EchoReport { return &qr.EchoReport{Err: refusal} },
	})
	for _, call := range []struct{ path, body, patients string }{
		{"/q", queryBody, patientID},
		{"/qr", retrieveBody, patientID},
		{"/echo", strings.Replace(queryBody, `,"patient_id":"`+patientID+`"`, "", 1), ""},
	} {
		before := len(of(t))
		status, _, _ := r.post(t, call.path, call.body)
		assert.Equal(t, http.StatusForbidden, status)
		all := of(t)
		require.Len(t, all, before+1)
		alert := all[before]
		assert.Equal(t, []string{alertEvent, "110132", "pacs_not_allowed"}, []string{alert.Event.ID.Code, alert.Event.Types[0].Code, alert.Event.Description})
		assert.Equal(t, []string{"127.0.0.1:104"}, alert.objectIDs("110182"))
		assert.Equal(t, call.patients, strings.Join(alert.objectIDs("2"), " "))
	}
}
