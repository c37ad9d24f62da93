package listener

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipe is one end of a connection from an address.
type pipe struct {
	net.Conn
	from net.Addr
}

func (p pipe) RemoteAddr() net.Addr { return p.from }

// queue is a net.Listener whose connections come from a channel.
type queue chan net.Conn

func (q queue) Accept() (net.Conn, error) {
	c, ok := <-q
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (q queue) Close() error   { return nil }
func (q queue) Addr() net.Addr { return nil }

// rig is a Listener with connections that a test opens.
type rig struct {
	*Listener
	t *testing.T
}

func newRig(t *testing.T, o Options) *rig {
	t.Helper()
	return &rig{New(nil, o), t}
}

// dial opens a connection from the address. It returns nil if the listener closes it at once.
func (r *rig) dial(address string) *Connection {
	r.t.Helper()
	ours, theirs := net.Pipe()
	r.t.Cleanup(func() { _ = ours.Close() })
	return r.accept(pipe{theirs, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 1))})
}

func (r *rig) accept(conn net.Conn) *Connection {
	r.t.Helper()
	one := make(queue, 1)
	one <- conn
	close(one)
	r.Listener.Listener = one
	accepted, err := r.Accept()
	if err != nil {
		require.ErrorIs(r.t, err, net.ErrClosed)
		return nil
	}
	return accepted.(*Connection)
}

func (r *rig) isOpen(c *Connection) bool {
	err := c.SetReadDeadline(time.Now())
	return err == nil
}

func TestOldestConnectionOfAnAddressGivesWayToItsNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { oldestGivesWay(t) })
}

func oldestGivesWay(t *testing.T) {
	t.Helper()
	r := newRig(t, Options{Max: 4})
	var connections []*Connection
	open := func() {
		time.Sleep(time.Second)
		connections = append(connections, r.dial("192.0.2.1"))
	}
	for range 3 {
		open()
	}
	r.Follow(connections[1], http.StateActive)
	r.Follow(connections[1], http.StateIdle)
	yielded := uint64(0)
	for _, yields := range []int{0, 2, 3} {
		open()
		yielded++
		assert.False(t, r.isOpen(connections[yields]), "those that never had a request, the oldest first")
		assert.Equal(t, Stats{Open: 3, Yielded: yielded}, r.Stats())
	}
	assert.True(t, r.isOpen(connections[1]))
	time.Sleep(2 * idleGrace)
	for range 2 {
		open()
	}
	time.Sleep(time.Second)
	open()
	assert.False(t, r.isOpen(connections[1]), "idle for longer")
	other := r.dial("192.0.2.2")
	require.NotNil(t, other, "another address has room")
	assert.Equal(t, 4, r.Stats().Open)
	for _, c := range connections {
		require.NoError(t, c.Close())
	}
	assert.Equal(t, 1, r.Stats().Open)
	require.NoError(t, other.Close())
	require.NoError(t, other.Close())
	assert.Zero(t, r.Stats().Open)
	assert.Empty(t, r.callers)
}

func TestAddressWithMostConnectionsGivesWayFirst(t *testing.T) {
	r := newRig(t, Options{Max: 5, Exempt: func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.9") }})
	few := r.dial("192.0.2.1")
	r.Follow(few, http.StateActive)
	r.Follow(few, http.StateIdle)
	proxy := []*Connection{r.dial("192.0.2.9"), r.dial("192.0.2.9")}
	many := []*Connection{r.dial("2001:db8::1"), r.dial("2001:db8::2")}
	fresh := r.dial("192.0.2.3")
	assert.False(t, r.isOpen(many[0]), "two addresses of one network of 64 bits")
	assert.True(t, r.isOpen(few))
	assert.True(t, r.isOpen(proxy[0]))
	for _, c := range []*Connection{few, many[1], fresh} {
		c.Work()
	}
	require.NotNil(t, r.dial("192.0.2.4"))
	assert.False(t, r.isOpen(proxy[0]), "that of a proxy at last")
}

func TestProxyWithAnIPv6AddressIsExemptButNotItsNetwork(t *testing.T) {
	proxy := netip.MustParseAddr("2001:db8::5")
	r := newRig(t, Options{Max: 4, Exempt: func(a netip.Addr) bool { return a == proxy }})
	neighbour := r.dial("2001:db8::6")
	for range 3 {
		require.NotNil(t, r.dial("2001:db8::5"))
	}
	assert.True(t, r.isOpen(neighbour))
	require.NotNil(t, r.dial("2001:db8::5"))
	assert.False(t, r.isOpen(neighbour), "one that is not exempt gives way first")
}

func TestConnectionWithARequestIsNeverClosedForAnother(t *testing.T) {
	r := newRig(t, Options{Max: 1})
	c := r.dial("192.0.2.1")
	r.Follow(c, http.StateActive)
	c.Work()
	assert.Nil(t, r.dial("192.0.2.2"))
	assert.True(t, r.isOpen(c))
	assert.EqualValues(t, 1, r.Stats().Refused)
	c.Rest()
	require.NotNil(t, r.dial("192.0.2.2"))
	assert.False(t, r.isOpen(c))
}

func TestProxyMayHaveAllConnections(t *testing.T) {
	r := newRig(t, Options{Max: 4, Exempt: func(netip.Addr) bool { return true }})
	for range 4 {
		require.NotNil(t, r.dial("192.0.2.1"))
	}
	assert.Equal(t, Stats{Open: 4}, r.Stats())
}

func TestZeroLimitAcceptsAnyNumberOfConnections(t *testing.T) {
	r := newRig(t, Options{})
	for range 100 {
		require.NotNil(t, r.dial("192.0.2.1"))
	}
	assert.Equal(t, Stats{Open: 100}, r.Stats())
}

func TestFreshConnectionsAreClosedAndLaterOnesRefused(t *testing.T) {
	r := newRig(t, Options{Max: 10})
	fresh, busy := r.dial("192.0.2.1"), r.dial("192.0.2.1")
	r.Follow(busy, http.StateActive)
	r.CloseFresh()
	assert.False(t, r.isOpen(fresh))
	assert.True(t, r.isOpen(busy))
	ours, theirs := net.Pipe()
	assert.Nil(t, r.accept(pipe{theirs, nil}))
	_, err := ours.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestConnectionIsFoundBelowTLS(t *testing.T) {
	r := newRig(t, Options{Max: 10})
	c := r.dial("192.0.2.1")
	secure := tls.Server(c, &tls.Config{MinVersion: tls.VersionTLS12})
	assert.Same(t, c, Of(With(t.Context(), secure)))
	assert.Same(t, c, Of(With(t.Context(), c)))
	r.Follow(secure, http.StateActive)
	assert.Equal(t, active, c.state)
	other, _ := net.Pipe()
	assert.Nil(t, Of(With(t.Context(), other)))
	r.Follow(other, http.StateActive)
	assert.Nil(t, Of(context.Background()))

	// Without a connection there is nothing to do.
	var none *Connection
	none.Hold(1)
	none.Work()
	none.Rest()
	none.Watch(func() {})
	none.Unwatch()
	assert.False(t, none.Gone())
	require.NoError(t, c.CloseWrite())
}

func TestConnectionsAreAtMostHalfOfTheOpenFiles(t *testing.T) {
	assert.Equal(t, 1, Affordable(1))
	if files := openFiles(); files > 0 {
		assert.Equal(t, files/2, Affordable(1<<30))
		assert.Equal(t, files/2, Affordable(0), "without a limit of its own")
	}
}
