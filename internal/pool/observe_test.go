package pool_test

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
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// stepRecorder records the steps that an Observer sees, a line a step, and whether two overlap.
type stepRecorder struct {
	qr.Unobserved
	mu      sync.Mutex
	lines   []string
	running int
	overlap bool
}

func (r *stepRecorder) Step(ctx context.Context, s pool.PeerStep) (context.Context, func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running++
	r.overlap = r.overlap || r.running > 1
	return ctx, func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.running--
		line := string(s.Name)
		if err != nil {
			line += ": " + err.Error()
		}
		r.lines = append(r.lines, line)
	}
}

// all returns the steps once all are over.
func (r *stepRecorder) all(t *testing.T, g *qrtest.Gateway) []string {
	t.Helper()
	require.NoError(t, g.Wait(t.Context()))
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.Zero(t, r.running, "each step has an end")
	assert.False(t, r.overlap, "steps do not overlap")
	return r.lines
}

func TestObserverSeesEachStepOfARetrieve(t *testing.T) {
	var steps stepRecorder
	p := &dicomtest.ScriptedPACS{Studies: threeStudies()[:2], Move: func(a *association, uid string) {
		if uid == "1.3" {
			a.Moved(dicomnet.StatusMoveDestination, dicomtest.NoCounters)
			return
		}
		a.Moved(dicomnet.StatusSuccess, dicomtest.NoCounters)
	}}
	g := qrtest.For(p, qrtest.Options{})
	_, err := g.Retrieve(t.Context(), qr.Call{Observer: &steps}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST")
	require.NoError(t, err)
	assert.Equal(t, []string{
		"resolve", "queue", "connect", "associate", "find", "move", "move: move: status A801: refused: move destination unknown", "release",
	}, steps.all(t, g))
}

func TestObserverSeesTheCauseOfAFailedStep(t *testing.T) {
	var steps stepRecorder
	call := qr.Call{Observer: &steps}
	p := rejecting(dicomtest.CalledAETitleNotRecognized, -1)
	g := qrtest.For(p, qrtest.Options{})
	_, err := g.Query(t.Context(), call, qrtest.PACS, qr.Filter{PatientID: "P1"})
	require.Error(t, err)
	report := g.Echo(t.Context(), call, qrtest.PACS)
	require.Error(t, report.Err)
	once := []string{"resolve", "queue", "connect", "associate: " + err.Error()}
	assert.Equal(t, append(once, once...), steps.all(t, g))
}

func TestObserverAndTraceSeeTheTLSHandshake(t *testing.T) {
	var steps stepRecorder
	var traced []string
	authority := qrtest.NewAuthority(t, "Test Authority")
	trace := &dicomnet.Trace{
		Connected:   func(context.Context, net.Addr) { traced = append(traced, "connected") },
		Secured:     func(context.Context, tls.ConnectionState) { traced = append(traced, "secured") },
		Established: func(_ context.Context, s dicomnet.Summary) { traced = append(traced, "established "+s.CalledAETitle) },
	}
	g := qrtest.New(qrtest.Options{TLS: authority.Client(), Trace: func(qr.Peer) *dicomnet.Trace { return trace }})
	peer := qrtest.Listen(t, authority.Server(), qrtest.AnswerEcho)
	report := g.Echo(t.Context(), qr.Call{Observer: &steps}, peer)
	require.NoError(t, report.Err)
	assert.Equal(t, []string{"queue", "connect", "tls", "associate", "echo", "release"}, steps.all(t, g))
	assert.Equal(t, []string{"connected", "secured", "established PACS"}, traced)
}

func TestTraceIsAskedForOnceANewAssociation(t *testing.T) {
	var peers []qr.Peer
	p := &dicomtest.ScriptedPACS{
		Studies: threeStudies()[:1],
		Negotiate: func(a *association) bool { // C-MOVE only on an association of its own
			return len(a.RQ.Contexts) != 2 || a.Refuse(dicomnet.StudyRoot.Move)
		},
	}
	o := reusing(time.Minute)
	o.Trace = func(peer qr.Peer) *dicomnet.Trace {
		peers = append(peers, peer)
		return nil
	}
	g := qrtest.For(p, o)
	other := qrtest.Called("OTHER")
	for range 2 {
		require.NoError(t, qrtest.Query(t.Context(), g)) // the second reuses the association of the first
	}
	result, err := g.Retrieve(t.Context(), qr.Call{}, other, qr.Filter{PatientID: "P1"}, "DEST")
	require.NoError(t, err)
	assert.Equal(t, 1, result.Succeeded())
	require.NoError(t, g.Echo(t.Context(), qr.Call{}, qrtest.PACS).Err)
	qrtest.Drain(t, p, g)
	assert.Equal(t, []qr.Peer{qrtest.PACS, other, other, qrtest.PACS}, peers)
	assert.Len(t, p.Requests(), len(peers))
}
