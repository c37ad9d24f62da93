package output_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dicom-qr-gateway/internal/output"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is an output that blocks while it is closed, and fails while err is set.
type gate struct {
	mu     sync.Mutex
	open   chan struct{} // nil: open
	err    error
	takes  int           // bytes of a write that fails
	delay  time.Duration // of each write
	text   bytes.Buffer
	writes int
}

func closedGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) fail(err error, takes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err, g.takes = err, takes
}

func (g *gate) Write(b []byte) (int, error) {
	if g.open != nil {
		<-g.open
	}
	time.Sleep(g.delay)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes++
	if g.err != nil {
		n, _ := g.text.Write(b[:min(g.takes, len(b))])
		return n, g.err
	}
	return g.text.Write(b)
}

func (g *gate) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

func notice(lines uint64) []byte { return fmt.Appendf(nil, "%d dropped\n", lines) }

func write(t *testing.T, w io.Writer, lines ...string) {
	t.Helper()
	for _, line := range lines {
		n, err := io.WriteString(w, line)
		require.NoError(t, err)
		assert.Len(t, line, n)
	}
}

func TestQueueWritesLinesInOrder(t *testing.T) {
	g := &gate{}
	q := output.NewQueue(g, notice)
	var want strings.Builder
	for i := range 10_000 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		write(t, q, line)
	}
	require.True(t, q.Flush(time.Minute))
	assert.Equal(t, want.String(), g.String())
	assert.Less(t, g.writes, 10_000, "one write takes several lines")
	assert.Zero(t, q.Dropped())
}

func TestQueueGathersLinesForAFewMilliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{}
		q := output.NewQueue(g, notice)
		for range 3 {
			write(t, q, "one\n", "two\n")
			synctest.Wait()
			assert.Empty(t, g.String())
			time.Sleep(10 * time.Millisecond)
			assert.Equal(t, "one\ntwo\n", g.String())
			assert.Equal(t, 1, g.writes)
			g.text.Reset()
			g.writes = 0
		}
		chunk := strings.Repeat("x", 64<<10) + "\n"
		write(t, q, chunk)
		synctest.Wait()
		assert.Len(t, g.String(), len(chunk), "a full chunk does not wait")
	})
}

func TestQueueDropsLinesWhileTheOutputBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := closedGate()
		q := output.NewQueue(g, notice)
		long := strings.Repeat("x", 1<<20-1) + "\n"
		write(t, q, "first\n")
		time.Sleep(time.Second) // first is being written
		write(t, q, long, long, long, long, "lost\n", long, "lost\nlost\n")
		assert.EqualValues(t, 4, q.Dropped())
		assert.False(t, q.Flush(time.Second))
		close(g.open)
		require.True(t, q.Flush(time.Second))
		write(t, q, "last\n")
		require.True(t, q.Flush(time.Second))
		assert.True(t, g.String() == "first\n"+strings.Repeat(long, 4)+"4 dropped\nlast\n", "the notice is where the lines would be")
		assert.EqualValues(t, 4, q.Dropped())
	})
}

func TestQueueSaysWhatAFailingOutputDidNotTake(t *testing.T) {
	g := &gate{}
	q := output.NewQueue(output.NewShared(g), notice)
	g.fail(errors.New("full"), 3)
	write(t, q, "one\n")
	require.True(t, q.Flush(time.Minute))
	g.fail(errors.New("full"), 0)
	write(t, q, "two\n")
	require.True(t, q.Flush(time.Minute))
	assert.EqualValues(t, 2, q.Dropped())
	g.fail(nil, 0)
	write(t, q, "three\n")
	require.True(t, q.Flush(time.Minute))
	assert.Equal(t, "one\nthree\n2 dropped\n", g.String())
}

func TestQueueWithoutANotice(t *testing.T) {
	g := &gate{}
	for _, none := range []func(uint64) []byte{nil, func(uint64) []byte { return nil }} {
		q := output.NewQueue(g, none)
		g.fail(io.ErrClosedPipe, 0)
		write(t, q, "one\n")
		require.True(t, q.Flush(time.Minute))
		g.fail(nil, 0)
		write(t, q, "no line break")
		require.True(t, q.Flush(time.Minute))
	}
	assert.Equal(t, "no line breakno line break", g.String())
}

func TestQueueTakesTurnsWithOtherWriters(t *testing.T) {
	g := closedGate()
	g.delay = 5 * time.Millisecond
	shared := output.NewShared(g)
	q := output.NewQueue(shared, notice)
	for i := range 50_000 {
		write(t, q, fmt.Sprintf("log %d\n", i))
	}
	var other sync.WaitGroup
	other.Go(func() { write(t, shared, "record\n") })
	time.Sleep(10 * time.Millisecond) // both wait for the output
	close(g.open)
	require.True(t, q.Flush(time.Minute))
	other.Wait()
	for line := range strings.Lines(g.String()) {
		require.True(t, line == "record\n" || strings.HasPrefix(line, "log "), line)
	}
	assert.False(t, strings.HasSuffix(g.String(), "record\n"), "the record does not wait for the whole queue")
}

func TestSharedBeginsALineAfterATornOne(t *testing.T) {
	g := &gate{}
	shared := output.NewShared(g)
	g.fail(io.ErrShortWrite, 2)
	n, err := shared.Write([]byte("one\n"))
	require.ErrorIs(t, err, io.ErrShortWrite)
	assert.Equal(t, 2, n)
	g.fail(io.ErrShortWrite, 0)
	n, err = shared.Write([]byte("two\n"))
	require.ErrorIs(t, err, io.ErrShortWrite)
	assert.Zero(t, n)
	g.fail(nil, 0)
	write(t, shared, "three\n", "four\n")
	assert.Equal(t, "on\nthree\nfour\n", g.String())
}

// The cost of a line until it is written, in bursts, with an output that is read.
func BenchmarkLine(b *testing.B) {
	line := []byte(strings.Repeat("x", 250) + "\n")
	for _, queued := range []bool{false, true} {
		b.Run(map[bool]string{false: "direct", true: "queue"}[queued], func(b *testing.B) {
			r, w, err := os.Pipe()
			require.NoError(b, err)
			var reading sync.WaitGroup
			reading.Go(func() { _, _ = io.Copy(io.Discard, r) })
			shared := output.NewShared(w)
			queue := output.NewQueue(shared, nil)
			var out io.Writer = shared
			if queued {
				out = queue
			}
			for i := 0; b.Loop(); i++ {
				_, _ = out.Write(line)
				if i%100 == 99 {
					queue.Flush(time.Minute)
				}
			}
			queue.Flush(time.Minute)
			require.Zero(b, queue.Dropped())
			require.NoError(b, w.Close())
			reading.Wait()
			_ = r.Close()
		})
	}
}

func TestLineHoldsOtherLinesBack(t *testing.T) {
	g := &gate{delay: time.Millisecond}
	shared := output.NewShared(g)
	var other sync.WaitGroup
	require.NoError(t, shared.Line(func(w io.Writer) error {
		write(t, w, "on")
		other.Go(func() { write(t, shared, "two\n") })
		write(t, w, "e", "\n")
		return nil
	}))
	other.Wait()
	assert.Equal(t, "one\ntwo\n", g.String())
}

func TestLineThatIsGivenUpIsEnded(t *testing.T) {
	g := &gate{}
	shared := output.NewShared(g)
	stop := errors.New("given up")
	require.ErrorIs(t, shared.Line(func(w io.Writer) error {
		write(t, w, "on")
		return stop
	}), stop)
	g.fail(io.ErrShortWrite, 0)
	require.ErrorIs(t, shared.Line(func(io.Writer) error { panic("the line before is not ended") }), io.ErrShortWrite)
	g.fail(nil, 0)
	require.NoError(t, shared.Line(func(w io.Writer) error {
		write(t, w, "two", "\n")
		return nil
	}))
	write(t, shared, "three\n")
	assert.Equal(t, "on\ntwo\nthree\n", g.String())
}
