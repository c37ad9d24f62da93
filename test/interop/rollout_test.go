//go:build interop

package interop

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

// callers send queries until they are stopped, each on a new connection.
type callers struct {
	statuses map[int]int
	mu       sync.Mutex
	answered atomic.Int64
	leave    atomic.Bool
	wait     sync.WaitGroup
}

func startCallers(t *testing.T, n int, url string, s source) *callers {
	t.Helper()
	c := &callers{statuses: map[int]int{}}
	httpClient := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range n {
		c.wait.Go(func() {
			for !c.leave.Load() {
				response, err := httpClient.Post(url+"/q", "application/json", s.body(t, ""))
				if !assert.NoError(t, err) {
					return
				}
				_ = response.Body.Close()
				c.mu.Lock()
				c.statuses[response.StatusCode]++
				c.mu.Unlock()
				c.answered.Add(1)
			}
		})
	}
	return c
}

// more waits for n further responses.
func (c *callers) more(t *testing.T, p *rig.Process, n int64) {
	t.Helper()
	want := c.answered.Load() + n
	require.NoError(t, p.Ready(func() error {
		if got := c.answered.Load(); got < want {
			return fmt.Errorf("%d of %d answers", got, want)
		}
		return nil
	}))
}

// stop stops the callers and returns the number of responses by status.
func (c *callers) stop() map[int]int {
	c.leave.Store(true)
	c.wait.Wait()
	return c.statuses
}

// As in samples/kubernetes, a replica first gets no more requests and then SIGTERM. Requests that run there, an event stream too,
// are completed.
func TestRolloutDisturbsNoCaller(t *testing.T) {
	pacs, r := newHeldPACS(t), startReplicas(t, 3, "DRAIN_TIMEOUT=60", "MOVE_TIMEOUT=60")
	asking := startCallers(t, 4, r.url, pacs.source)
	for i, old := range r.gateways {
		asking.more(t, r.nginx, 20)
		midway, drained, ended := make(chan struct{}), make(chan struct{}), make(chan []string)
		go func() {
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			seen := 0
			names, err := events(t, http.DefaultClient, post(ctx, t, old.URL, pacs), func(e event) {
				if seen++; seen == 2 {
					close(midway)
					<-drained
				}
				pacs.turn(e)
			})
			assert.NoError(t, err)
			ended <- names
		}()
		soon(t, midway, "the retrieve does not begin")

		r.serve(t, i, false)
		require.NoError(t, old.Signal(syscall.SIGTERM))
		old.Await(t, rig.Message("draining"))
		asking.more(t, r.nginx, 20)
		close(drained)
		assert.Equal(t, whole, <-ended)
		soon(t, old.Ended(), "the gateway does not stop, although nothing runs there")
		assert.Contains(t, old.String(), `"clean":true`)

		r.start(t, i, portOf(t, old.URL))
		r.serve(t, i, true)
	}
	asking.more(t, r.nginx, 20)
	statuses := asking.stop()
	assert.Len(t, statuses, 1)
	assert.Positive(t, statuses[http.StatusOK])
	t.Logf("%v while three replicas were replaced one after the other", statuses)
}
