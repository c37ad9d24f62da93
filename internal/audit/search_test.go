package audit_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/audit"
)

// searched returns the record of a search.
func searched(t *testing.T, queries *audit.Queries) message {
	t.Helper()
	var sink bytes.Buffer
	log := audit.To(&sink, audit.Options{})
	trail := audit.NewTrail(log)
	require.NoError(t, trail.Searched(&audit.Operation{PACS: audit.Node{Host: "pacs", Port: 104, AETitle: "PACS"}}, queries, audit.Result{Outcome: audit.Success}))
	var r message
	require.NoError(t, json.Unmarshal(sink.Bytes(), &r), sink.String())
	return r
}

func TestTheRecordOfASearchHoldsWhatWasSent(t *testing.T) {
	queries := &audit.Queries{}
	queries.Add(audit.Query{SOPClassUID: "1.2", TransferSyntax: "1.2.3", Identifier: []byte("first")})
	queries.Add(audit.Query{SOPClassUID: "1.2", TransferSyntax: "1.2.3", Identifier: []byte("second")})
	r := searched(t, queries)
	assert.Equal(t, audit.QueryEvent, r.Event.ID)
	require.Len(t, r.Objects, 2, "no patient")
	assert.Equal(t, "first", string(r.Objects[0].Query))
	assert.Equal(t, "second", string(r.Objects[1].Query))
}

func TestTheRecordOfASearchIsBounded(t *testing.T) {
	queries := &audit.Queries{}
	for range 100 {
		queries.Add(audit.Query{Identifier: make([]byte, 10<<10)})
	}
	assert.Len(t, queries.Sent, 25)
	last := searched(t, queries).Objects[24]
	assert.Equal(t, audit.Detail{Type: "queries_omitted", Value: []byte("75")}, last.Details[len(last.Details)-1])
}

func TestNothingIsRecordedWithoutATrail(t *testing.T) {
	var trail *audit.Trail
	assert.NoError(t, trail.Searched(&audit.Operation{}, &audit.Queries{}, audit.Result{}))
}
