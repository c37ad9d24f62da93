package audit_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/audit"
)

func TestWhatTheStorageSCPRefusesIsASecurityAlert(t *testing.T) {
	stranger := &audit.Sender{PACS: "main", Address: "192.0.2.7", CalledAETitle: "GATEWAY", CallingAETitle: "PACS"}
	for _, test := range []struct {
		write   func(*audit.Trail) error
		kind    audit.Code
		omitted bool
	}{
		{func(trail *audit.Trail) error { return trail.AssociationRejected(stranger, "calling_ae_title", 0) }, audit.NodeAuthentication, false},
		{func(trail *audit.Trail) error { return trail.InstanceRefused(stranger, "unexpected", 7) }, audit.UseOfRestricted, true},
	} {
		var sink bytes.Buffer
		require.NoError(t, test.write(audit.NewTrail(audit.To(&sink, audit.Options{}))))
		var r message
		require.NoError(t, json.Unmarshal(sink.Bytes(), &r), sink.String())
		assert.Equal(t, audit.SecurityAlert, r.Event.ID)
		assert.Equal(t, []audit.Code{test.kind}, r.Event.TypeCodes)
		assert.Equal(t, audit.MinorFailure, r.Event.OutcomeIndicator)
		require.Len(t, r.Participants, 2)
		assert.Equal(t, "AETITLES=GATEWAY", r.Participants[0].AlternativeUserID)
		sender := r.Participants[1]
		assert.Equal(t, "192.0.2.7", sender.AccessPointID)
		assert.Equal(t, "AETITLES=PACS", sender.AlternativeUserID)
		assert.Equal(t, "main", sender.UserName)
		assert.False(t, sender.IsRequestor)
		require.Len(t, r.Objects, 1)
		assert.Equal(t, audit.Detail{Type: audit.AlertDescription, Value: []byte(r.Event.OutcomeDescription)}, r.Objects[0].Details[0])
		if test.omitted {
			assert.Equal(t, []audit.Detail{{Type: audit.OmittedAlerts, Value: []byte("7")}}, r.Objects[0].Details[1:])
		} else {
			assert.Len(t, r.Objects[0].Details, 1)
		}
	}
	require.NoError(t, (*audit.Trail)(nil).InstanceRefused(stranger, "unexpected", 0))
}
