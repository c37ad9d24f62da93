package qr_test

import (
	"dicom-qr-gateway/qr/qrtest"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/internal/pool"

	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// echoing makes a Gateway for which every name has these addresses and every connection leads to play.
func echoing(play func(p *dicomtest.Peer), addresses ...string) (*qrtest.Gateway, *dicomtest.Script) {
	script := &dicomtest.Script{Play: play}
	return qrtest.New(qrtest.Options{
		Timeouts: dicomnet.Timeouts{
			Connection: 10 * time.Second, ACSE: 11 * time.Second, DIMSE: 12 * time.Second, Network: 13 * time.Second,
		},
		DialContext: script.DialContext,
		LookupHost:  func(context.Context, string) ([]string, error) { return addresses, nil },
	}), script
}

// outcomes are the steps of a report as "step status".
func qrtest.Outcomes(r *qr.EchoReport) []string {
	list := make([]string, 0, len(r.Steps))
	for i := range r.Steps {
		list = append(list, string(r.Steps[i].Step)+" "+string(r.Steps[i].Status))
	}
	return list
}

// failing is the last step of a report, which must be the one that failed and the only one with a fault.
func qrtest.FailedStep(t *testing.T, r *qr.EchoReport) *qr.EchoStep {
	t.Helper()
	require.Error(t, r.Err)
	require.NotEmpty(t, r.Steps)
	last := &r.Steps[len(r.Steps)-1]
	assert.Equal(t, qr.EchoFailed, last.Status)
	assert.Equal(t, last.Step, qrtest.StepOf(t, r.Err), "the error names the same step")
	assert.NotEmpty(t, last.Hint)
	for i := range r.Steps[:len(r.Steps)-1] {
		assert.NotEqual(t, qr.EchoFailed, r.Steps[i].Status)
		assert.Empty(t, r.Steps[i].Hint)
	}
	return last
}

func passes(p *dicomtest.Peer) {
	p.Accept()
	p.SendMessage(dicomtest.Response(p.ReadRequest(dicomnet.CEchoRQ), dicomnet.StatusSuccess, nil))
	p.Release()
}

func TestEchoTellsWhatIsLearntAtEachStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, script := echoing(func(p *dicomtest.Peer) {
			p.ReadAssociateRQ()
			dicomtest.Wait(2 * time.Second)
			p.SendPDU(p.AC(dataset.ExplicitVRLittleEndian))
			rq := p.ReadRequest(dicomnet.CEchoRQ)
			dicomtest.Wait(3 * time.Second)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
			dicomtest.Wait(time.Second)
			p.Release()
		}, "192.0.2.10", "192.0.2.11")
		lookup := g.options.LookupHost
		g.options.LookupHost = func(ctx context.Context, host string) ([]string, error) {
			assert.Equal(t, "pacs.example", host)
			dicomtest.Wait(time.Second)
			return lookup(ctx, host)
		}

		start := time.Now()
		report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)

		require.NoError(t, report.Err)
		assert.Equal(t, 6*time.Second, time.Since(start), "the release goes on behind the answer")
		accepted := func(id byte, service, sopClass string) qr.EchoContext {
			return qr.EchoContext{service, dicomnet.NegotiatedContext{
				ID: id, AbstractSyntax: sopClass, TransferSyntax: dataset.ExplicitVRLittleEndian,
			}}
		}
		assert.Equal(t, []qr.EchoStep{
			{Step: pool.StepResolve, Status: qr.EchoOK, Duration: time.Second, Addresses: []string{"192.0.2.10", "192.0.2.11"}},
			{Step: dicomnet.StepConnect, Status: qr.EchoOK, Address: "192.0.2.10:104"},
			{Step: dicomnet.StepTLS, Status: qr.EchoSkipped},
			{
				Step: dicomnet.StepAssociate, Status: qr.EchoOK, Duration: 2 * time.Second,
				Peer: &dicomnet.PeerInfo{ImplementationClassUID: "2.25.1", ImplementationVersionName: "SCRIPT", MaxPDULength: 16384},
				Contexts: []qr.EchoContext{
					accepted(1, "C-ECHO", dicomnet.VerificationSOPClass),
					accepted(3, "C-FIND", dicomnet.StudyRoot.Find),
					accepted(5, "C-MOVE", dicomnet.StudyRoot.Move),
				},
			},
			{Step: dicomnet.StepEcho, Status: qr.EchoOK, Duration: 3 * time.Second},
		}, report.Steps)
		require.NoError(t, g.Wait(t.Context()))
		require.NoError(t, script.Err(), "the association was released")
	})
}

func TestEchoTellsTheTraceToo(t *testing.T) {
	g, script := echoing(passes)
	ended := make(chan dicomnet.Summary, 1)
	g.options.Trace = &dicomnet.Trace{Ended: func(_ context.Context, s dicomnet.Summary) { ended <- s }}
	report := g.Echo(t.Context(), qr.Call{}, qr.Peer{Host: "192.0.2.10", Port: 104, CalledAETitle: "PACS", CallingAETitle: "GATEWAY"})
	require.NoError(t, report.Err)
	require.NoError(t, g.Wait(t.Context()))
	require.NoError(t, script.Err())
	assert.Equal(t, "released", (<-ended).Outcome)
}

func TestEchoOfAnAddressAsksNoNameServer(t *testing.T) {
	for _, address := range []string{"192.0.2.10", "2001:db8::10"} {
		g, script := echoing(passes)
		g.options.LookupHost = func(context.Context, string) ([]string, error) {
			t.Error("a name server is asked")
			return nil, nil
		}
		report := g.Echo(t.Context(), qr.Call{}, qr.Peer{Host: address, Port: 104, CalledAETitle: "PACS", CallingAETitle: "GATEWAY"})
		require.NoError(t, report.Err)
		assert.Equal(t, []string{address}, report.Steps[0].Addresses)
		assert.Equal(t, net.JoinHostPort(address, "104"), report.Steps[1].Address)
		require.NoError(t, g.Wait(t.Context()))
		require.NoError(t, script.Err())
	}
}

func TestEchoOverTheNetwork(t *testing.T) {
	pacs, peer := qrtest.Archive(t, dicomtest.PACSConfig{AETitle: "PACS"})
	g := qrtest.New(qrtest.Options{})
	peer.Host = "localhost"
	report := g.Echo(t.Context(), qr.Call{}, peer)
	require.NoError(t, report.Err)
	assert.Contains(t, report.Steps[0].Addresses, "127.0.0.1")
	assert.Equal(t, pacs.Addr(), report.Steps[1].Address)
	assert.Equal(t, 1, pacs.Operations(dicomnet.StepEcho))

	peer.CalledAETitle = "OTHER"
	report = g.Echo(t.Context(), qr.Call{}, peer)
	assert.Contains(t, qrtest.FailedStep(t, report).Hint, "does not answer to this called AE title")
	require.NoError(t, g.Wait(t.Context()))
	require.NoError(t, pacs.Close())

	report = g.Echo(t.Context(), qr.Call{}, peer)
	assert.Equal(t, []string{"resolve ok", "connect failed"}, qrtest.Outcomes(report))
	assert.Contains(t, qrtest.FailedStep(t, report).Hint, "nothing takes connections on this port")
	assert.EqualError(t, report.Err, "connect: cannot connect", "without the address")
}

func TestEchoWithATitleThatIsNoneDoesNotBegin(t *testing.T) {
	g, _ := echoing(nil)
	report := g.Echo(t.Context(), qr.Call{}, qr.Peer{Host: "192.0.2.10", Port: 104, CalledAETitle: "PACS", CallingAETitle: `\`})
	assert.Empty(t, report.Steps)
	var config *dicomnet.ConfigError
	assert.ErrorAs(t, report.Err, &config)
}

// A network with addresses that refuse, that are silent, and that connect after a while.
func TestEchoTriesEachAddress(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	behaviours := map[string]func(ctx context.Context, s *dicomtest.Script) (net.Conn, error){
		"192.0.2.1:104": func(context.Context, *dicomtest.Script) (net.Conn, error) { return nil, refused },
		"192.0.2.2:104": func(ctx context.Context, _ *dicomtest.Script) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
		"192.0.2.3:104": func(ctx context.Context, s *dicomtest.Script) (net.Conn, error) { return s.DialContext(ctx, "", "") },
		"192.0.2.4:104": func(ctx context.Context, _ *dicomtest.Script) (net.Conn, error) {
			<-ctx.Done()
			ours, theirs := net.Pipe()
			return ours, theirs.Close() // open, but too late
		},
	}
	for _, test := range []struct {
		name      string
		addresses []string
		took      time.Duration
		connected string
	}{
		{"the first", []string{"192.0.2.3", "192.0.2.2"}, 0, "192.0.2.3:104"},
		{"the next where one refuses", []string{"192.0.2.1", "192.0.2.3"}, 0, "192.0.2.3:104"},
		{"the next beside one that is silent", []string{"192.0.2.2", "192.0.2.4", "192.0.2.1", "192.0.2.3"}, 2 * attemptDelay, "192.0.2.3:104"},
		{"none", []string{"192.0.2.1", "192.0.2.1"}, 0, ""},
		{"none in time", []string{"192.0.2.1", "192.0.2.2"}, 10 * time.Second, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, script := echoing(passes, test.addresses...)
				g.options.DialContext = func(ctx context.Context, _, address string) (net.Conn, error) {
					return behaviours[address](ctx, script)
				}
				report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
				assert.Equal(t, test.took, report.Steps[1].Duration)
				assert.Equal(t, test.connected, report.Steps[1].Address)
				if test.connected == "" {
					qrtest.FailedStep(t, report)
				}
				require.NoError(t, g.Wait(t.Context()))
				require.NoError(t, script.Err())
			})
		})
	}
}

func TestResolveConnectAndTLSShareTheConnectionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, script := echoing(func(p *dicomtest.Peer) { p.ReadPDU() }, "192.0.2.1")
		g.options.LookupHost = func(context.Context, string) ([]string, error) {
			dicomtest.Wait(3 * time.Second)
			return []string{"192.0.2.1"}, nil
		}
		g.options.DialContext = func(ctx context.Context, n, a string) (net.Conn, error) {
			dicomtest.Wait(4 * time.Second)
			return script.DialContext(ctx, n, a)
		}
		peer := qrtest.PACS
		peer.TLS = true
		report := g.Echo(t.Context(), qr.Call{}, peer)
		assert.Equal(t, []string{"resolve ok", "connect ok", "tls failed"}, qrtest.Outcomes(report))
		assert.Equal(t, 3*time.Second, qrtest.FailedStep(t, report).Duration, "what is left of 10 s")
		assert.Contains(t, report.Steps[2].Hint, "no TLS handshake came about within CONNECTION_TIMEOUT")
		_ = script.Err() // the peer reads no PDU
	})
}

func TestEchoEndsWithItsCallerAndWithTheOperationTimeout(t *testing.T) {
	silent := func(p *dicomtest.Peer) { p.ReadAssociateRQ(); p.ExpectAbort(pdu.SourceUser, 0) }
	t.Run("the caller goes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, script := echoing(silent, "192.0.2.1")
			gone := errors.New("gone")
			ctx, leave := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { leave(gone) })
			report := g.Echo(ctx, qr.Call{}, qrtest.PACS)
			assert.Equal(t, []string{"resolve ok", "connect ok", "tls skipped", "associate failed"}, qrtest.Outcomes(report))
			assert.Contains(t, qrtest.FailedStep(t, report).Hint, "cancelled")
			assert.ErrorIs(t, report.Err, context.Canceled)
			assert.ErrorIs(t, report.Err, gone)
			require.NoError(t, script.Err())
		})
	})
	t.Run("the caller's time is over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, script := echoing(silent, "192.0.2.1")
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			assert.Contains(t, qrtest.FailedStep(t, g.Echo(ctx, qr.Call{}, qrtest.PACS)).Hint, "time for the whole check")
			require.NoError(t, script.Err())
		})
	})
	t.Run("the operation timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, _ := echoing(nil)
			g.options.OperationTimeout = time.Second
			g.options.LookupHost = func(ctx context.Context, _ string) ([]string, error) {
				<-ctx.Done()
				return nil, &net.DNSError{Err: "canceled", Name: "pacs.example"}
			}
			report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
			assert.Contains(t, qrtest.FailedStep(t, report).Hint, "OPERATION_TIMEOUT")
			assert.Equal(t, pool.StepResolve, report.Steps[0].Step)
			assert.EqualError(t, report.Err, "resolve: operation timeout")
		})
	})
}
