package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/audit"
)

// pipe is a writer that fails with err after the first bytes of a write.
type pipe struct {
	bytes.Buffer
	takes int
	err   error
}

func (p *pipe) Write(b []byte) (int, error) {
	if p.err == nil {
		return p.Buffer.Write(b)
	}
	n, _ := p.Buffer.Write(b[:min(p.takes, len(b))])
	return n, p.err
}

func numbered(id string) *audit.Record { return &audit.Record{CorrelationID: id} }

// ids returns the IDs of the complete records in text, and ignores other lines.
func ids(text string) string {
	var all []string
	for line := range strings.Lines(text) {
		var r struct {
			ID string `json:"correlation_id"`
		}
		if json.Unmarshal([]byte(line), &r) == nil && r.ID != "" {
			all = append(all, r.ID)
		}
	}
	return strings.Join(all, " ")
}

var errFull = errors.New("no space")

func TestRecordsThatFailedAreWrittenFirst(t *testing.T) {
	sink := &pipe{}
	log := audit.To(sink, audit.Options{})
	require.NoError(t, log.Write(numbered("1")))
	sink.err = errFull
	require.ErrorIs(t, log.Write(numbered("2")), errFull)
	require.ErrorIs(t, log.Write(numbered("3")), errFull)
	require.ErrorIs(t, log.Ready(), errFull)
	assert.Equal(t, "1", ids(sink.String()))
	sink.err = nil
	require.NoError(t, log.Write(numbered("4")))
	require.NoError(t, log.Ready())
	assert.Equal(t, "1 2 3 4", ids(sink.String()))
}

func TestTruncatedRecordIsWrittenAgain(t *testing.T) {
	sink := &pipe{takes: 7, err: errFull}
	log := audit.To(sink, audit.Options{})
	require.ErrorIs(t, log.Write(numbered("1")), errFull)
	sink.takes = 0
	require.ErrorIs(t, log.Ready(), errFull)
	sink.err = nil
	require.NoError(t, log.Write(numbered("2")))
	assert.Equal(t, "1 2", ids(sink.String()), "on a line of its own")
	assert.Equal(t, 3, strings.Count(sink.String(), "\n"))
}

func TestPendingRecordsAreLimited(t *testing.T) {
	sink := &pipe{err: errFull}
	log := audit.To(sink, audit.Options{})
	lost := 0
	for range 1500 {
		if err := log.Write(numbered("x")); errors.Is(err, audit.ErrFull) {
			lost++
		}
	}
	assert.Equal(t, 500, lost)
	require.ErrorContains(t, log.Close(t.Context()), "1000 records lost: no space")
}

func TestFileIsAppendedToAndFollowedByName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.WriteFile(path, []byte("before\n"), 0o600))
	log, err := audit.Open(path, audit.Options{})
	require.NoError(t, err)
	require.NoError(t, log.Write(numbered("1")))

	require.NoError(t, os.Rename(path, path+".1"))
	require.NoError(t, log.Reopen())
	require.NoError(t, log.Write(numbered("2")))
	require.NoError(t, os.Rename(path, path+".2"))
	require.NoError(t, log.Write(numbered("3")), "the log notices a new file by itself")
	require.NoError(t, log.Reopen())
	require.NoError(t, log.Close(t.Context()))
	for suffix, want := range map[string]string{".1": "1", ".2": "2", "": "3"} {
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		assert.Equal(t, want, ids(string(content)))
	}

	_, err = audit.Open(filepath.Join(path, "no directory"), audit.Options{})
	require.Error(t, err)
}

func TestRecordsDoNotEscapeHTML(t *testing.T) {
	sink := &pipe{}
	require.NoError(t, audit.To(sink, audit.Options{}).Write(numbered("<&>")))
	assert.Contains(t, sink.String(), `"<&>"`)
}

// blocking is a sink that blocks until it is opened.
type blocking struct {
	pipe
	open chan struct{}
}

func (b *blocking) Write(p []byte) (int, error) {
	<-b.open
	return b.pipe.Write(p)
}

func TestBlockedSinkFailsAfterTheTimeoutAndThenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &blocking{open: make(chan struct{})}
		log := audit.To(sink, audit.Options{})
		began := time.Now()
		require.ErrorIs(t, log.Write(numbered("1")), audit.ErrBlocked)
		assert.Equal(t, 5*time.Second, time.Since(began))
		time.Sleep(time.Millisecond)
		began = time.Now()
		require.ErrorIs(t, log.Ready(), audit.ErrBlocked)
		require.ErrorIs(t, log.Write(numbered("2")), audit.ErrBlocked)
		require.ErrorIs(t, log.Reopen(), audit.ErrBlocked)
		assert.Zero(t, time.Since(began), "the sink is known to block")

		close(sink.open)
		synctest.Wait()
		require.NoError(t, log.Write(numbered("3")))
		require.NoError(t, log.Ready())
		assert.Equal(t, "1 2 3", ids(sink.String()), "no record is lost, and each is there once")
		require.NoError(t, log.Close(t.Context()))
		require.Error(t, log.Write(numbered("4")))
		require.Error(t, log.Ready())
	})
}

func TestRecordsOfABlockedSinkAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &blocking{open: make(chan struct{})}
		log := audit.To(sink, audit.Options{Timeout: time.Second})
		var writers sync.WaitGroup
		var full atomic.Int32
		for range 1500 {
			writers.Go(func() {
				if errors.Is(log.Write(numbered("x")), audit.ErrFull) {
					full.Add(1)
				}
			})
		}
		writers.Wait()
		assert.EqualValues(t, 500, full.Load())
		time.Sleep(time.Millisecond)
		require.ErrorIs(t, log.Write(numbered("x")), audit.ErrFull)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorContains(t, log.Close(ctx), "1000 records lost: the sink blocks")
		close(sink.open)
	})
}

func TestManyWritersOfASinkThatWorks(t *testing.T) {
	sink := &pipe{}
	log := audit.To(sink, audit.Options{})
	var writers sync.WaitGroup
	for range 2000 {
		writers.Go(func() { assert.NoError(t, log.Write(numbered("x"))) })
	}
	writers.Wait()
	assert.Equal(t, 2000, strings.Count(sink.String(), "\n"))
}

func TestCloseOfABlockedSinkEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &blocking{open: make(chan struct{})}
		log := audit.To(sink, audit.Options{})
		var writer sync.WaitGroup
		writer.Go(func() { assert.ErrorIs(t, log.Write(numbered("1")), audit.ErrBlocked) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorContains(t, log.Close(ctx), "1 records lost")
		assert.Equal(t, time.Second, time.Since(began))
		writer.Wait()
		close(sink.open)
	})
}

func TestTornLastLineIsEnded(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		torn    bool
	}{
		"empty":        {"", false},
		"whole":        {"{}\n", false},
		"torn":         {`{}` + "\n" + `{"Event`, true},
		"torn alone":   {`{"Event`, true},
		"byte of text": {`{`, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			require.NoError(t, os.WriteFile(path, []byte(test.content), 0o600))
			torn := false
			log, err := audit.Open(path, audit.Options{Torn: func() { torn = true }, Sync: true})
			require.NoError(t, err)
			assert.Equal(t, test.torn, torn)
			require.NoError(t, log.Write(numbered("1")))
			require.NoError(t, log.Write(numbered("2")))
			require.NoError(t, log.Close(t.Context()))
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			after, ok := strings.CutPrefix(string(content), test.content)
			require.True(t, ok)
			assert.Equal(t, test.torn, strings.HasPrefix(after, "\n"))
			assert.Equal(t, "1 2", ids(after))
			assert.Equal(t, 2, strings.Count(strings.TrimPrefix(after, "\n"), "\n"))
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	directory := os.Getenv("AUDIT_BENCH_DIR") // of a disk; the folder for tests may be in memory
	if directory == "" {
		directory = b.TempDir()
	}
	for _, sync := range []bool{false, true} {
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("sync=%v/writers=%d", sync, writers), func(b *testing.B) {
				path := filepath.Join(directory, "bench-audit.log")
				log, err := audit.Open(path, audit.Options{Sync: sync})
				require.NoError(b, err)
				defer os.Remove(path)
				record := numbered(strings.Repeat("x", 1000))
				b.SetParallelism(max(1, writers/runtime.GOMAXPROCS(0)))
				if writers == 1 {
					for b.Loop() {
						_ = log.Write(record)
					}
				} else {
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							_ = log.Write(record)
						}
					})
				}
				require.NoError(b, log.Close(b.Context()))
			})
		}
	}
}
