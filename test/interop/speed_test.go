//go:build interop

package interop

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/demo"
)

// Without TCP_QUICKACK a delayed acknowledgement costs 40 ms a message. The limit is far from that and from the usual 1 to 2 ms.
func TestQueriesDoNotWaitForDelayedAcknowledgements(t *testing.T) {
	const requests, limit = 200, 20 * time.Millisecond
	// Without the check against the contract, which takes time.
	unchecked, err := goclient.NewClientWithResponses(theSite.gateway.URL)
	require.NoError(t, err)
	for _, src := range theSite.sources {
		for name, f := range map[string]filter{"no filter": {}, "one modality": {modalities: []string{"CT"}}} {
			t.Run(src.name+"/"+name, func(t *testing.T) {
				times := make([]time.Duration, 0, requests)
				for range requests {
					begin := time.Now()
					reply, err := unchecked.QueryWithResponse(t.Context(), nil, src.query(demo.PatientID, f))
					times = append(times, time.Since(begin))
					require.NoError(t, err)
					require.NotNil(t, reply.JSON200, string(reply.Body))
				}
				slices.Sort(times)
				median := times[requests/2]
				t.Logf("%d requests: median %v, 95th percentile %v", requests, median, times[requests*95/100])
				assert.Less(t, median, limit)
			})
		}
	}
}
