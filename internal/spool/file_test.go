package spool_test

import (
	"bytes"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/spool"
)

func TestWhatDoesNotFitInMemoryGoesToTheFile(t *testing.T) {
	dir := t.TempDir()
	s := newSpool(t, spool.Settings{MemoryEach: mebibyte, Dir: dir})
	l := s.NewLog()
	defer l.Discard(errGone)
	data := pattern(1, 8*mebibyte)
	put(t, l, "1", data)
	assert.LessOrEqual(t, s.Stats().Memory, int64(mebibyte+kibibyte))
	assert.Greater(t, s.Stats().File, int64(6*mebibyte))
	assert.Greater(t, s.Stats().Spilled, int64(6*mebibyte))
	l.Close(nil)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries, "the file has no name")
	readers := []*spool.Reader{open(t, l), open(t, l)}
	for _, r := range readers {
		for in, err := range r.All(t.Context()) {
			require.NoError(t, err)
			var got bytes.Buffer
			_, err = in.WriteTo(&got)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(data, got.Bytes()))
		}
	}
}

func TestAFullFileSlowsTheWriterDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.New(spool.Settings{MemoryEach: mebibyte, Dir: t.TempDir(), Limit: 2 * mebibyte})
		require.NoError(t, err)
		l := s.NewLog()
		r := open(t, l)
		data := pattern(1, 8*mebibyte)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w := l.Append(t.Context(), entry("1"))
			w.Announce()
			_, err := w.Write(data)
			assert.NoError(t, err)
			assert.NoError(t, w.Commit())
			l.Close(nil)
		}()
		synctest.Wait()
		assert.LessOrEqual(t, s.Stats().File, int64(2*mebibyte))
		time.Sleep(4 * time.Second)
		var got bytes.Buffer
		for in, err := range r.All(t.Context()) {
			require.NoError(t, err)
			_, err = in.WriteTo(&got)
			require.NoError(t, err)
		}
		<-ended
		assert.True(t, bytes.Equal(data, got.Bytes()))
		l.Discard(errGone)
		assert.Zero(t, s.Stats().File)
		require.NoError(t, s.Close())
	})
}

// TestMemoryStaysFlatWithALargeStream sends more than the memory of the process should ever hold, past a reader that is slower.
func TestMemoryStaysFlatWithALargeStream(t *testing.T) {
	s := newSpool(t, spool.Settings{Dir: t.TempDir(), Limit: 64 * mebibyte})
	l := s.NewLog()
	defer l.Discard(errGone)
	r := open(t, l)
	const size = 512 << 20
	block := pattern(1, mebibyte)
	go func() {
		w := l.Append(t.Context(), entry("1"))
		w.Announce()
		for range size / len(block) {
			if _, err := w.Write(block); !assert.NoError(t, err) {
				w.Abort(err)
				return
			}
		}
		assert.NoError(t, w.Commit())
		l.Close(nil)
	}()
	runtime.GC()
	var before, during runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak uint64
	var n int64
	chunks := 0
	for in, err := range r.All(t.Context()) {
		require.NoError(t, err)
		n, err = in.WriteTo(writerFunc(func(p []byte) (int, error) {
			if chunks++; chunks%500 == 0 {
				time.Sleep(time.Millisecond)
				runtime.ReadMemStats(&during)
				peak = max(peak, during.HeapInuse)
			}
			return len(p), nil
		}))
		require.NoError(t, err)
	}
	assert.EqualValues(t, size, n)
	assert.Less(t, int64(peak)-int64(before.HeapInuse), int64(16*mebibyte))
}

// TestManyWritersAndReadersAgree runs several writers and readers of different paces over one log, and compares every byte.
func TestManyWritersAndReadersAgree(t *testing.T) {
	s := newSpool(t, spool.Settings{MemoryEach: mebibyte, Dir: t.TempDir(), Limit: 3 * mebibyte, Patience: time.Minute})
	l := s.NewLog()
	defer l.Discard(errGone)
	const writers, each, readers = 4, 15, 3
	var producers, consumers sync.WaitGroup
	for r := range readers {
		reader := open(t, l)
		consumers.Go(func() {
			seen := 0
			for in, err := range reader.All(t.Context()) {
				if !assert.NoError(t, err) {
					return
				}
				i, err := strconv.Atoi(in.SOPInstanceUID)
				assert.NoError(t, err)
				sum := crc32.NewIEEE()
				if (i+r)%3 == 0 {
					_, err = io.Copy(sum, struct{ io.Reader }{in})
				} else {
					_, err = in.WriteTo(sum)
				}
				assert.NoError(t, err)
				assert.Equal(t, crc32.ChecksumIEEE(pattern(uint64(i), sizeOf(i))), sum.Sum32())
				seen++
				if r == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			assert.Equal(t, writers*each, seen)
		})
	}
	for p := range writers {
		producers.Go(func() {
			for i := p * each; i < (p+1)*each; i++ {
				w := l.Append(t.Context(), entry(strconv.Itoa(i)))
				data := pattern(uint64(i), sizeOf(i))
				for len(data) > 0 {
					n := min(len(data), 50_000)
					if _, err := w.Write(data[:n]); !assert.NoError(t, err) {
						return
					}
					data = data[n:]
					if i%4 == 0 {
						w.Announce()
					}
				}
				assert.NoError(t, w.Commit())
			}
		})
	}
	producers.Wait()
	l.Close(nil)
	consumers.Wait()
}

func sizeOf(i int) int { return i * 23_456 }
