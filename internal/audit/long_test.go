package audit_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/output"
)

// long returns a record of several parts, of 64 KiB each.
func long(id string, parts int) *audit.Record {
	r := numbered(id)
	query := make([]byte, (parts<<16-1000)/4*3) // in base64
	r.Objects = slices.Values([]audit.Object{{Query: query}})
	return r
}

// slow is a sink whose writes take a while. Those from number after on block until it is opened.
type slow struct {
	pipe
	delay time.Duration
	after int
	open  chan struct{}
	count int
}

func (s *slow) Write(b []byte) (int, error) {
	s.count++
	if s.open != nil && s.count > s.after {
		<-s.open
	}
	time.Sleep(s.delay)
	return s.pipe.Write(b)
}

// failing is a sink that fails at one write, halfway.
type failing struct {
	pipe
	at, count int
}

func (f *failing) Write(b []byte) (int, error) {
	f.count++
	if f.count != f.at {
		return f.pipe.Write(b)
	}
	n, _ := f.pipe.Write(b[:len(b)/2])
	return n, errFull
}

func TestLongRecordThatFailsIsWrittenAgainAsAWhole(t *testing.T) {
	for at := 1; at <= 4; at++ {
		sink := &failing{at: at}
		log := audit.To(sink, audit.Options{})
		require.ErrorIs(t, log.Write(long("1", 4)), errFull)
		require.NoError(t, log.Write(numbered("2")))
		lines := slices.Collect(strings.Lines(sink.String()))
		require.Len(t, lines, 3)
		assert.Equal(t, "1 2", ids(lines[1]+lines[2]))
		assert.True(t, strings.HasPrefix(lines[1], strings.TrimSuffix(lines[0], "\n")), "the torn line comes first")
	}
}

func TestWriteWaitsWhileTheSinkTakesParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &slow{delay: 3 * time.Second}
		log := audit.To(sink, audit.Options{})
		var other sync.WaitGroup
		other.Go(func() {
			time.Sleep(time.Second)
			assert.NoError(t, log.Write(numbered("2")))
		})
		began := time.Now()
		require.NoError(t, log.Write(long("1", 4)))
		assert.Equal(t, 12*time.Second, time.Since(began))
		other.Wait()
		assert.Equal(t, "1 2", ids(sink.String()))
	})
}

func TestSinkThatBlocksAmidALongRecordFailsAfterTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &slow{delay: time.Second, after: 2, open: make(chan struct{})}
		log := audit.To(sink, audit.Options{})
		began := time.Now()
		require.ErrorIs(t, log.Write(long("1", 4)), audit.ErrBlocked)
		assert.Equal(t, 7*time.Second, time.Since(began), "after the last part that it took")
		time.Sleep(time.Millisecond)
		require.ErrorIs(t, log.Ready(), audit.ErrBlocked)
		close(sink.open)
		time.Sleep(time.Minute)
		require.NoError(t, log.Write(numbered("2")))
		assert.Equal(t, "1 2", ids(sink.String()), "each is there once")
	})
}

func TestRecordThatTakesTooLongGivesTheSharedStreamBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &slow{delay: 4 * time.Second}
		shared := output.NewShared(sink)
		log := audit.To(shared, audit.Options{})
		began := time.Now()
		require.ErrorIs(t, log.Write(long("1", 20)), audit.ErrBlocked)
		assert.Equal(t, 30*time.Second, time.Since(began))
		time.Sleep(3 * time.Second) // the part that was being written
		synctest.Wait()
		_, err := io.WriteString(shared, "line\n")
		require.NoError(t, err)
		assert.Equal(t, 41*time.Second, time.Since(began), "it writes the end of the torn line first")
		sink.delay = 0
		require.NoError(t, log.Write(numbered("2")))
		lines := slices.Collect(strings.Lines(sink.String()))
		require.Len(t, lines, 4)
		assert.Equal(t, "line\n", lines[1])
		assert.Equal(t, "1 2", ids(lines[2]+lines[3]))
	})
}

func TestKeptRecordsAreLimitedByTheirLength(t *testing.T) {
	sink := &pipe{err: errFull}
	log := audit.To(sink, audit.Options{})
	require.ErrorIs(t, log.Write(long("x", 129)), audit.ErrFull, "longer than 8 MiB")
	for range 8 {
		err := log.Write(long("1", 16))
		require.ErrorIs(t, err, errFull)
		require.NotErrorIs(t, err, audit.ErrFull)
	}
	require.ErrorIs(t, log.Write(long("x", 1)), audit.ErrFull)
	require.NotErrorIs(t, log.Write(numbered("2")), audit.ErrFull, "a short one has room")
	sink.err = nil
	require.NoError(t, log.Write(long("3", 129)))
	assert.Equal(t, 10, strings.Count(sink.String(), "\n"), "all are written")
	sink.err = errFull
	require.NotErrorIs(t, log.Write(long("4", 127)), audit.ErrFull, "what is written is not kept")
}

func TestKeptRecordDoesNotReadItsObjects(t *testing.T) {
	sink := &pipe{err: errFull}
	log := audit.To(sink, audit.Options{})
	read, name := 0, strings.Repeat("a", 1<<20)
	r := numbered("1")
	r.Objects = func(yield func(audit.Object) bool) {
		read++
		yield(audit.Object{Name: name})
	}
	require.ErrorIs(t, log.Write(r), errFull)
	before := read
	name, r.CorrelationID = "changed", "changed"
	sink.err = nil
	require.NoError(t, log.Ready())
	assert.Equal(t, before, read)
	assert.Equal(t, "1", ids(sink.String()))
	assert.NotContains(t, sink.String(), "changed")
}

func TestNothingComesBetweenThePartsOfARecordOnASharedStream(t *testing.T) {
	sink := &pipe{}
	shared := output.NewShared(sink)
	log := audit.To(shared, audit.Options{})
	stop := make(chan struct{})
	var other sync.WaitGroup
	other.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = io.WriteString(shared, "line\n")
				time.Sleep(10 * time.Microsecond)
			}
		}
	})
	for range 8 {
		require.NoError(t, log.Write(long("1", 3)))
	}
	close(stop)
	other.Wait()
	for line := range strings.Lines(sink.String()) {
		require.True(t, line == "line\n" || ids(line) == "1")
	}
	assert.Equal(t, 8, strings.Count(ids(sink.String()), "1"))
}

func TestSharedStreamThatTearsARecordHasNoEmptyLine(t *testing.T) {
	for parts, at := range map[int]int{1: 1, 3: 2} {
		sink := &failing{at: at}
		log := audit.To(output.NewShared(sink), audit.Options{})
		err := log.Write(long("1", parts))
		require.True(t, errors.Is(err, errFull))
		require.NoError(t, log.Write(numbered("2")))
		assert.Equal(t, "1 2", ids(sink.String()))
		assert.NotContains(t, sink.String(), "\n\n")
	}
}
