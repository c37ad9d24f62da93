package qr_test

import (
	"context"
	"crypto/tls"
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
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
	"dicom-qr-gateway/server/problem"
)

// hintOf returns the hint about the last step of a report, which must have failed and be the only one with a hint.
func hintOf(t *testing.T, r *qr.EchoReport, withTLS bool) string {
	t.Helper()
	qrtest.FailedStep(t, r)
	last := len(r.Steps) - 1
	for i := range last {
		assert.Empty(t, problem.EchoHint(r, i, withTLS))
	}
	hint := problem.EchoHint(r, last, withTLS)
	assert.NotEmpty(t, hint)
	return hint
}

// numbered returns the PACS under an IP address.
func numbered(address string) qr.Peer {
	p := qrtest.PACS
	p.Host = address
	return p
}

func TestEchoReportsWhatItLearnsAtEachStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, script := qrtest.ForScript(func(p *dicomtest.ScriptedPeer) {
			p.ReadAssociateRQ()
			dicomtest.Wait(2 * time.Second)
			p.SendPDU(p.AC(dataset.ExplicitVRLittleEndian))
			rq := p.ReadRequest(dicomnet.CEchoRQ)
			dicomtest.Wait(3 * time.Second)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
			dicomtest.Wait(time.Second)
			p.Release()
		}, qrtest.Options{LookupHost: func(_ context.Context, host string) ([]string, error) {
			assert.Equal(t, "pacs.example", host)
			dicomtest.Wait(time.Second)
			return []string{"192.0.2.10", "192.0.2.11"}, nil
		}})

		start := time.Now()
		report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)

		require.NoError(t, report.Err)
		assert.Equal(t, 6*time.Second, time.Since(start), "Echo does not wait for the release")
		accepted := func(id byte, service, sopClass string) qr.EchoContext {
			return qr.EchoContext{Service: service, NegotiatedContext: dicomnet.NegotiatedContext{
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
		require.NoError(t, script.Err(), "the association is released")
	})
}

func TestEchoIsTraced(t *testing.T) {
	ended := make(chan dicomnet.Summary, 1)
	trace := &dicomnet.Trace{Ended: func(_ context.Context, s dicomnet.Summary) { ended <- s }}
	g, script := qrtest.ForScript(qrtest.AnswerEcho, qrtest.Options{Trace: func(qr.Peer) *dicomnet.Trace { return trace }})
	report := g.Echo(t.Context(), qr.Call{}, numbered("192.0.2.10"))
	require.NoError(t, report.Err)
	require.NoError(t, g.Wait(t.Context()))
	require.NoError(t, script.Err())
	assert.Equal(t, "released", (<-ended).Outcome)
}

func TestEchoOfAnAddressLooksNothingUp(t *testing.T) {
	for _, address := range []string{"192.0.2.10", "2001:db8::10"} {
		g, script := qrtest.ForScript(qrtest.AnswerEcho, qrtest.Options{
			LookupHost: func(context.Context, string) ([]string, error) {
				t.Error("an address was looked up")
				return nil, nil
			},
		})
		report := g.Echo(t.Context(), qr.Call{}, numbered(address))
		require.NoError(t, report.Err)
		assert.Equal(t, []string{address}, report.Steps[0].Addresses)
		assert.Equal(t, net.JoinHostPort(address, "104"), report.Steps[1].Address)
		require.NoError(t, g.Wait(t.Context()))
		require.NoError(t, script.Err())
	}
}

func TestEchoOverTCP(t *testing.T) {
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
	assert.Contains(t, hintOf(t, report, false), "does not answer to this called AE title")
	require.NoError(t, g.Wait(t.Context()))
	require.NoError(t, pacs.Close())

	report = g.Echo(t.Context(), qr.Call{}, peer)
	assert.Equal(t, []string{"resolve ok", "connect failed"}, qrtest.Outcomes(report))
	assert.Contains(t, hintOf(t, report, false), "nothing accepts connections on this port")
	assert.EqualError(t, report.Err, "connect: cannot connect", "without the address")
}

func TestEchoWithAnInvalidAETitleBeginsNoStep(t *testing.T) {
	g := qrtest.New(qrtest.Options{DialContext: qrtest.NoDial})
	peer := numbered("192.0.2.10")
	peer.CallingAETitle = `\`
	report := g.Echo(t.Context(), qr.Call{}, peer)
	assert.Empty(t, report.Steps)
	var config *dicomnet.ConfigError
	assert.ErrorAs(t, report.Err, &config)
}

// Addresses refuse, are silent, or connect after a while.
func TestEchoTriesEachAddress(t *testing.T) {
	const attemptDelay = 300 * time.Millisecond // see pool.race
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	behaviours := map[string]func(ctx context.Context, s *dicomtest.Script) (net.Conn, error){
		"192.0.2.1:104": func(context.Context, *dicomtest.Script) (net.Conn, error) { return nil, refused },
		"192.0.2.2:104": func(ctx context.Context, _ *dicomtest.Script) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
		"192.0.2.3:104": func(ctx context.Context, s *dicomtest.Script) (net.Conn, error) { return s.DialContext(ctx, "", "") },
		"192.0.2.4:104": func(ctx context.Context, _ *dicomtest.Script) (net.Conn, error) {
			<-ctx.Done()
			ours, theirs := net.Pipe()
			return ours, theirs.Close() // connects, but too late
		},
	}
	for _, test := range []struct {
		name      string
		addresses []string
		took      time.Duration
		connected string
	}{
		{"the first connects", []string{"192.0.2.3", "192.0.2.2"}, 0, "192.0.2.3:104"},
		{"the first refuses", []string{"192.0.2.1", "192.0.2.3"}, 0, "192.0.2.3:104"},
		{"the first is silent", []string{"192.0.2.2", "192.0.2.4", "192.0.2.1", "192.0.2.3"}, 2 * attemptDelay, "192.0.2.3:104"},
		{"all refuse", []string{"192.0.2.1", "192.0.2.1"}, 0, ""},
		{"none connects in time", []string{"192.0.2.1", "192.0.2.2"}, 10 * time.Second, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := &dicomtest.Script{Play: qrtest.AnswerEcho}
				g, _ := qrtest.ForScript(nil, qrtest.Options{
					LookupHost: qrtest.Lookup(test.addresses...),
					DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
						return behaviours[address](ctx, script)
					},
				})
				report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
				assert.Equal(t, test.took, report.Steps[1].Duration)
				assert.Equal(t, test.connected, report.Steps[1].Address)
				if test.connected == "" {
					hintOf(t, report, false)
				}
				require.NoError(t, g.Wait(t.Context()))
				require.NoError(t, script.Err())
			})
		})
	}
}

func TestResolveConnectAndTLSShareTheConnectionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := &dicomtest.Script{Play: func(p *dicomtest.ScriptedPeer) { p.ReadPDU() }}
		g, _ := qrtest.ForScript(nil, qrtest.Options{
			LookupHost: func(context.Context, string) ([]string, error) {
				dicomtest.Wait(3 * time.Second)
				return []string{"192.0.2.1"}, nil
			},
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				dicomtest.Wait(4 * time.Second)
				return script.DialContext(ctx, network, address)
			},
		})
		peer := qrtest.PACS
		peer.TLS = true
		report := g.Echo(t.Context(), qr.Call{}, peer)
		assert.Equal(t, []string{"resolve ok", "connect ok", "tls failed"}, qrtest.Outcomes(report))
		assert.Equal(t, 3*time.Second, qrtest.FailedStep(t, report).Duration, "resolve and connect left 3 s of 10 s")
		assert.Contains(t, hintOf(t, report, true), "the TLS handshake did not finish within CONNECTION_TIMEOUT")
		_ = script.Err() // the peer reads no PDU
	})
}

func TestEchoEndsWithItsContextAndTheOperationTimeout(t *testing.T) {
	silent := func(p *dicomtest.ScriptedPeer) { p.ReadAssociateRQ(); p.ExpectAbort(pdu.SourceUser, 0) }
	t.Run("cancelled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, script := qrtest.ForScript(silent, qrtest.Options{})
			cause := errors.New("caller disconnected")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cause) })
			report := g.Echo(ctx, qr.Call{}, qrtest.PACS)
			assert.Equal(t, []string{"resolve ok", "connect ok", "tls skipped", "associate failed"}, qrtest.Outcomes(report))
			assert.Contains(t, hintOf(t, report, false), "cancelled")
			assert.ErrorIs(t, report.Err, context.Canceled)
			assert.ErrorIs(t, report.Err, cause)
			require.NoError(t, script.Err())
		})
	})
	t.Run("deadline of the caller", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, script := qrtest.ForScript(silent, qrtest.Options{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			assert.Contains(t, hintOf(t, g.Echo(ctx, qr.Call{}, qrtest.PACS), false), "time for the whole operation")
			require.NoError(t, script.Err())
		})
	})
	t.Run("operation timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := qrtest.New(qrtest.Options{
				OperationTimeout: time.Second,
				LookupHost: func(ctx context.Context, _ string) ([]string, error) {
					<-ctx.Done()
					return nil, &net.DNSError{Err: "canceled", Name: "pacs.example"}
				},
			})
			report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
			assert.Contains(t, hintOf(t, report, false), "OPERATION_TIMEOUT")
			assert.Equal(t, pool.StepResolve, report.Steps[0].Step)
			assert.EqualError(t, report.Err, "resolve: operation timeout")
		})
	})
}

func TestEchoReportsWhoAcceptedTheAssociationWithoutItsContexts(t *testing.T) {
	g, script := qrtest.ForScript(qrtest.AcceptContexts(func(p *dicomtest.ScriptedPeer) { p.ExpectAbort(pdu.SourceUser, 0) }), qrtest.Options{})
	last := qrtest.FailedStep(t, g.Echo(t.Context(), qr.Call{}, qrtest.PACS))
	require.NoError(t, script.Err())
	assert.Equal(t, "SCRIPT", last.Peer.ImplementationVersionName)
	require.Len(t, last.Contexts, 3)
	assert.Equal(t, "C-MOVE", last.Contexts[2].Service)
	assert.Equal(t, dicomnet.ContextAbstractSyntaxNotSupported, last.Contexts[2].Result)
}

func TestEchoReportsNoPeerAfterARejection(t *testing.T) {
	g, script := qrtest.ForScript(qrtest.Reject(1, 1, 7), qrtest.Options{})
	last := qrtest.FailedStep(t, g.Echo(t.Context(), qr.Call{}, qrtest.PACS))
	require.NoError(t, script.Err())
	assert.Nil(t, last.Peer)
	assert.Empty(t, last.Contexts)
}

func TestEchoReportsTheTLSConnection(t *testing.T) {
	authority := qrtest.NewAuthority(t, "Test Authority")
	cert := authority.Issue(-time.Hour, time.Hour)
	secured := false
	trace := &dicomnet.Trace{Secured: func(context.Context, tls.ConnectionState) { secured = true }}
	g := qrtest.New(qrtest.Options{TLS: authority.Client(), Trace: func(qr.Peer) *dicomnet.Trace { return trace }})
	for version, suite := range map[uint16]string{tls.VersionTLS12: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", tls.VersionTLS13: "TLS_AES_128_GCM_SHA256"} {
		server := &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version}
		report := g.Echo(t.Context(), qr.Call{}, qrtest.Listen(t, server, qrtest.AnswerEcho))
		require.NoError(t, report.Err)
		assert.Equal(t, []string{"resolve ok", "connect ok", "tls ok", "associate ok", "echo ok"}, qrtest.Outcomes(report))
		s := report.Steps[2]
		assert.Positive(t, s.Duration)
		assert.Equal(t, tls.VersionName(version), s.TLSVersion)
		assert.Equal(t, suite, s.CipherSuite)
		assert.Equal(t, &qr.Certificate{
			Subject: "CN=pacs.example,L=Hospital", Issuer: "CN=Test Authority", Expires: cert.Leaf.NotAfter,
		}, s.Certificate)
		require.NoError(t, g.Wait(t.Context()))
	}
	assert.True(t, secured, "the trace sees the handshake too")
}
