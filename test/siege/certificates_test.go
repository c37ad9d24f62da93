//go:build siege && linux

package siege

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nameOfCA is the subject of the CA, and of the certificates with which an attacker imitates it.
const nameOfCA = "Hospital CA"

// certificates are a CA with the certificates of the gateway and of its callers, valid for 127.0.0.1.
type certificates struct {
	certificate, key, ca string // files
	roots                *x509.CertPool
	own                  *tls.Certificate // of honest callers
}

func newCertificates(t *testing.T) *certificates {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	root := template(1, nameOfCA)
	issue := func(c *x509.Certificate, key crypto.Signer) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, root, key.Public(), caKey)
		require.NoError(t, err)
		return der
	}
	caDER := issue(root, caKey)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	leaf := template(2, "127.0.0.1")
	leaf.IsCA, leaf.KeyUsage = false, x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der := issue(leaf, key)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)

	dir := t.TempDir()
	c := &certificates{
		certificate: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), ca: filepath.Join(dir, "ca.pem"),
		roots: x509.NewCertPool(), own: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	}
	for file, block := range map[string]*pem.Block{
		c.certificate: {Type: "CERTIFICATE", Bytes: der}, c.key: {Type: "PRIVATE KEY", Bytes: private}, c.ca: {Type: "CERTIFICATE", Bytes: caDER},
	} {
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
	ca, err := x509.ParseCertificate(caDER)
	require.NoError(t, err)
	c.roots.AddCert(ca)
	return c
}

func template(serial int64, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
}

// client returns the TLS of a caller that presents a certificate.
func (c *certificates) client(own *tls.Certificate) *tls.Config {
	return &tls.Config{
		RootCAs: c.roots, ServerName: "127.0.0.1",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil },
	}
}

// longChain returns a certificate and 60 more of the same subject and key, as an attacker makes them: each signs each other, so that
// the number of paths through them grows with the factorial of their number. The key has the largest public exponent that Go
// accepts, which makes the verification of each signature slow.
func longChain(t *testing.T) *tls.Certificate {
	t.Helper()
	key := slowKey(t)
	chain := &tls.Certificate{PrivateKey: key}
	for i := range 61 {
		c := template(int64(i+1), nameOfCA)
		c.DNSNames = []string{strings.Repeat("x", i+1) + ".example"}
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		require.NoError(t, err)
		chain.Certificate = append(chain.Certificate, der)
	}
	return chain
}

func slowKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	one, e := big.NewInt(1), big.NewInt(math.MaxInt32)
	for {
		key, err := rsa.GenerateKey(rand.Reader, 3072)
		require.NoError(t, err)
		p, q := new(big.Int).Sub(key.Primes[0], one), new(big.Int).Sub(key.Primes[1], one)
		d := new(big.Int).ModInverse(e, new(big.Int).Mul(p, q))
		if d == nil {
			continue
		}
		slow := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: key.N, E: math.MaxInt32}, D: d, Primes: key.Primes}
		slow.Precompute()
		require.NoError(t, slow.Validate())
		return slow
	}
}
