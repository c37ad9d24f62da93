package listener

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	soon = 10 * time.Second
	// several sweeps
	while = 3 * sweepEvery
)

// connect returns both ends of a TCP connection.
func connect(t *testing.T) (caller *net.TCPConn, accepted *Connection) {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := New(tcp, Options{Max: 10})
	conn, err := net.Dial("tcp", tcp.Addr().String())
	require.NoError(t, err)
	c, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = conn.Close()
		_ = c.Close()
		_ = l.Close()
	})
	return conn.(*net.TCPConn), c.(*Connection)
}

func TestCallerThatLeavesIsNoticedWhateverItSent(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn) error{
		"closes":         func(c *net.TCPConn) error { return c.Close() },
		"half-closes":    func(c *net.TCPConn) error { return c.CloseWrite() },
		"resets":         func(c *net.TCPConn) error { _ = c.SetLinger(0); return c.Close() },
		"sends too much": func(c *net.TCPConn) error { _, err := c.Write(make([]byte, maxUnread+1)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caller, accepted := connect(t)
			_, err := caller.Write([]byte("one byte more"))
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			accepted.Watch(cancel)
			defer accepted.Unwatch()
			select {
			case <-ctx.Done():
				t.Fatal("cancelled although the caller is there")
			case <-time.After(while):
			}
			require.NoError(t, leave(caller))
			select {
			case <-ctx.Done():
			case <-time.After(soon):
				t.Fatal("not cancelled")
			}
			assert.True(t, accepted.Gone())
			later, cancelLater := context.WithCancel(t.Context())
			defer cancelLater()
			accepted.Unwatch()
			accepted.Watch(cancelLater)
			require.ErrorIs(t, later.Err(), context.Canceled, "a request that was sent in advance")
		})
	}
}

func TestRequestsSentInAdvanceDoNotCancel(t *testing.T) {
	t.Parallel()
	caller, accepted := connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	accepted.Watch(cancel)
	defer accepted.Unwatch()
	_, err := caller.Write([]byte(strings.Repeat("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 100)))
	require.NoError(t, err)
	time.Sleep(while)
	assert.NoError(t, ctx.Err())
}

func TestSweeperRunsOnlyWhileRequestsDo(t *testing.T) {
	t.Parallel()
	caller, accepted := connect(t)
	for range 3 {
		accepted.Watch(func() { t.Error("cancelled") })
		assert.True(t, accepted.listener.sweeps.Load())
		time.Sleep(while)
		accepted.Unwatch()
		require.Eventually(t, func() bool { return !accepted.listener.sweeps.Load() }, soon, time.Millisecond)
	}
	require.NoError(t, caller.Close())
	time.Sleep(while)
	assert.False(t, accepted.Gone(), "no request runs")
}

func TestClosedConnectionCountsAsGone(t *testing.T) {
	t.Parallel()
	_, accepted := connect(t)
	assert.False(t, departed(accepted.Conn))
	require.NoError(t, accepted.Conn.Close())
	assert.True(t, departed(accepted.Conn))
	pipe, _ := net.Pipe()
	assert.False(t, departed(pipe), "not known")
}
