package server

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// slowly moves n instances, one after each pause.
func slowly(n int, pause time.Duration) func(*association, int) {
	return func(a *association, _ int) {
		for i := range n {
			dicomtest.Wait(pause)
			a.Moving(count(i+1, 0, 0, n-i-1))
		}
		movedAll(a, n)
	}
}

func TestMoveLongerThanTheTimeoutsSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pacsWith(1, slowly(15, 2*time.Second))
		r := startInMemory(t, gatewayTo(t, p, gatewayOptions{}))
		begin := time.Now()
		reply, err := r.api.RetrieveWithResponse(t.Context(), nil, retrieveRequest())
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, reply.StatusCode(), "%s", reply.Body)
		assert.Equal(t, []string{"1 ok 0000 15/0/0"}, linesOf(reply.JSON200.Retrievals))
		assert.Equal(t, 30*time.Second, time.Since(begin))
	})
}

func TestProgressEventsAreSentAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pacsWith(2, slowly(15, 2*time.Second))
		r := startInMemory(t, gatewayTo(t, p, gatewayOptions{}))
		response := r.stream(t, t.Context())
		defer response.Body.Close()
		begin, received := time.Now(), 0
		var last event
		require.NoError(t, follow(t, response.Body, func(e event) {
			if last = e; e.name != "progress" {
				return
			}
			e.valid(t, "ProgressEvent")
			var progress goclient.ProgressEvent
			require.NoError(t, json.Unmarshal([]byte(e.data), &progress))
			received++
			assert.Equal(t, time.Duration(received)*2*time.Second, time.Since(begin), "immediately, not when a buffer is full")
			assert.Equal(t, received, progress.CompletedTotal)
			assert.Equal(t, (received+14)/15, progress.StudyIndex)
			assert.Equal(t, 2, progress.StudyCount)
		}))
		assert.Equal(t, 30, received)
		assert.Equal(t, "result", last.name)
		last.valid(t, "ResultEvent")
	})
}

func TestStreamIsNeverSilentFor15Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const silence = 5 * time.Minute
		p := pacsWith(1, slowly(1, silence))
		r := startInMemory(t, gatewayTo(t, p, gatewayOptions{pool: pool.Options{Timeouts: dicomnet.Timeouts{Move: time.Hour}}}))
		response := r.stream(t, t.Context())
		defer response.Body.Close()
		latest, comments := time.Now(), 0
		var last event
		require.NoError(t, follow(t, response.Body, func(e event) {
			assert.LessOrEqual(t, time.Since(latest), 15*time.Second)
			latest, last = time.Now(), e
			if e.name == "" {
				comments++
			}
		}))
		assert.GreaterOrEqual(t, comments, int(silence/(15*time.Second)))
		assert.Equal(t, "result", last.name)
	})
}

// A heartbeat that is due at the moment of the end must not follow the last event.
func TestNothingFollowsTheLastEvent(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			w := httptest.NewRecorder()
			require.NoError(t, streaming(t.Context(), w, &fakeGateway{retrieve: func(_ context.Context, c qr.Call, _ qr.Peer, _ qr.Filter, _ string) (*qr.RetrieveResult, error) {
				_ = c.Observer.Matched([]qr.Study{study(studyUID)}, nil)
				time.Sleep(heartbeatInterval)
				return outcome(nil, moved(1)), nil
			}}))
			all := events(t, w.Body)
			assert.Equal(t, "result", all[len(all)-1].name)
		})
	}
}

// heap returns the size of the live heap.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// through returns a gateway whose connection to the PACS has buffers as small as those of a socket, so that data that the PACS has
// sent does not count as growth.
func through(t *testing.T, p *dicomtest.ScriptedPACS, o gatewayOptions) realGateway {
	t.Helper()
	o.pool.DialContext = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := dicomtest.Pipe(64 << 10)
		p.Go(theirs)
		return ours, nil
	}
	return gatewayTo(t, p, o)
}

func TestMemoryDoesNotGrowWithProgress(t *testing.T) {
	const early, late, most = 1_000, 100_000, 1 << 20
	var before, after int64
	p := pacsWith(1, func(a *association, _ int) {
		for i := range late {
			a.Moving(count(i%60000, 0, 0, 1))
			if i == early {
				before = heap()
			}
		}
		after = heap()
		movedAll(a, 1)
	})
	r := start(t, through(t, p, gatewayOptions{}))
	response := r.stream(t, t.Context())
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	assert.Greater(t, n, int64(late*150), "all events were streamed")
	t.Logf("heap after %d events %d KiB, after %d %d KiB; %d MiB streamed", early, before>>10, late, after>>10, n>>20)
	assert.Less(t, after-before, int64(most))
}

func TestMemoryDoesNotGrowWithMatchesBeyondTheAnswer(t *testing.T) {
	const early, late, most = 1_000, 50_000, 1 << 20
	var before, after int64
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
		a.Match(match(1))
		for i := range late {
			a.Match(match(2).With(tag.StudyInstanceUID, "1.2."+strconv.Itoa(i)))
			if i == early {
				before = heap()
			}
		}
		after = heap()
		a.Finish(dicomnet.StatusSuccess)
	}}
	r := start(t, through(t, p, gatewayOptions{qr: qr.Options{MaxMatches: 2 * late}}))
	query := queryRequest()
	query.StudyInstanceUIDs = goclient.StudyInstanceUIDs{uidOf(1)}
	reply, err := r.api.QueryWithResponse(t.Context(), nil, query)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, reply.StatusCode(), "%s", reply.Body)
	assert.Len(t, reply.JSON200.StudyDetails, 1)
	t.Logf("heap after %d matches %d KiB, after %d %d KiB", early, before>>10, late, after>>10)
	assert.Less(t, after-before, int64(most))
}
