package listener

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// written records each write.
type written struct {
	net.Conn
	parts []string
	err   error
}

func (w *written) Write(b []byte) (int, error) {
	w.parts = append(w.parts, string(b))
	return len(b), w.err
}

func TestHeldBytesAreSentWithTheRest(t *testing.T) {
	w := &written{}
	c := &Connection{Conn: w}
	write := func(s string) {
		n, err := c.Write([]byte(s))
		require.NoError(t, err)
		assert.Equal(t, len(s), n)
	}
	write("at once")
	c.Hold(8)
	write("head")
	assert.Equal(t, []string{"at once"}, w.parts)
	write("body, longer")
	assert.Equal(t, "at onceheadbody, longer", strings.Join(w.parts, ""))
	w.parts = nil
	write("next")
	c.Hold(4)
	write("whole")
	assert.Equal(t, []string{"next", "whole"}, w.parts)
}

func TestHeldBytesAreLimited(t *testing.T) {
	w := &written{}
	c := &Connection{Conn: w}
	c.Hold(1 << 30)
	for range maxHeld {
		_, err := c.Write(make([]byte, 2))
		require.NoError(t, err)
	}
	assert.Equal(t, maxHeld*2, len(strings.Join(w.parts, "")))
}

func TestErrorOfHeldBytesIsReturnedByTheWriteThatSendsThem(t *testing.T) {
	w := &written{err: io.ErrClosedPipe}
	c := &Connection{Conn: w}
	c.Hold(10)
	n, err := c.Write([]byte("12345"))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	n, err = c.Write([]byte("67890"))
	require.ErrorIs(t, err, io.ErrClosedPipe)
	assert.Zero(t, n)
}
