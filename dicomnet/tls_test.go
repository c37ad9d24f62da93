package dicomnet_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// authority is a certification authority for tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	a.key = key
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return a
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue returns a certificate for name that expires after the duration.
func (a *authority) issue(name string, expires time.Duration) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(expires),
	}, a.cert, key.Public(), a.key)
	require.NoError(a.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// tlsServer serves C-ECHO on loopback over TLS with cfg, or without TLS if cfg is nil.
func tlsServer(t *testing.T, cfg *tls.Config) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = l.Addr().String()
	if cfg != nil {
		l = tls.NewListener(l, cfg)
	}
	s := server()
	s.Handler.Echo = func(context.Context, *dicomnet.Request) dicomnet.Status { return 0 }
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return address
}

func TestDialOverTLS(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	good := &tls.Config{Certificates: []tls.Certificate{ca.issue("pacs.example", time.Hour)}}
	mutual := func(version uint16) *tls.Config {
		return &tls.Config{
			Certificates: good.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool(), MaxVersion: version,
		}
	}
	ours := func(cert ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: ca.pool(), Certificates: cert, MinVersion: tls.VersionTLS12}
	}
	for _, test := range []struct {
		name           string
		server, client *tls.Config
		ok             bool
		step           dicomnet.Step
	}{
		{name: "address in the certificate", server: good, client: ours(), ok: true},
		{name: "configured server name", server: good, client: &tls.Config{RootCAs: ca.pool(), ServerName: "pacs.example"}, ok: true},
		{name: "mutual, TLS 1.3", server: mutual(0), client: ours(ca.issue("gateway", time.Hour)), ok: true},
		{name: "mutual, TLS 1.2", server: mutual(tls.VersionTLS12), client: ours(ca.issue("gateway", time.Hour)), ok: true},
		{name: "wrong name", server: good, client: &tls.Config{RootCAs: ca.pool(), ServerName: "other.example"}, step: dicomnet.StepTLS},
		{name: "expired", server: &tls.Config{Certificates: []tls.Certificate{ca.issue("pacs", -time.Hour)}}, client: ours(), step: dicomnet.StepTLS},
		{name: "untrusted", server: &tls.Config{Certificates: []tls.Certificate{stranger.issue("pacs", time.Hour)}}, client: ours(), step: dicomnet.StepTLS},
		{name: "client certificate missing, seen at the first read (TLS 1.3)", server: mutual(0), client: ours(), step: dicomnet.StepTLS},
		{name: "client certificate missing (TLS 1.2)", server: mutual(tls.VersionTLS12), client: ours(), step: dicomnet.StepTLS},
		{name: "client certificate untrusted", server: mutual(0), client: ours(stranger.issue("gateway", time.Hour)), step: dicomnet.StepTLS},
		{name: "client certificate expired", server: mutual(0), client: ours(ca.issue("gateway", -time.Hour)), step: dicomnet.StepTLS},
		{name: "peer without TLS", server: nil, client: ours(), step: dicomnet.StepTLS},
		{name: "peer with TLS, requestor without", server: good, client: nil, step: dicomnet.StepAssociate},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := config()
			cfg.TLS = test.client
			var secured uint16
			cfg.Trace = &dicomnet.Trace{
				Secured: func(_ context.Context, state tls.ConnectionState) { secured = state.Version },
			}
			a, err := dicomnet.Dial(t.Context(), tlsServer(t, test.server), cfg)
			if test.ok {
				require.NoError(t, err)
				require.GreaterOrEqual(t, secured, uint16(tls.VersionTLS12))
				require.NoError(t, a.Echo(t.Context()))
				require.NoError(t, a.Close())
				return
			}
			requireStep(t, err, test.step)
			if test.step == dicomnet.StepTLS {
				var failed *dicomnet.TLSError
				require.ErrorAs(t, err, &failed)
				require.EqualError(t, err, "tls: TLS handshake failed", "the text contains no name from a certificate")
				return
			}
			// crypto/tls closes without an alert. TestDialRecognisesPeersThatDoNotSpeakDICOM covers
			// the alert that OpenSSL sends.
			require.ErrorIs(t, err, dicomnet.ErrConnectionLost)
		})
	}
}

func TestStalledTLSHandshakeTimesOut(t *testing.T) {
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		dicomtest.Wait(time.Minute)
	}, func(t *testing.T, cfg dicomnet.Config) {
		cfg.TLS = &tls.Config{InsecureSkipVerify: true}
		start := time.Now()
		_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		requireTimeout(t, err, dicomnet.TimerConnection)
		requireStep(t, err, dicomnet.StepTLS)
		require.Equal(t, timeouts.Connection, time.Since(start))
	})
}

func TestTLSReadsContinueAfterACancel(t *testing.T) {
	ca := newAuthority(t)
	script := &dicomtest.Script{Play: func(p *dicomtest.ScriptedPeer) {
		p.Accept()
		rq := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")))
		expectCancel(p, rq)
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusCancel, nil))
		p.Release()
	}}
	cfg := config()
	cfg.TLS = &tls.Config{RootCAs: ca.pool(), ServerName: "pacs", MinVersion: tls.VersionTLS12}
	cfg.DialContext = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := dicomtest.Pipe(0)
		script.Go(tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{ca.issue("pacs", time.Hour)}, MinVersion: tls.VersionTLS12}))
		return ours, nil
	}
	a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range a.Find(ctx, dicomnet.StudyRoot, query()) {
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	require.True(t, a.Usable())
	require.NoError(t, a.Close())
	require.NoError(t, script.Err())
}

// The peer sends an alert and closes before the A-ASSOCIATE-RQ is written.
func TestTLSAlertIsReadAfterAFailedWrite(t *testing.T) {
	ca := newAuthority(t)
	ours, theirs := dicomtest.Pipe(0)
	refused := make(chan struct{})
	go func() {
		defer close(refused)
		c := tls.Server(theirs, &tls.Config{
			Certificates: []tls.Certificate{ca.issue("pacs", time.Hour)}, MinVersion: tls.VersionTLS13,
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool(),
		})
		assert.Error(t, c.HandshakeContext(context.Background()))
		_ = theirs.Close()
	}()
	cfg := config()
	cfg.TLS = &tls.Config{RootCAs: ca.pool(), ServerName: "pacs", MinVersion: tls.VersionTLS13}
	cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
	cfg.Trace = &dicomnet.Trace{Secured: func(context.Context, tls.ConnectionState) { <-refused }}
	_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
	requireStep(t, err, dicomnet.StepTLS)
}
