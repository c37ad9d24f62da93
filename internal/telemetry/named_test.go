package telemetry

import (
	"bytes"
	"context"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
)

func TestNamedPACSHaveTheirNamesAsLabelsBeyondTheLimit(t *testing.T) {
	p := newPeers(1)
	for _, peer := range []string{"192.0.2.1:104", "192.0.2.2:104", "main", "other"} {
		p.accepted(peer)
	}
	assert.Equal(t, "192.0.2.1:104", p.label("192.0.2.1:104"))
	assert.Equal(t, "other", p.label("192.0.2.2:104"))
	assert.Equal(t, "main", p.label("main"))
	assert.Equal(t, "other (PACS_FILE)", p.label("other"), "not those without a label of their own")
	assert.Equal(t, "never-reached", p.label("never-reached"))
	assert.Equal(t, "other", p.label(""), "a request that names no PACS")
}

func TestLogOfAnAssociationHasTheNameOfThePACS(t *testing.T) {
	for _, name := range []string{"main", ""} {
		var log bytes.Buffer
		ctx := zerolog.New(&log).WithContext(context.Background())
		NewLogTrace(false, name).Ended(ctx, dicomnet.Summary{Remote: "192.0.2.1:104"})
		assert.Equal(t, name != "", bytes.Contains(log.Bytes(), []byte(`"pacs":"main"`)))
	}
}

func TestQueueOfANamedPACSHasItsName(t *testing.T) {
	tel, err := New(Options{})
	require.NoError(t, err)
	main := pool.Peer{Name: "main", Host: "192.0.2.1", Port: 104}
	_, end := tel.Step(t.Context(), pool.PeerStep{Name: pool.StepQueue, Peer: main})
	defer end(nil)
	var b bytes.Buffer
	require.NoError(t, tel.WriteMetrics(&b))
	assert.Contains(t, b.String(), `dicomqr_queue_length{peer="main"} 1`)
}
