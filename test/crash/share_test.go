//go:build crash

package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

const (
	sharedLimit = 6
	callers     = 300
	// answerTime is how long the PACS takes to answer a C-FIND.
	answerTime = 50 * time.Millisecond
)

// counter counts the associations that a PACS has, as it sees them: from the connection until the peer ends it or the PACS confirms the
// release.
type counter struct {
	net.Listener
	mu        sync.Mutex
	now, most int
}

func (c *counter) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now++
	c.most = max(c.most, c.now)
	return &countedConn{Conn: conn, end: sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.now--
	})}, nil
}

// seen returns the most associations at once since the last call.
func (c *counter) seen() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := c.most
	c.most = c.now
	return most
}

type countedConn struct {
	net.Conn
	end func()
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.end()
	}
	return n, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	const releaseRP = 6 // PS3.8 section 9.3.7
	if len(b) > 0 && b[0] == releaseRP {
		c.end()
	}
	return c.Conn.Write(b)
}

func (c *countedConn) Close() error {
	c.end()
	return c.Conn.Close()
}

// sharedWorld is a PACS that accepts sharedLimit associations, with gateways that do not run yet.
func sharedWorld(t *testing.T, nats *natsServer, gateways int) (*world, *counter) {
	t.Helper()
	w := &world{random: newRandom(t), dir: t.TempDir(), arrived: map[string]int{}, nats: nats}
	w.destination = &archive{port: freePort(t), config: dicomtest.PACSConfig{AETitle: destination}}
	w.destination.start(t)
	w.pacs = &archive{config: dicomtest.PACSConfig{
		AETitle: "PACS", Destinations: map[string]string{destination: w.destination.Addr()},
		Before: func(ctx context.Context, _ dicomnet.Step) { // each answer has two responses, each study two sub-operations
			select {
			case <-time.After(answerTime / 2):
			case <-ctx.Done():
			}
		},
	}}
	w.pacs.PACS = dicomtest.NewPACS(w.pacs.config)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &counter{Listener: l}
	require.NoError(t, w.pacs.Serve(c))
	t.Cleanup(func() { assert.NoError(t, w.pacs.Close()); assert.NoError(t, w.destination.Close()) })
	w.writePACS(t, fmt.Sprintf("  %s: {host: 127.0.0.1, port: %d, ae_title: PACS, calling_ae_title: GATEWAY, max_associations: %d, association_idle: 2}\n",
		pacsName, l.Addr().(*net.TCPAddr).Port, sharedLimit))
	for i := range gateways {
		g := &gateway{world: w, name: fmt.Sprintf("gateway-%d", i)}
		g.env = []string{
			fmt.Sprintf("LISTEN_ADDR=127.0.0.1:%d", freePort(t)), "PACS_FILE=" + w.path("pacs.yaml"), "CONSOLE=false", "GATEWAY_NAME=" + g.name,
			"QUEUE_TIMEOUT=60", "OPERATION_TIMEOUT=90", "MAX_OPERATIONS=1000", "DRAIN_TIMEOUT=2",
		}
		if nats != nil {
			g.env = append(g.env, "NATS_URL="+nats.url())
		}
		w.gateways = append(w.gateways, g)
		require.NoError(t, g.start())
		t.Cleanup(func() { g.end(t) })
	}
	return w, c
}

// crowd queries through the gateways until stop is called.
type crowd struct {
	mu     sync.Mutex
	taken  []time.Duration // by the answers since the last reading
	failed map[string]int
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

var many = &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: callers}}

// crowd begins n callers, who are spread over the gateways.
func (w *world) crowd(t *testing.T, n int, patient string) *crowd {
	t.Helper()
	c := &crowd{failed: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	c.cancel = cancel
	body, err := json.Marshal(map[string]string{"pacs": pacsName, "patient_id": patient})
	require.NoError(t, err)
	for i := range n {
		g := w.gateways[i%len(w.gateways)]
		c.wait.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				if err := ask(ctx, g.url()+"/q", body); err == nil {
					c.note(time.Since(began), "")
				} else if ctx.Err() == nil {
					c.note(0, err.Error())
					time.Sleep(200 * time.Millisecond)
				}
			}
		})
	}
	return c
}

func ask(ctx context.Context, url string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := many.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return &statusError{response.StatusCode, string(b)}
	}
	return nil
}

func (c *crowd) note(taken time.Duration, fault string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fault != "" {
		c.failed[fault]++
		return
	}
	c.taken = append(c.taken, taken)
}

// measure returns the answers a second and the median of their times over a while from now on.
func (c *crowd) measure(d time.Duration) (rate float64, median time.Duration) {
	c.mu.Lock()
	c.taken = nil
	c.mu.Unlock()
	time.Sleep(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.taken) == 0 {
		return 0, 0
	}
	slices.Sort(c.taken)
	return float64(len(c.taken)) / d.Seconds(), c.taken[len(c.taken)/2]
}

func (c *crowd) stop() {
	c.cancel()
	c.wait.Wait()
}

// while is how long each measurement takes.
const while = 15 * time.Second

func TestGatewaysShareTheAssociationsOfAPACS(t *testing.T) {
	alone, seen := sharedWorld(t, nil, 1)
	studies := alone.newStudies(t, 1)
	crowd := alone.crowd(t, callers, studies[0].PatientID)
	crowd.measure(3 * time.Second)
	one, oneMedian := crowd.measure(while)
	crowd.stop()
	assert.Equal(t, sharedLimit, seen.seen())
	t.Logf("one gateway: %.0f answers a second, median %v", one, oneMedian)

	w, seen := sharedWorld(t, startNATS(t), 3)
	studies = w.newStudies(t, 100)
	crowd = w.crowd(t, callers, studies[0].PatientID)
	defer crowd.stop()
	crowd.measure(10 * time.Second)
	three, median := crowd.measure(while)
	t.Logf("three gateways: %.0f answers a second, median %v", three, median)
	assert.Greater(t, three, 0.9*one)
	assert.Equal(t, sharedLimit, seen.seen())

	j := w.file(t, "", order{PACS: pacsName, Destination: destination, Items: itemsOf(studies)})
	beside, besideMedian := crowd.measure(while)
	t.Logf("beside a batch: %.0f answers a second, median %v", beside, besideMedian)
	assert.Less(t, besideMedian, median*3/2)
	assert.LessOrEqual(t, seen.seen(), sharedLimit)
	assert.Empty(t, crowd.failed)
	w.trouble(t, seen)
	crowd.stop()

	// The batch runs while few callers leave room for it.
	few := w.crowd(t, 4, studies[0].PatientID)
	defer few.stop()
	more := w.newStudies(t, 600)
	other := w.file(t, "", order{PACS: pacsName, Destination: destination, Items: itemsOf(more)})
	time.Sleep(5 * time.Second)
	w.trouble(t, seen)
	few.stop()
	moved := w.job(t, other.ID).Counts.Moved
	t.Logf("the batch had moved %d studies beside few callers", moved)
	assert.Positive(t, moved)
	w.end(t, j.ID)
	w.end(t, other.ID)
	assert.LessOrEqual(t, seen.seen(), sharedLimit)
	for _, it := range w.items(t, j.ID) {
		assert.Equal(t, "moved", it.State)
	}
}

// trouble kills and freezes gateways and stops NATS, each time with another one of them.
func (w *world) trouble(t *testing.T, seen *counter) {
	t.Helper()
	for _, event := range []struct {
		name string
		do   func()
	}{
		{"a gateway was killed", func() {
			w.gateways[0].kill()
			time.Sleep(w.random.upTo(3 * time.Second))
			require.NoError(t, w.gateways[0].start())
		}},
		{"a gateway was frozen", func() {
			frozen := w.gateways[1].current()
			require.NoError(t, frozen.Signal(syscall.SIGSTOP))
			time.Sleep(14 * time.Second)
			require.NoError(t, frozen.Signal(syscall.SIGCONT))
		}},
		{"NATS was away for a moment", func() {
			w.nats.Kill()
			time.Sleep(5 * time.Second)
			w.nats.start(t)
		}},
		{"NATS was away", func() {
			w.nats.Kill()
			time.Sleep(25 * time.Second)
			w.nats.start(t)
		}},
	} {
		event.do()
		time.Sleep(8 * time.Second)
		most := seen.seen()
		t.Logf("%s: at most %d associations", event.name, most)
		assert.LessOrEqual(t, most, sharedLimit, event.name)
	}
}
