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
	"dicom-qr-gateway/qr"
)

// slowly moves n instances, one every pause.
func slowly(n int, pause time.Duration) func(*association, int) {
	return func(a *association, _ int) {
		for i := range n {
			dicomtest.Wait(pause)
			a.moving(counters{i + 1, 0, 0, n - i - 1})
		}
		a.moved(n)
	}
}

func TestAMoveThatTakesThreeTimesTheTimeoutsSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{studies: 1, move: slowly(15, 2*time.Second)}
		r := startInMemory(t, p.gateway(t, qr.Options{}))
		begin := time.Now()
		reply, err := r.api.RetrieveWithResponse(t.Context(), nil, retrieveRequest())
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, reply.StatusCode(), "%s", reply.Body)
		assert.Equal(t, []string{"1 ok 0000 15/0/0"}, linesOf(reply.JSON200.Retrievals))
		assert.Equal(t, 30*time.Second, time.Since(begin))
	})
}

func TestProgressComesAsItIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacs{studies: 2, move: slowly(15, 2*time.Second)}
		r := startInMemory(t, p.gateway(t, qr.Options{}))
		response := r.stream(t, t.Context())
		defer response.Body.Close()
		begin, told := time.Now(), 0
		var last event
		require.NoError(t, follow(t, response.Body, func(e event) {
			if last = e; e.name != "progress" {
				return
			}
			e.valid(t, "ProgressEvent")
			var progress goclient.ProgressEvent
			require.NoError(t, json.Unmarshal([]byte(e.data), &progress))
			told++
			assert.Equal(t, time.Duration(told)*2*time.Second, time.Since(begin), "at once, not when a buffer is full")
			assert.Equal(t, told, progress.CompletedTotal)
			assert.Equal(t, (told+14)/15, progress.StudyIndex)
			assert.Equal(t, 2, progress.StudyCount)
		}))
		assert.Equal(t, 30, told)
		assert.Equal(t, "result", last.name)
		last.valid(t, "ResultEvent")
	})
}

func TestAStreamIsNeverSilentFor15Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const silence = 5 * time.Minute
		p := &pacs{studies: 1, move: slowly(1, silence)}
		r := startInMemory(t, p.gateway(t, qr.Options{Timeouts: dicomnet.Timeouts{Move: time.Hour}}))
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

// A heartbeat that is due at the very moment of the end does not come behind it.
func TestNothingComesBehindTheLastEvent(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			w := httptest.NewRecorder()
			require.NoError(t, streaming(t.Context(), w, &fakeGateway{retrieve: func(
				_ context.Context, _ qr.Peer, _ qr.Filter, _ string, p qr.Progress,
			) (*qr.RetrieveResult, error) {
				p.Matched([]qr.Study{study(studyUID)}, nil)
				time.Sleep(heartbeatInterval)
				return outcome(nil, moved(1)), nil
			}}))
			all := events(t, w.Body)
			assert.Equal(t, "result", all[len(all)-1].name)
		})
	}
}

// heap is what is in use now.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// through makes a gateway whose connection to the PACS has buffers as small as a
// socket's, so that what the PACS sends is not what grows.
func (p *pacs) through(t *testing.T, o qr.Options) *qr.Gateway {
	t.Helper()
	o.DialContext = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := dicomtest.Pipe(64 << 10)
		p.script.Go(theirs)
		return ours, nil
	}
	return p.gateway(t, o)
}

func TestMemoryDoesNotGrowWithProgress(t *testing.T) {
	const early, late, most = 1_000, 100_000, 1 << 20
	var before, after int64
	p := &pacs{studies: 1, move: func(a *association, _ int) {
		for i := range late {
			a.moving(counters{i % 60000, 0, 0, 1})
			if i == early {
				before = heap()
			}
		}
		after = heap()
		a.moved(1)
	}}
	r := start(t, p.through(t, qr.Options{}))
	response := r.stream(t, t.Context())
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	assert.Greater(t, n, int64(late*150), "each of them was streamed")
	t.Logf("heap after %d events %d KiB, after %d %d KiB; %d MiB streamed", early, before>>10, late, after>>10, n>>20)
	assert.Less(t, after-before, int64(most))
}

func TestMemoryDoesNotGrowWithMatchesBeyondTheAnswer(t *testing.T) {
	const early, late, most = 1_000, 50_000, 1 << 20
	var before, after int64
	p := &pacs{find: func(a *association) {
		a.match(match(1))
		for i := range late {
			a.match(match(2).with(tag.StudyInstanceUID, "1.2."+strconv.Itoa(i)))
			if i == early {
				before = heap()
			}
		}
		after = heap()
		a.done(dicomnet.StatusSuccess)
	}}
	r := start(t, p.through(t, qr.Options{MaxMatches: 2 * late}))
	query := queryRequest()
	query.StudyInstanceUIDs = goclient.StudyInstanceUIDs{uidOf(1)}
	reply, err := r.api.QueryWithResponse(t.Context(), nil, query)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, reply.StatusCode(), "%s", reply.Body)
	assert.Len(t, reply.JSON200.StudyDetails, 1)
	t.Logf("heap after %d matches %d KiB, after %d %d KiB", early, before>>10, late, after>>10)
	assert.Less(t, after-before, int64(most))
}
