package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// memory is a listener without a network, for testing/synctest: the fake clock advances while a goroutine waits for one of its
// connections.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemory() *memory { return &memory{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (m *memory) Accept() (net.Conn, error) {
	select {
	case conn := <-m.conns:
		return conn, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (m *memory) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := dicomtest.Pipe(64 << 10)
	select {
	case m.conns <- theirs:
		return ours, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// startInMemory is start without a network.
func startInMemory(t *testing.T, gateway backend, variables ...string) *running {
	t.Helper()
	m := newMemory()
	return startOn(t, m, &http.Transport{DialContext: m.DialContext}, gateway, variables...)
}
