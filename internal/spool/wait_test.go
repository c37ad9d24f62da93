package spool_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/spool"
)

func TestWithoutAFileASlowReaderSlowsTheWriterDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.New(spool.Settings{MemoryEach: mebibyte})
		require.NoError(t, err)
		l := s.NewLog()
		defer l.Discard(errGone)
		r := open(t, l)
		const each, instances = 500 * kibibyte, 20
		written := 0
		go func() {
			for i := range instances {
				put(t, l, strconv.Itoa(i), pattern(uint64(i), each))
				written++
			}
			l.Close(nil)
		}()
		i := 0
		for in, err := range r.All(t.Context()) {
			require.NoError(t, err)
			time.Sleep(4 * time.Second)
			synctest.Wait()
			assert.LessOrEqual(t, written-i, 4, "memory holds two")
			assert.LessOrEqual(t, s.Stats().Memory, int64(1500*kibibyte))
			var got bytes.Buffer
			_, err = in.WriteTo(&got)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(pattern(uint64(i), each), got.Bytes()))
			i++
		}
		assert.Equal(t, instances, i)
		assert.Zero(t, s.Stats().CutOff)
		assert.Zero(t, s.Stats().Memory)
	})
}

func TestAReaderThatMakesAWriterWaitForFiveSecondsIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.New(spool.Settings{MemoryEach: mebibyte})
		require.NoError(t, err)
		l := s.NewLog()
		defer l.Discard(errGone)
		r := open(t, l)
		var told error
		r.OnCutOff(func(err error) { told = err })
		began := time.Now()
		w := l.Append(t.Context(), entry("1"))
		_, err = w.Write(pattern(1, 3*mebibyte))
		full, ok := errors.AsType[*spool.FullError](err)
		require.True(t, ok, err)
		require.NoError(t, full.Cause)
		assert.Equal(t, 5*time.Second, time.Since(began))
		assert.Equal(t, err, told)
		assert.GreaterOrEqual(t, r.Stalled(), 5*time.Second)
		assert.False(t, w.Abort(err))
		for _, err := range r.All(t.Context()) {
			require.ErrorIs(t, err, full)
		}
		_, ok = l.Reader()
		assert.False(t, ok)
		assert.Equal(t, spool.Stats{Full: 1, CutOff: 1}, s.Stats())
	})
}

func TestALogThatNobodyReadsEndsItsWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.New(spool.Settings{MemoryEach: mebibyte})
		require.NoError(t, err)
		l := s.NewLog()
		defer l.Discard(errGone)
		w := l.Append(t.Context(), entry("1"))
		_, err = w.Write(pattern(1, 3*mebibyte))
		_, ok := errors.AsType[*spool.FullError](err)
		require.True(t, ok, err)
		w.Abort(err)
		assert.Zero(t, s.Stats().Memory)
	})
}

func TestASlowReaderIsCutOffWithoutHarmToTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.New(spool.Settings{MemoryEach: mebibyte})
		require.NoError(t, err)
		l := s.NewLog()
		defer l.Discard(errGone)
		slow, fast := open(t, l), open(t, l)
		data := pattern(1, 5*mebibyte)
		go func() {
			put(t, l, "1", data)
			l.Close(nil)
		}()
		released := make(chan struct{})
		cut := make(chan error, 1)
		slow.OnCutOff(func(err error) { cut <- err })
		go func() {
			for in, err := range slow.All(t.Context()) {
				if err != nil {
					break
				}
				_, err := in.WriteTo(writerFunc(func(p []byte) (int, error) {
					<-released // blocked in the Write to its caller
					assert.True(t, bytes.HasPrefix(data, p), "the chunk is not reused meanwhile")
					return len(p), nil
				}))
				_, ok := errors.AsType[*spool.FullError](err)
				assert.True(t, ok, err)
				break
			}
		}()
		var got bytes.Buffer
		for in, err := range fast.All(t.Context()) {
			require.NoError(t, err)
			_, err = in.WriteTo(&got)
			require.NoError(t, err)
		}
		assert.True(t, bytes.Equal(data, got.Bytes()))
		require.Error(t, <-cut)
		close(released)
		synctest.Wait()
		assert.Zero(t, s.Stats().Memory)
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestWriterThatWaitsForThePACSOfAnotherDoesNotCutOffTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.New(spool.Settings{MemoryEach: mebibyte})
		require.NoError(t, err)
		l := s.NewLog()
		defer l.Discard(errGone)
		stalled := l.Append(t.Context(), entry("1"))
		_, err = stalled.Write(pattern(1, 10))
		require.NoError(t, err)
		stalled.Announce()
		var seen []string
		ended := make(chan struct{})
		r := open(t, l)
		go func() {
			defer close(ended)
			for in, err := range r.All(t.Context()) {
				if assert.NoError(t, err) {
					seen = append(seen, in.SOPInstanceUID)
					_, err = in.WriteTo(io.Discard)
					assert.NoError(t, err)
				}
			}
		}()
		other := make(chan struct{})
		go func() {
			defer close(other)
			put(t, l, "2", pattern(2, 5*mebibyte))
		}()
		time.Sleep(time.Minute)
		select {
		case <-other:
			t.Fatal("memory has no limit")
		default:
		}
		_, err = stalled.Write(pattern(1, 3*mebibyte))
		require.NoError(t, err, "the instance that the reader waits for always goes on")
		require.NoError(t, stalled.Commit())
		<-other
		l.Close(nil)
		<-ended
		assert.Equal(t, []string{"1", "2"}, seen)
	})
}

func TestUnseenInstancesOfManyAssociationsDoNotBlockEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.New(spool.Settings{MemoryEach: mebibyte, Memory: 2 * mebibyte})
		require.NoError(t, err)
		l := s.NewLog()
		defer l.Discard(errGone)
		r := open(t, l)
		var producers sync.WaitGroup
		for i := range 7 {
			producers.Go(func() {
				w := l.Append(t.Context(), entry(strconv.Itoa(i)))
				data := pattern(uint64(i), mebibyte)
				for len(data) > 0 { // all at the same pace
					n := min(64*kibibyte, len(data))
					_, err := w.Write(data[:n])
					assert.NoError(t, err)
					data = data[n:]
					time.Sleep(time.Millisecond)
				}
				assert.NoError(t, w.Commit())
			})
		}
		go func() {
			producers.Wait()
			l.Close(nil)
		}()
		seen := 0
		for in, err := range r.All(t.Context()) {
			require.NoError(t, err)
			seed, err := strconv.Atoi(in.SOPInstanceUID)
			require.NoError(t, err)
			var got bytes.Buffer
			_, err = in.WriteTo(&got)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(pattern(uint64(seed), mebibyte), got.Bytes()))
			seen++
		}
		assert.Equal(t, 7, seen)
	})
}

func TestOtherRetrievalsThatUseAllMemoryDoNotStopAFastReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.New(spool.Settings{MemoryEach: mebibyte, Memory: mebibyte})
		require.NoError(t, err)
		hog, l := s.NewLog(), s.NewLog()
		put(t, hog, "0", pattern(0, mebibyte-kibibyte))
		r := open(t, l)
		go func() {
			for i := range 10 {
				put(t, l, strconv.Itoa(i), pattern(uint64(i), 600*kibibyte))
			}
			l.Close(nil)
		}()
		n := 0
		for in, err := range r.All(t.Context()) {
			require.NoError(t, err)
			_, err = in.WriteTo(io.Discard)
			require.NoError(t, err)
			n++
		}
		assert.Equal(t, 10, n)
		l.Discard(errGone)
		hog.Discard(errGone)
		assert.Zero(t, s.Stats().Memory)
	})
}

func TestMemoryThatAnotherRetrievalFreesWakesAWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.New(spool.Settings{MemoryEach: mebibyte, Memory: mebibyte})
		require.NoError(t, err)
		hog, l := s.NewLog(), s.NewLog()
		put(t, hog, "0", pattern(0, mebibyte-kibibyte))
		go func() {
			time.Sleep(3 * time.Second)
			hog.Discard(errGone)
		}()
		began := time.Now()
		put(t, l, "1", pattern(1, 600*kibibyte))
		assert.Equal(t, 3*time.Second, time.Since(began))
		l.Discard(errGone)
		synctest.Wait() // the writer wakes while the other retrieval is being discarded
		assert.Zero(t, s.Stats().Memory)
	})
}

func TestAWriterThatWaitsEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.New(spool.Settings{MemoryEach: mebibyte})
		require.NoError(t, err)
		l := s.NewLog()
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errEnd) })
		w := l.Append(ctx, entry("1"))
		_, err = w.Write(pattern(1, 3*mebibyte))
		require.ErrorIs(t, err, errEnd)
		w.Abort(err)
		l.Discard(errGone)
		require.ErrorIs(t, l.Append(t.Context(), entry("2")).Commit(), errGone)
		assert.Zero(t, s.Stats().Memory)
	})
}
