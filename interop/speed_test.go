//go:build interop

package interop

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// A wait for a delayed acknowledgement costs 40 ms a message (TCP_QUICKACK is
// what prevents it), so the limit lies far from both that and the usual 1-2 ms.
func TestTheMedianOfAQueryHasNoDelayedAcknowledgementInIt(t *testing.T) {
	const requests, limit = 200, 20 * time.Millisecond
	for _, src := range theSite.sources {
		for name, f := range map[string]filter{"no filter": {}, "one modality": {modalities: []string{"CT"}}} {
			t.Run(src.name+"/"+name, func(t *testing.T) {
				times := make([]time.Duration, 0, requests)
				for range requests {
					begin := time.Now()
					ask(t, src.query(dicomtest.DemoPatientID, f))
					times = append(times, time.Since(begin))
				}
				slices.Sort(times)
				median := times[requests/2]
				t.Logf("%d requests: median %v, 95th percentile %v", requests, median, times[requests*95/100])
				assert.Less(t, median, limit)
			})
		}
	}
}
