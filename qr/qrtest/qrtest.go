// Package qrtest provides what the tests of packages qr, pool and problem share: a Gateway with its Pool, and peers for it.
package qrtest

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// Options are pool.Options and qr.Options in one.
type Options struct {
	Timeouts               dicomnet.Timeouts
	TLS                    *tls.Config
	Allow                  *pool.Allowlist
	MaxAssociationsPerPeer int
	MaxOperations          int
	QueueTimeout           time.Duration
	AssociationIdle        time.Duration
	Background             context.Context //nolint:containedctx // as in pool.Options
	DialContext            func(ctx context.Context, network, address string) (net.Conn, error)
	LookupHost             func(ctx context.Context, host string) ([]string, error)
	Trace                  func(qr.Peer) *dicomnet.Trace

	OperationTimeout time.Duration
	MaxMatches       int
	Now              func() time.Time
}

// Gateway is a qr.Gateway with the Pool that it uses.
type Gateway struct {
	*qr.Gateway
	*pool.Pool
}

// New returns a Gateway with the options as they are.
func New(o Options) *Gateway {
	p := pool.New(pool.Options{
		Timeouts: o.Timeouts, TLS: o.TLS, Allow: o.Allow, MaxAssociationsPerPeer: o.MaxAssociationsPerPeer,
		MaxOperations: o.MaxOperations,
		QueueTimeout:  o.QueueTimeout, AssociationIdle: o.AssociationIdle, Background: o.Background,
		DialContext: o.DialContext, LookupHost: o.LookupHost, Trace: o.Trace,
	})
	return &Gateway{qr.New(qr.Options{Pool: p, OperationTimeout: o.OperationTimeout, MaxMatches: o.MaxMatches, Now: o.Now}), p}
}

// Timeout is each of the timeouts of a Gateway that For returns.
const Timeout = 10 * time.Second

// Today is the day on which a Gateway that For returns works.
var Today = time.Date(2024, 6, 15, 23, 59, 0, 0, time.UTC)

// For returns a Gateway each of whose peers is p. Options that are not set get values that suit a test: connections in memory,
// names with the address 192.0.2.1, Timeout, and Today.
func For(p *dicomtest.ScriptedPACS, o Options) *Gateway {
	if o.DialContext == nil {
		o.DialContext = p.DialContext
	}
	if o.LookupHost == nil {
		o.LookupHost = Lookup("192.0.2.1")
	}
	if o.Timeouts == (dicomnet.Timeouts{}) {
		o.Timeouts = dicomnet.Timeouts{Connection: Timeout, ACSE: Timeout, DIMSE: Timeout, Network: Timeout}
	}
	if o.Now == nil {
		o.Now = func() time.Time { return Today }
	}
	return New(o)
}

// Lookup returns a LookupHost for which every name has the addresses.
func Lookup(addresses ...string) func(context.Context, string) ([]string, error) {
	return func(context.Context, string) ([]string, error) { return addresses, nil }
}

// NoDial is a DialContext that fails the test.
func NoDial(context.Context, string, string) (net.Conn, error) {
	panic("dialled although there is nothing to ask")
}

// PACS is a peer with a host name, for tests in which its address does not matter.
var PACS = qr.Peer{Host: "pacs.example", Port: 104, CalledAETitle: "PACS", CallingAETitle: "GATEWAY"}

// Called returns PACS under another called AE title.
func Called(aeTitle string) qr.Peer {
	p := PACS
	p.CalledAETitle = aeTitle
	return p
}

// At returns the peer with the AE title PACS at an address of the form host:port.
func At(t testing.TB, address string) qr.Peer {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	return qr.Peer{Host: host, Port: n, CalledAETitle: "PACS", CallingAETitle: "GATEWAY"}
}

// Archive starts an in-memory PACS with the studies on loopback. It is closed at the end of the test.
func Archive(t testing.TB, c dicomtest.PACSConfig, studies ...dicomtest.Study) (*dicomtest.PACS, qr.Peer) {
	t.Helper()
	p := dicomtest.NewPACS(c)
	require.NoError(t, p.AddStudies(studies...))
	require.NoError(t, p.Listen("127.0.0.1:0"))
	t.Cleanup(func() { assert.NoError(t, p.Close()) })
	peer := At(t, p.Addr())
	peer.CalledAETitle = c.AETitle
	return p, peer
}

// Events waits for the end of the associations and returns what the PACS received, a line an event. Nothing of it may have
// broken the protocol.
func Events(t *testing.T, p *dicomtest.ScriptedPACS, g *Gateway) []string {
	t.Helper()
	require.NoError(t, g.Wait(t.Context()))
	assert.NoError(t, p.Err())
	return Lines(p)
}

// Lines returns what the PACS has received so far, a line an event.
func Lines(p *dicomtest.ScriptedPACS) []string {
	var lines []string
	for _, e := range p.Events() {
		lines = append(lines, e.String())
	}
	return lines
}

// Drain is Events after the idle associations are released. No slot may be in use then.
func Drain(t *testing.T, p *dicomtest.ScriptedPACS, g *Gateway) []string {
	t.Helper()
	g.Drain()
	events := Events(t, p, g)
	assert.Zero(t, g.Idle())
	assert.Zero(t, g.InUse(), "no slot is lost")
	return events
}

// Query queries PACS for the studies of patient P1.
func Query(ctx context.Context, g *Gateway) error {
	_, err := g.Query(ctx, qr.Call{}, PACS, qr.Filter{PatientID: "P1"})
	return err
}

// UIDs returns the Study Instance UIDs of the studies.
func UIDs(studies []qr.Study) []string {
	uids := make([]string, 0, len(studies))
	for i := range studies {
		uids = append(uids, studies[i].StudyInstanceUID)
	}
	return uids
}

// StepOf returns the step of err, which must be a *dicomnet.OpError.
func StepOf(t *testing.T, err error) dicomnet.Step {
	t.Helper()
	var op *dicomnet.OpError
	require.ErrorAs(t, err, &op)
	return op.Step
}

// Outcomes returns the steps of a report as "step status".
func Outcomes(r *qr.EchoReport) []string {
	list := make([]string, 0, len(r.Steps))
	for i := range r.Steps {
		list = append(list, string(r.Steps[i].Step)+" "+string(r.Steps[i].Status))
	}
	return list
}

// FailedStep returns the last step of a report, which must have failed, with the report's error, as the only one.
func FailedStep(t *testing.T, r *qr.EchoReport) *qr.EchoStep {
	t.Helper()
	require.Error(t, r.Err)
	require.NotEmpty(t, r.Steps)
	last := &r.Steps[len(r.Steps)-1]
	assert.Equal(t, qr.EchoFailed, last.Status)
	assert.Equal(t, last.Step, StepOf(t, r.Err), "the error names the same step")
	assert.Error(t, last.Err)
	for i := range r.Steps[:len(r.Steps)-1] {
		assert.NotEqual(t, qr.EchoFailed, r.Steps[i].Status)
		assert.NoError(t, r.Steps[i].Err)
	}
	return last
}
