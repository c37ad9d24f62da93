package spool_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dicom-qr-gateway/dicomnet/part10"
	"dicom-qr-gateway/internal/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	kibibyte = 1 << 10
	mebibyte = 1 << 20
)

func newSpool(t testing.TB, settings spool.Settings) *spool.Spool {
	t.Helper()
	s, err := spool.New(settings)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.Zero(t, s.Stats().Memory, "everything is freed")
		assert.Zero(t, s.Stats().File, "everything is freed")
		require.NoError(t, s.Close())
	})
	return s
}

func entry(uid string) spool.Entry {
	return spool.Entry{Meta: part10.Meta{SOPInstanceUID: uid}, StudyInstanceUID: "1.2"}
}

// pattern is a data set that depends on its seed.
func pattern(seed uint64, n int) []byte {
	data := make([]byte, n)
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 7})
	_, _ = source.Read(data)
	return data
}

func put(t testing.TB, l *spool.Log, uid string, data []byte) {
	t.Helper()
	w := l.Append(t.Context(), entry(uid))
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Commit())
}

func open(t testing.TB, l *spool.Log) *spool.Reader {
	t.Helper()
	r, ok := l.Reader()
	require.True(t, ok)
	return r
}

var (
	errEnd  = errors.New("the retrieval failed")
	errGone = errors.New("nobody wants it any more")
)

func TestReadersGetInstancesInTheOrderOfTheirCompletion(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "file": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			settings := spool.Settings{Dir: dir}
			if dir != "" {
				settings.MemoryEach = 1
			}
			l := newSpool(t, settings).NewLog()
			defer l.Discard(errGone)
			sizes := []int{10, 0, 128*kibibyte - 16, 128 * kibibyte, 700 * kibibyte, 1}
			for i, size := range sizes {
				put(t, l, strconv.Itoa(i), pattern(uint64(i), size))
			}
			l.Close(nil)
			i := 0
			for in, err := range open(t, l).All(t.Context()) {
				require.NoError(t, err)
				assert.Equal(t, strconv.Itoa(i), in.SOPInstanceUID)
				assert.EqualValues(t, sizes[i], in.Size())
				var got bytes.Buffer
				if i%2 == 0 {
					n, err := in.WriteTo(&got)
					require.NoError(t, err)
					assert.EqualValues(t, sizes[i], n)
				} else {
					_, err := io.Copy(&got, struct{ io.Reader }{in})
					require.NoError(t, err)
				}
				assert.True(t, bytes.Equal(pattern(uint64(i), sizes[i]), got.Bytes()), i)
				i++
			}
			assert.Equal(t, len(sizes), i)
		})
	}
}

func TestAnAnnouncedInstanceIsReadWhileItArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.New(spool.Settings{})
		require.NoError(t, err)
		l := s.NewLog()
		defer l.Discard(errGone)
		w := l.Append(t.Context(), entry("1"))
		data := pattern(1, 600*kibibyte)
		_, err = w.Write(data[:300*kibibyte])
		require.NoError(t, err)
		w.Announce()
		w.Announce()
		var got bytes.Buffer
		ended := make(chan error, 1)
		r := open(t, l)
		go func() {
			for in, err := range r.All(t.Context()) {
				if err == nil {
					assert.EqualValues(t, -1, in.Size())
					_, err = in.WriteTo(&got)
					assert.EqualValues(t, len(data), in.Size())
				}
				ended <- err
			}
			close(ended)
		}()
		synctest.Wait()
		assert.GreaterOrEqual(t, got.Len(), 250*kibibyte)
		assert.Zero(t, r.Stalled(), "it waits")
		_, err = w.Write(data[300*kibibyte:])
		require.NoError(t, err)
		require.NoError(t, w.Commit())
		require.NoError(t, <-ended)
		assert.True(t, bytes.Equal(data, got.Bytes()))
		l.Close(nil)
		<-ended
	})
}

func TestTheErrorOfTheLogComesAfterItsInstances(t *testing.T) {
	l := newSpool(t, spool.Settings{}).NewLog()
	defer l.Discard(errGone)
	put(t, l, "1", pattern(1, 100))
	l.Close(errEnd)
	l.Close(nil)
	var seen []string
	for in, err := range open(t, l).All(t.Context()) {
		if err != nil {
			require.ErrorIs(t, err, errEnd)
			seen = append(seen, "error")
			break
		}
		seen = append(seen, in.SOPInstanceUID)
	}
	assert.Equal(t, []string{"1", "error"}, seen)
}

func TestReadersNeverSeeAnAbortedInstanceThatNoneHasBegun(t *testing.T) {
	l := newSpool(t, spool.Settings{}).NewLog()
	defer l.Discard(errGone)
	r := open(t, l)
	for _, announce := range []bool{false, true} {
		w := l.Append(t.Context(), entry("aborted"))
		_, err := w.Write(pattern(1, 200*kibibyte))
		require.NoError(t, err)
		if announce {
			w.Announce()
		}
		assert.False(t, w.Abort(nil))
		assert.False(t, w.Abort(nil))
	}
	put(t, l, "2", nil)
	l.Close(nil)
	late := open(t, l)
	for _, r := range []*spool.Reader{r, late} {
		var seen []string
		for in, err := range r.All(t.Context()) {
			require.NoError(t, err)
			seen = append(seen, in.SOPInstanceUID)
		}
		assert.Equal(t, []string{"2"}, seen)
	}
}

func TestAnInstanceAbortedWhileItIsReadFails(t *testing.T) {
	l := newSpool(t, spool.Settings{}).NewLog()
	defer l.Discard(errGone)
	w := l.Append(t.Context(), entry("1"))
	_, err := w.Write(pattern(1, 200*kibibyte))
	require.NoError(t, err)
	w.Announce()
	reader, other := open(t, l), open(t, l)
	for in, err := range reader.All(t.Context()) {
		require.NoError(t, err)
		assert.True(t, w.Abort(errEnd))
		n, err := in.WriteTo(io.Discard)
		require.ErrorIs(t, err, errEnd)
		assert.Less(t, n, int64(200*kibibyte))
		_, err = in.Read(make([]byte, 1))
		require.ErrorIs(t, err, errEnd)
		break
	}
	put(t, l, "1", pattern(1, 10))
	l.Close(nil)
	for in, err := range other.All(t.Context()) {
		require.NoError(t, err, "who has not begun gets the second try only")
		assert.EqualValues(t, 10, in.Size())
	}
}

func TestAReaderThatWaitsEndsWithItsContext(t *testing.T) {
	l := newSpool(t, spool.Settings{}).NewLog()
	defer l.Discard(errGone)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnd)
	for _, err := range open(t, l).All(ctx) {
		require.ErrorIs(t, err, errEnd)
	}
	w := l.Append(t.Context(), entry("1"))
	w.Announce()
	_, err := w.Write([]byte("x"))
	require.ErrorIs(t, err, spool.ErrNoReader, "once the last reader has left")
	require.ErrorIs(t, w.Commit(), spool.ErrNoReader)
}

// A slow caller may need hours for what is spooled.
func TestAReaderWithSomethingToReadEndsWithItsContext(t *testing.T) {
	l := newSpool(t, spool.Settings{}).NewLog()
	defer l.Discard(errGone)
	put(t, l, "1", pattern(1, 300_000))
	put(t, l, "2", pattern(2, 10))
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	reader := open(t, l)
	var ends []error
	for in, err := range reader.All(ctx) {
		if err == nil {
			_, err = in.Read(make([]byte, 1))
			require.NoError(t, err)
			cancel(errEnd)
			_, err = io.Copy(io.Discard, in)
		}
		ends = append(ends, err)
	}
	require.Len(t, ends, 2, "the rest of the instance, and the next one")
	for _, err := range ends {
		require.ErrorIs(t, err, errEnd)
	}
}

func TestALaterReaderGetsEverythingOrNothing(t *testing.T) {
	s := newSpool(t, spool.Settings{MemoryEach: mebibyte})
	l := s.NewLog()
	defer l.Discard(errGone)
	first := open(t, l)
	put(t, l, "1", pattern(1, 300*kibibyte))
	put(t, l, "2", pattern(2, 300*kibibyte))
	next, stop := pull(first.All(t.Context()))
	defer stop()
	for range 2 {
		in, _, _ := next()
		_, err := in.WriteTo(io.Discard)
		require.NoError(t, err)
	}
	second := open(t, l)
	for in := range second.All(t.Context()) {
		assert.Equal(t, "1", in.SOPInstanceUID, "what the first reader has taken is kept while memory suffices")
		break
	}
	go func() {
		put(t, l, "3", pattern(3, 2*mebibyte))
		l.Close(nil)
	}()
	in, _, _ := next()
	_, err := in.WriteTo(io.Discard)
	require.NoError(t, err)
	_, ok := l.Reader()
	assert.False(t, ok, "the beginning is freed when memory is needed")
	_, _, ok = next()
	assert.False(t, ok)
}

func TestInstancesAreValidUntilTheNextOne(t *testing.T) {
	l := newSpool(t, spool.Settings{}).NewLog()
	defer l.Discard(errGone)
	put(t, l, "1", pattern(1, 300*kibibyte))
	put(t, l, "2", pattern(2, 10))
	l.Close(nil)
	var before *spool.Instance
	for in, err := range open(t, l).All(t.Context()) {
		require.NoError(t, err)
		if before != nil {
			_, err = before.Read(make([]byte, 10))
			require.ErrorIs(t, err, spool.ErrStale)
			_, err = before.WriteTo(io.Discard)
			require.ErrorIs(t, err, spool.ErrStale)
		}
		n, err := in.Read(make([]byte, 5)) // the rest is skipped
		require.NoError(t, err)
		assert.Equal(t, 5, n)
		n, err = in.Read(nil)
		require.NoError(t, err)
		assert.Zero(t, n)
		before = in
	}
}

func TestAWriterToTheCallerThatFailsEndsWriteTo(t *testing.T) {
	l := newSpool(t, spool.Settings{}).NewLog()
	defer l.Discard(errGone)
	put(t, l, "1", pattern(1, 300*kibibyte))
	for in, err := range open(t, l).All(t.Context()) {
		require.NoError(t, err)
		n, err := in.WriteTo(writerFunc(func([]byte) (int, error) { return 100, errEnd }))
		require.ErrorIs(t, err, errEnd)
		assert.EqualValues(t, 100, n)
		break
	}
}

func TestDiscardEndsReadersAndWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.New(spool.Settings{})
		require.NoError(t, err)
		l := s.NewLog()
		w := l.Append(t.Context(), entry("1"))
		_, err = w.Write(pattern(1, 300*kibibyte))
		require.NoError(t, err)
		w.Announce()
		r := open(t, l)
		ended := make(chan error, 1)
		go func() {
			for in := range r.All(t.Context()) {
				_, err := in.WriteTo(io.Discard)
				ended <- err
				break
			}
		}()
		synctest.Wait()
		l.Discard(errGone)
		require.ErrorIs(t, <-ended, errGone)
		_, err = w.Write(pattern(1, 300*kibibyte))
		require.ErrorIs(t, err, errGone)
		w.Abort(err)
		assert.Zero(t, s.Stats().Memory)
	})
}

func TestASpoolNeedsItsDirectory(t *testing.T) {
	_, err := spool.New(spool.Settings{Dir: t.TempDir() + "/nowhere"})
	require.ErrorIs(t, err, os.ErrNotExist)
}
