// Package brokertest runs NATS JetStream for tests.
package brokertest

import (
	"context"
	"net"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"dicom-qr-gateway/internal/broker"
)

// Server starts a JetStream server on loopback, as several gateways share it, until the test ends. change may alter its options.
func Server(t testing.TB, change ...func(*natsserver.Options)) *natsserver.Server {
	t.Helper()
	o := &natsserver.Options{
		ServerName: "shared", Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, JetStreamMaxMemory: 64 << 20, StoreDir: t.TempDir(), DisableJetStreamBanner: true,
	}
	for _, f := range change {
		f(o)
	}
	server, err := natsserver.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go server.Start()
	if !server.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	t.Cleanup(func() {
		server.Shutdown()
		server.WaitForShutdown()
	})
	return server
}

// In has the server keep its files in the directory, so that another one can go on with them.
func In(dir string) func(*natsserver.Options) {
	return func(o *natsserver.Options) { o.StoreDir = dir }
}

// At has the server listen at the port.
func At(port int) func(*natsserver.Options) {
	return func(o *natsserver.Options) { o.Port = port }
}

// WithoutJetStream has the server pass messages on only.
func WithoutJetStream(o *natsserver.Options) { o.JetStream = false }

// Port returns the port at which the server listens.
func Port(server *natsserver.Server) int {
	address, _ := server.Addr().(*net.TCPAddr)
	return address.Port
}

// Shared returns a Broker that is connected to the server at the URL, until the test ends.
func Shared(t testing.TB, url string) *broker.Broker {
	t.Helper()
	return open(t, broker.Settings{Name: t.Name(), Servers: []string{url}})
}

// Key is the key of Embedded.
const Key = "0123456789abcdef0123456789abcdef"

// Embedded returns a Broker with a server of its own, with its files in the directory, until the test ends.
func Embedded(t testing.TB, dir string) *broker.Broker {
	t.Helper()
	return open(t, broker.Settings{Name: t.Name(), Dir: dir, Key: []byte(Key)})
}

func open(t testing.TB, s broker.Settings) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), s, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}
