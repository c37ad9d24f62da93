//go:build interop

package interop

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"dicom-qr-gateway/internal/demo"
)

// dcmqrscp is configured for 16 associations and rejects more.
func TestMoreCallersThanAPACSHasAssociationsAllSucceed(t *testing.T) {
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			var wait sync.WaitGroup
			for range 64 {
				wait.Go(func() {
					reply, err := theSite.gateway.client.QueryWithResponse(t.Context(), nil, src.query(demo.PatientID, filter{}))
					if !assert.NoError(t, err) || !assert.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body)) {
						return
					}
					assert.Len(t, reply.JSON200.StudyDetails, 7)
				})
			}
			wait.Wait()
		})
	}
}
