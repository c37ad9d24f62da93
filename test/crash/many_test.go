//go:build crash

package crash

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// CRASH_TIMES=check turns the times into requirements; on a busy machine they say little.
func TestTenThousandItemsAreFiledAndListed(t *testing.T) {
	for name, shared := range map[string]bool{"embedded": false, "shared": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, shared, 1)
			o := order{PACS: pacsName, Destination: destination, NotBefore: later()}
			for i := range 10_000 {
				o.Items = append(o.Items, itemFilter{AccessionNumber: fmt.Sprintf("B%06d", i)})
			}
			began := time.Now()
			j := w.file(t, "", o)
			filing := time.Since(began)
			listed, slowest := 0, time.Duration(0)
			for offset := 0; offset < len(o.Items); offset += 100 {
				var page struct{ Items []item }
				began = time.Now()
				w.get(t, fmt.Sprintf("/jobs/%s?offset=%d&limit=100", j.ID, offset), &page)
				slowest = max(slowest, time.Since(began))
				listed += len(page.Items)
			}
			assert.Equal(t, len(o.Items), listed)
			t.Logf("10,000 items filed in %v; the slowest page of 100 took %v", filing, slowest)
			if number(t, "CRASH_TIMES", 0) > 0 {
				assert.Less(t, filing, 2*time.Second)
				assert.Less(t, slowest, 100*time.Millisecond)
			}
			began = time.Now()
			w.post(t, "/jobs/"+j.ID+"/cancel", nil)
			t.Logf("cancelled in %v", time.Since(began))
			w.checkQueues(t)
		})
	}
}
