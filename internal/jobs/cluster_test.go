package jobs

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/broker/brokertest"
)

// cluster starts three servers that keep three copies of everything.
func cluster(t *testing.T) []*natsserver.Server {
	t.Helper()
	var listeners []net.Listener // all at once, so that the ports differ
	var ports []int
	var routes []*url.URL
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listeners = append(listeners, l)
		address, _ := l.Addr().(*net.TCPAddr)
		ports = append(ports, address.Port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: address.String()})
	}
	for _, l := range listeners {
		require.NoError(t, l.Close())
	}
	servers := make([]*natsserver.Server, 0, len(ports))
	for i, port := range ports {
		s, err := natsserver.NewServer(&natsserver.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), Routes: routes,
			Cluster: natsserver.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port},
		})
		require.NoError(t, err)
		servers = append(servers, s)
	}
	return servers
}

func TestThreeServersKeepThreeCopies(t *testing.T) {
	t.Parallel()
	servers := cluster(t)
	for _, s := range servers {
		go s.Start()
		t.Cleanup(func() {
			s.Shutdown()
			s.WaitForShutdown()
		})
	}
	for _, s := range servers {
		require.True(t, s.ReadyForConnections(2*time.Minute))
	}
	var services []*Service
	for _, server := range servers {
		o := options(t, &retriever{})
		o.Broker, o.Replicas, o.AckWait = brokertest.Shared(t, server.ClientURL()), 3, 5*time.Second
		require.Eventually(t, func() bool { return o.Broker.Err() == nil }, 2*time.Minute, 20*time.Millisecond)
		s := New(o)
		// One after the other: a cluster lets some of several requests to make the same stream time out.
		require.Eventually(t, func() bool {
			_, err := s.store.open(t.Context())
			return err == nil
		}, 2*time.Minute, 20*time.Millisecond)
		run(t, s)
		services = append(services, s)
	}
	const n = 50
	wanted := order(n)
	wanted.IdempotencyKey = "same"
	var filing sync.WaitGroup
	ids := make([]string, len(services))
	for i, s := range services {
		filing.Go(func() {
			ids[i] = patiently(t, func() (*Job, error) {
				j, _, err := s.File(context.Background(), someone, wanted)
				return j, err
			}).ID
			for _, other := range services {
				patiently(t, func() (*Job, error) { return other.Job(context.Background(), someone, ids[i]) })
			}
		})
	}
	filing.Wait()
	assert.Equal(t, ids[0], ids[1])
	assert.Equal(t, ids[0], ids[2])
	for _, s := range services {
		require.Eventually(t, func() bool {
			j := patiently(t, func() (*Job, error) { return s.Job(context.Background(), someone, ids[0]) })
			return j.Counts == Counts{Items: n, Moved: n}
		}, 3*time.Minute, 50*time.Millisecond)
	}
}

// patiently asks again while JetStream is unavailable: three servers on a busy machine elect leaders now and then.
func patiently(t *testing.T, ask func() (*Job, error)) *Job {
	t.Helper()
	for range 20 {
		j, err := ask()
		if err == nil {
			return j
		}
		if !assert.ErrorAs(t, err, new(*UnavailableError)) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return &Job{}
}
