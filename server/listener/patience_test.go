package listener

import (
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slow takes at most size bytes of a write, each time after a pause, as a caller that reads slowly.
type slow struct {
	net.Conn
	pause    time.Duration
	size     int
	deadline time.Time
	taken    int
}

func (s *slow) SetWriteDeadline(t time.Time) error {
	s.deadline = t
	return nil
}

func (s *slow) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		if until := time.Until(s.deadline); until < s.pause {
			time.Sleep(max(until, 0))
			return written, os.ErrDeadlineExceeded
		}
		time.Sleep(s.pause)
		n := min(len(b), s.size)
		b, written, s.taken = b[n:], written+n, s.taken+n
	}
	return written, nil
}

func TestWriteGoesOnWhileTheCallerTakesSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := &slow{pause: 20 * time.Second, size: 10}
		c := &Connection{Conn: line}
		c.Patience(30 * time.Second)
		n, err := c.Write(make([]byte, 1000))
		require.NoError(t, err)
		assert.Equal(t, 1000, n)
		line.pause = 31 * time.Second
		began := time.Now()
		n, err = c.Write(make([]byte, 1000))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Zero(t, n)
		assert.Equal(t, 30*time.Second, time.Since(began))
	})
}

func TestHeldBytesAreSentWithPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := &slow{pause: time.Second, size: 3}
		c := &Connection{Conn: line}
		c.Patience(2 * time.Second)
		c.Hold(5)
		_, err := c.Write([]byte("head"))
		require.NoError(t, err)
		assert.Zero(t, line.taken)
		n, err := c.Write([]byte("body"))
		require.NoError(t, err)
		assert.Equal(t, []int{4, 8}, []int{n, line.taken})
	})
}

func TestWithoutPatienceTheDeadlineOfTheConnectionCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := &slow{pause: time.Second, size: 1, deadline: time.Now().Add(5 * time.Second)}
		c := &Connection{Conn: line}
		c.Patience(time.Minute)
		c.Patience(0)
		n, err := c.Write(make([]byte, 1000))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, 5, n)
	})
}

func TestCutOffEndsAWriteThatRuns(t *testing.T) {
	caller, gateway := net.Pipe()
	c := &Connection{Conn: gateway}
	c.Patience(time.Hour)
	failed := make(chan error)
	go func() {
		_, err := c.Write(make([]byte, 1000))
		failed <- err
	}()
	_, err := io.ReadFull(caller, make([]byte, 10))
	require.NoError(t, err)
	c.CutOff()
	require.ErrorIs(t, <-failed, os.ErrDeadlineExceeded)
	var none *Connection
	none.Patience(time.Second)
	none.CutOff()
}
