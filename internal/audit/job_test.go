package audit_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/principal"
)

// recordOf returns the only record that write writes.
func recordOf(t *testing.T, write func(*audit.Trail) error) message {
	t.Helper()
	var sink bytes.Buffer
	require.NoError(t, write(audit.NewTrail(audit.To(&sink, audit.Options{}))))
	var r message
	require.NoError(t, json.Unmarshal(sink.Bytes(), &r), sink.String())
	return r
}

func TestEveryRecordOfTheWorkOnAJobNamesTheJobAndWhoFiledIt(t *testing.T) {
	operation := &audit.Operation{
		Caller: principal.Principal{Key: "researcher", CorrelationID: "filing"}, PACS: audit.Node{Name: "main", Host: "pacs", Port: 104, AETitle: "PACS"},
		PatientID: "1", Job: &audit.Job{ID: "J1", Item: 7, Run: 2, Attempt: 3},
	}
	studies := slices.Values([]audit.Study{{UID: "1.2"}})
	for name, write := range map[string]func(*audit.Trail) error{
		"query": func(trail *audit.Trail) error { return trail.Queried(operation, audit.Query{}, nil, audit.Result{}) },
		"begin": func(trail *audit.Trail) error { return trail.Begun(operation, "DEST", studies) },
		"end": func(trail *audit.Trail) error {
			return trail.Transferred(operation, "DEST", studies, audit.Result{})
		},
		"forbidden": func(trail *audit.Trail) error { return trail.Forbidden(operation, "pacs_not_allowed") },
	} {
		t.Run(name, func(t *testing.T) {
			r := recordOf(t, write)
			assert.Equal(t, "filing", r.CorrelationID)
			assert.True(t, slices.ContainsFunc(r.Participants, func(p audit.Participant) bool { return p.UserID == "researcher" }))
			job := r.Objects[len(r.Objects)-1]
			assert.Equal(t, "/jobs/J1", job.ID)
			assert.Equal(t, audit.RoleJob, job.TypeCodeRole)
			assert.Equal(t, []audit.Detail{
				{Type: "item", Value: []byte("7")}, {Type: "run", Value: []byte("2")}, {Type: "attempt", Value: []byte("3")},
			}, job.Details)
		})
	}
}

func TestWhatCallersDoWithJobsIsRecorded(t *testing.T) {
	by := principal.Principal{Key: "researcher", CorrelationID: "1"}
	for request, action := range map[audit.JobRequest]string{
		audit.JobFiled: audit.Create, audit.JobCancelled: audit.Update, audit.JobRetried: audit.Update, audit.JobDeleted: audit.Delete,
	} {
		r := recordOf(t, func(trail *audit.Trail) error { return trail.JobRequested(by, request, "J1", 200) })
		assert.Equal(t, audit.OrderRecord, r.Event.ID)
		assert.Equal(t, action, r.Event.ActionCode)
		assert.Equal(t, string(request), r.Event.OutcomeDescription)
		assert.Equal(t, "researcher", r.Participants[1].UserID)
		assert.True(t, r.Participants[1].IsRequestor)
		require.Len(t, r.Objects, 1)
		assert.Equal(t, "/jobs/J1", r.Objects[0].ID)
		assert.Equal(t, []audit.Detail{{Type: "items", Value: []byte("200")}}, r.Objects[0].Details)
	}
	require.NoError(t, (*audit.Trail)(nil).JobRequested(by, audit.JobFiled, "J1", 1))
}
