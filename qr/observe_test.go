package qr

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
)

// steps keeps what an Observer sees as lines, and holds that steps do not overlap.
type steps struct {
	mu      sync.Mutex
	seen    []string
	running int
	overlap bool
}

func (o *steps) observe(ctx context.Context, s Step) (context.Context, func(error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running++
	o.overlap = o.overlap || o.running > 1
	return ctx, func(err error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.running--
		line := string(s.Name)
		if err != nil {
			line += ": " + err.Error()
		}
		o.seen = append(o.seen, line)
	}
}

// of gives the steps once all are over.
func (o *steps) of(t *testing.T, g *Gateway) []string {
	t.Helper()
	require.NoError(t, g.Wait(t.Context()))
	o.mu.Lock()
	defer o.mu.Unlock()
	assert.Zero(t, o.running, "steps without an end")
	assert.False(t, o.overlap)
	return o.seen
}

func TestEveryStepOfARetrieveIsObserved(t *testing.T) {
	var o steps
	p := &pacs{studies: threeStudies()[:2], move: func(a *association, uid string) {
		if uid == "1.3" {
			a.final(dicomnet.StatusMoveDestination, counters{})
			return
		}
		a.final(dicomnet.StatusSuccess, counters{})
	}}
	g := p.gateway(t, Options{Observe: o.observe})
	_, err := g.Retrieve(t.Context(), thePACS, Filter{PatientID: "P1"}, "DEST", Progress{})
	require.NoError(t, err)
	assert.Equal(t, []string{
		"resolve", "queue", "connect", "associate", "find", "move", "move: move: status A801: refused: move destination unknown", "release",
	}, o.of(t, g))
}

func TestAStepThatFailsIsObservedWithItsCause(t *testing.T) {
	var o steps
	p := &pacs{rejects: func(int) bool { return true }}
	g := p.gateway(t, Options{Observe: o.observe, LookupHost: func(context.Context, string) ([]string, error) {
		return []string{"192.0.2.1"}, nil
	}})
	_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
	require.Error(t, err)
	report := g.Echo(t.Context(), thePACS)
	require.Error(t, report.Err)
	once := []string{"resolve", "queue", "connect", "associate: " + err.Error()}
	assert.Equal(t, append(once, once...), o.of(t, g))
}

func TestTheHandshakeIsAStepOfItsOwnAndTheTraceIsTold(t *testing.T) {
	var o steps
	var told []string
	ca := newAuthority(t, "Test Authority")
	cert := ca.issue(-time.Hour, time.Hour)
	g := New(Options{TLS: &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12}, Observe: o.observe})
	g.options.Trace = &dicomnet.Trace{
		Connected:   func(context.Context, net.Addr) { told = append(told, "connected") },
		Secured:     func(context.Context, tls.ConnectionState) { told = append(told, "secured") },
		Established: func(_ context.Context, s dicomnet.Summary) { told = append(told, "established "+s.CalledAETitle) },
	}
	report := g.Echo(t.Context(), front(t, &tls.Config{Certificates: []tls.Certificate{cert}}, passes))
	require.NoError(t, report.Err)
	assert.Equal(t, []string{"queue", "connect", "tls", "associate", "echo", "release"}, o.of(t, g))
	assert.Equal(t, []string{"connected", "secured", "established PACS"}, told)
}
