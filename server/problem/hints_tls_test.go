package qr

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// authority is a certification authority of a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	now := time.Now()
	a.cert, a.key = a.certificate(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(24 * time.Hour),
	})
	return a
}

// certificate makes one of the template, signed by the authority or, for its own, by itself.
func (a *authority) certificate(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template.SerialNumber = big.NewInt(1)
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	require.NoError(a.t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(a.t, err)
	return cert, key
}

// issue makes a certificate of pacs.example and 127.0.0.1, unless change says otherwise, that is valid from and until that
// long from now.
func (a *authority) issue(from, until time.Duration, change ...func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: "pacs.example", Locality: []string{"Hospital"}},
		DNSNames: []string{"pacs.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until),
	}
	for _, f := range change {
		f(template)
	}
	cert, key := a.certificate(template)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// front plays on connections over loopback, with cfg's TLS; nil is without.
func front(t *testing.T, cfg *tls.Config, play func(*dicomtest.Peer)) Peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	if cfg != nil {
		l = tls.NewListener(l, cfg)
	}
	script := &dicomtest.Script{Play: play}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			script.Go(conn)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-accepted
		_ = script.Err() // where the handshake fails there is nothing to play
	})
	return Peer{Host: "127.0.0.1", Port: port, CalledAETitle: "PACS", CallingAETitle: "GATEWAY", TLS: true}
}

func TestEchoTellsHowAConnectionIsSecured(t *testing.T) {
	ca := newAuthority(t, "Test Authority")
	cert := ca.issue(-time.Hour, time.Hour)
	g := New(Options{TLS: &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12}})
	secured := false
	g.options.Trace = &dicomnet.Trace{Secured: func(context.Context, tls.ConnectionState) { secured = true }}
	for version, suite := range map[uint16]string{tls.VersionTLS12: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", tls.VersionTLS13: "TLS_AES_128_GCM_SHA256"} {
		report := g.Echo(t.Context(), front(t, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version}, passes))
		require.NoError(t, report.Err)
		assert.Equal(t, []string{"resolve ok", "connect ok", "tls ok", "associate ok", "echo ok"}, outcomes(report))
		s := report.Steps[2]
		assert.Positive(t, s.Duration)
		assert.Equal(t, tls.VersionName(version), s.TLSVersion)
		assert.Equal(t, suite, s.CipherSuite)
		assert.Equal(t, &Certificate{
			Subject: "CN=pacs.example,L=Hospital", Issuer: "CN=Test Authority", Expires: cert.Leaf.NotAfter,
		}, s.Certificate)
		require.NoError(t, g.Wait(t.Context()))
	}
	assert.True(t, secured, "the trace is told too")
}

func TestEveryWayInWhichTLSFailsHasItsHint(t *testing.T) {
	ca, stranger := newAuthority(t, "Test Authority"), newAuthority(t, "Stranger")
	namesake := newAuthority(t, "Test Authority")
	good := ca.issue(-time.Hour, time.Hour)
	serving := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	mutual := func(version uint16) *tls.Config {
		return &tls.Config{
			Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool(), MaxVersion: version,
		}
	}
	otherName := func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"other.example"}, nil }
	notForServers := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }
	for name, test := range map[string]struct {
		server *tls.Config
		ours   []tls.Certificate
		hint   string
		shown  bool // the certificate of the peer
	}{
		"expired":              {serving(ca.issue(-2*time.Hour, -time.Hour)), nil, "has expired: it must be renewed there", true},
		"not valid yet":        {serving(ca.issue(time.Hour, 2*time.Hour)), nil, "not valid yet. Check the clocks", true},
		"other name":           {serving(ca.issue(-time.Hour, time.Hour, otherName)), nil, "for another name", true},
		"unknown authority":    {serving(stranger.issue(-time.Hour, time.Hour)), nil, "an authority that the gateway does not trust", true},
		"not for servers":      {serving(ca.issue(-time.Hour, time.Hour, notForServers)), nil, "cannot stand for a server", true},
		"no TLS":               {nil, nil, "does not speak TLS", false},
		"none of ours, 1.3":    {mutual(0), nil, "wants a certificate of the gateway and got none", true},
		"none of ours, 1.2":    {mutual(tls.VersionTLS12), nil, "or wants a certificate of the gateway", false},
		"ours is a stranger's": {mutual(0), []tls.Certificate{stranger.issue(-time.Hour, time.Hour)}, "wants a certificate of the gateway and got none", true},
		"ours is a namesake's": {mutual(0), []tls.Certificate{namesake.issue(-time.Hour, time.Hour)}, "does not trust the authority of the gateway's certificate", true},
		"ours has expired":     {mutual(0), []tls.Certificate{ca.issue(-2*time.Hour, -time.Hour)}, "the gateway's certificate has expired", true},
		"old TLS":              {&tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, nil, "no version of TLS in common", false},
		"old ciphers": {
			&tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}},
			nil, "found no TLS settings in common", false,
		},
		"no certificate for us": {
			&tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("who is that") }},
			nil, "could not agree on TLS", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			play := passes
			if test.server == nil {
				play = func(p *dicomtest.Peer) { _, _ = p.Conn.Read(make([]byte, 1000)); aborting(p) }
			}
			g := New(Options{
				Timeouts: dicomnet.Timeouts{Connection: time.Minute, ACSE: time.Minute, DIMSE: time.Minute, Network: time.Minute},
				TLS:      &tls.Config{RootCAs: ca.pool(), Certificates: test.ours, MinVersion: tls.VersionTLS12},
			})
			report := g.Echo(t.Context(), front(t, test.server, play))
			assert.Equal(t, []string{"resolve ok", "connect ok", "tls failed"}, outcomes(report))
			last := failing(t, report)
			assert.Contains(t, last.Hint, test.hint)
			assert.Equal(t, test.shown, last.Certificate != nil)
			assert.EqualError(t, report.Err, "tls: TLS handshake failed", "without a name")
		})
	}
}

func TestAPeerThatClosesInsteadOfAHandshake(t *testing.T) {
	g := New(Options{})
	report := g.Echo(t.Context(), front(t, nil, func(p *dicomtest.Peer) { _, _ = p.Conn.Read(make([]byte, 1000)) }))
	assert.Contains(t, failing(t, report).Hint, "closed the connection during the handshake")
}

func TestAPeerThatClosesAfterTheHandshake(t *testing.T) {
	ca := newAuthority(t, "Test Authority")
	cfg := &tls.Config{Certificates: []tls.Certificate{ca.issue(-time.Hour, time.Hour)}}
	g := New(Options{TLS: &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12}})
	report := g.Echo(t.Context(), front(t, cfg, func(p *dicomtest.Peer) { p.ReadAssociateRQ() }))
	assert.Equal(t, "associate failed", outcomes(report)[3])
	assert.Contains(t, failing(t, report).Hint, "may also have refused the gateway's certificate")
	assert.NotContains(t, report.Steps[3].Hint, "pacs_tls")
}

func TestAPeerThatExpectsTLSIsTold(t *testing.T) {
	ca := newAuthority(t, "Test Authority")
	peer := front(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(-time.Hour, time.Hour)}}, passes)
	peer.TLS = false
	assert.Contains(t, failing(t, New(Options{}).Echo(t.Context(), peer)).Hint, "may expect TLS (pacs_tls)")
}

// refusal is a fault as crypto/tls reports an alert of the peer.
func refusal(a tls.AlertError) *fault {
	return &fault{err: &dicomnet.TLSError{Err: &net.OpError{Op: "remote error", Err: a}}}
}

func TestAlertsAreToldApart(t *testing.T) {
	for a, want := range map[tls.AlertError]string{
		40: "found no TLS settings in common", 42: "refuses the gateway's certificate", 43: "refuses the gateway's certificate",
		44: "refuses the gateway's certificate", 45: "has expired", 46: "refuses the gateway's certificate",
		48: "does not trust the authority of the gateway's certificate", 49: "refuses the gateway's certificate",
		70: "no version of TLS in common", 71: "found no TLS settings in common", 80: "could not agree on TLS",
		112: "Set DICOM_TLS_SERVER_NAME", 116: "wants a certificate of the gateway",
	} {
		assert.Contains(t, hintFor(dicomnet.StepTLS, refusal(a)), want, strconv.Itoa(int(a)))
	}
	ours := &fault{err: &net.OpError{Op: "local error", Err: tls.AlertError(48)}}
	assert.Contains(t, hintFor(dicomnet.StepTLS, ours), "could not agree on TLS", "alerts of our own tell nothing of our certificate")
}

func TestAnUnknownStepHasAHint(t *testing.T) {
	assert.NotEmpty(t, hintFor(dicomnet.StepStore, &fault{err: errors.New("something")}))
}

func TestNamesOfCertificatesArePrintableAndShort(t *testing.T) {
	ca := newAuthority(t, "Test Authority")
	cert := ca.issue(-time.Hour, time.Hour, func(c *x509.Certificate) {
		c.Subject.CommonName = "Ärzte\r\n\u202e" + strings.Repeat("é", 1000)
	})
	subject := certificateOf([]*x509.Certificate{cert.Leaf}).Subject
	assert.True(t, strings.HasPrefix(subject, "CN=Ärzte...é"), subject)
	assert.Len(t, []rune(subject), maxName)
	assert.Nil(t, certificateOf(nil))
}
