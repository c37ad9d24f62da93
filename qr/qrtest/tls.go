package qrtest

import (
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

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/qr"
)

// Authority is a certification authority of a test.
type Authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority returns an authority with a certificate of its own.
func NewAuthority(t *testing.T, name string) *Authority {
	t.Helper()
	a := &Authority{t: t}
	now := time.Now()
	a.cert, a.key = a.certificate(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(24 * time.Hour),
	})
	return a
}

// certificate returns one of the template, signed by the authority or, for its own, by itself.
func (a *Authority) certificate(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
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

// Issue returns a certificate of pacs.example and 127.0.0.1, unless a change says otherwise, that is valid between two times
// relative to now.
func (a *Authority) Issue(from, until time.Duration, changes ...func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: "pacs.example", Locality: []string{"Hospital"}},
		DNSNames: []string{"pacs.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until),
	}
	for _, change := range changes {
		change(template)
	}
	cert, key := a.certificate(template)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// Server returns the configuration of a server with a valid certificate of the authority.
func (a *Authority) Server() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.Issue(-time.Hour, time.Hour)}}
}

// Client returns the configuration of a client that trusts the authority.
func (a *Authority) Client() *tls.Config {
	return &tls.Config{RootCAs: a.Pool(), MinVersion: tls.VersionTLS12}
}

// Pool returns a pool with the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Listen plays the script on each connection to a new loopback port, over TLS with c; without TLS if c is nil. The peer is to
// be called with TLS in either case.
func Listen(t *testing.T, c *tls.Config, play func(*dicomtest.ScriptedPeer)) qr.Peer {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	peer := At(t, l.Addr().String())
	peer.TLS = true
	if c != nil {
		l = tls.NewListener(l, c)
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
		_ = script.Err() // if the handshake fails, the script reads nothing
	})
	return peer
}
