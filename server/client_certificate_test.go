package server

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
	"io"
	"math"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/qr"
)

// authority is a CA with its certificate in PEM.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{certificate, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

func (a *authority) issue(t *testing.T, name string, notAfter time.Time, usage x509.ExtKeyUsage) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: notAfter, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// secureCaller is an HTTPS client that presents a certificate, regardless of the CAs that the server names.
type secureCaller struct {
	*http.Client
	url string
}

func (r *running) secure(t *testing.T, roots *x509.CertPool, own *tls.Certificate) *secureCaller {
	t.Helper()
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		RootCAs: roots, ServerName: "gateway.test",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if own == nil {
				return &tls.Certificate{}, nil
			}
			return own, nil
		},
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &secureCaller{&http.Client{Transport: transport}, strings.Replace(r.url, "http:", "https:", 1)}
}

type answer struct {
	status, protocol int
	header           http.Header
	body             string
}

func (c *secureCaller) ask(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := c.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, response.ProtoMajor, response.Header, string(content)}
}

func (c *secureCaller) query(t *testing.T, header ...string) int {
	t.Helper()
	return c.ask(t, http.MethodPost, "/q", queryBody, header...).status
}

func foundOne() *fakeGateway {
	return answering(&qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil)
}

func TestCallersNeedACertificateOfTheCA(t *testing.T) {
	files, ca := writeCertificate(t), newAuthority(t, "Hospital CA")
	caFile := writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), ca.pem)
	r := start(t, foundOne(), "TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key, "TLS_CLIENT_CA_FILE", caFile)
	later, client1 := time.Now().Add(time.Hour), x509.ExtKeyUsageClientAuth

	good := r.secure(t, files.pool, ca.issue(t, "viewer", later, client1))
	accepted := good.ask(t, http.MethodPost, "/q", queryBody, "X-Correlation-ID", "good")
	assert.Equal(t, http.StatusOK, accepted.status)
	assert.Equal(t, 2, accepted.protocol)
	assert.Equal(t, "CN=viewer", waitForLineOf(t, r, "request", "good")["caller"])

	for name, own := range map[string]*tls.Certificate{
		"none":               nil,
		"expired":            ca.issue(t, "viewer", time.Now().Add(-time.Hour), client1),
		"foreign":            newAuthority(t, "Hospital CA").issue(t, "viewer", later, client1),
		"server certificate": ca.issue(t, "viewer", later, x509.ExtKeyUsageServerAuth),
	} {
		caller := r.secure(t, files.pool, own)
		refused := caller.ask(t, http.MethodPost, "/q", queryBody)
		assert.Equal(t, http.StatusUnauthorized, refused.status, name)
		assert.Equal(t, "ClientCertificate", refused.header.Get("WWW-Authenticate"))
		assert.Equal(t, goclient.ProblemCodeUnauthorized, problemIn(t, refused.body).Code)
		assert.Equal(t, http.StatusOK, caller.ask(t, http.MethodGet, "/health", "").status, "probes have no certificate")
	}
}

func TestCallersNeedBothKeyAndCertificateIfBothAreConfigured(t *testing.T) {
	files, ca := writeCertificate(t), newAuthority(t, "Hospital CA")
	caFile := writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), ca.pem)
	r := start(t, foundOne(), "TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key, "TLS_CLIENT_CA_FILE", caFile,
		"API_KEYS_FILE", keysFile(t, keyLine("worklist", worklistKey)))
	with := r.secure(t, files.pool, ca.issue(t, "viewer", time.Now().Add(time.Hour), x509.ExtKeyUsageClientAuth))
	without := r.secure(t, files.pool, nil)

	assert.Equal(t, http.StatusOK, with.query(t, "Authorization", "Bearer "+worklistKey, "X-Correlation-ID", "both"))
	line := waitForLineOf(t, r, "request", "both")
	assert.Equal(t, "worklist", line["caller"])
	assert.Equal(t, "key=worklist; certificate=CN=viewer", line["credentials"])

	refused := with.ask(t, http.MethodPost, "/q", queryBody)
	assert.Equal(t, "Bearer", refused.header.Get("WWW-Authenticate"))
	refused = without.ask(t, http.MethodPost, "/q", queryBody, "Authorization", "Bearer "+worklistKey)
	assert.Equal(t, "ClientCertificate", refused.header.Get("WWW-Authenticate"))
}

func TestCertificatesAreReloaded(t *testing.T) {
	files, next := writeCertificate(t), writeCertificate(t)
	ca, other := newAuthority(t, "Hospital CA"), newAuthority(t, "New Hospital CA")
	caFile := writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), ca.pem)
	r := startWith(t, foundOne(), rereadAtOnce,
		"TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key, "TLS_CLIENT_CA_FILE", caFile)
	own := ca.issue(t, "viewer", time.Now().Add(time.Hour), x509.ExtKeyUsageClientAuth)
	connected := r.secure(t, files.pool, own)
	assert.Equal(t, http.StatusOK, connected.query(t))

	writeFile(t, files.cert, readFile(t, next.cert))
	assert.Equal(t, http.StatusOK, r.secure(t, files.pool, own).query(t), "a certificate without its key is ignored")
	assert.Contains(t, waitForLine(t, r, "reload failed, keeping the previous version")["reason"], "the certificate does not match the key")
	writeFile(t, files.key, readFile(t, next.key))
	assert.Equal(t, http.StatusOK, r.secure(t, next.pool, own).query(t), "the new certificate")
	_, err := r.secure(t, files.pool, own).Head(strings.Replace(r.url, "http:", "https:", 1) + "/health") //nolint:bodyclose // There is no response.
	require.Error(t, err, "the old certificate is no longer used")

	writeFile(t, caFile, "no certificate")
	assert.Equal(t, http.StatusOK, connected.query(t))
	writeFile(t, caFile, other.pem)
	assert.Equal(t, http.StatusUnauthorized, connected.query(t), "on open connections too")
	theirs := other.issue(t, "worklist", time.Now().Add(time.Hour), x509.ExtKeyUsageClientAuth)
	assert.Equal(t, http.StatusOK, r.secure(t, next.pool, theirs).query(t))
}

type certificate struct {
	cert, key string // files
	pool      *x509.CertPool
}

func ecdsaKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func rsaKey() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }

func writeCertificate(t *testing.T) certificate {
	t.Helper()
	return writeCertificateFor(t, ecdsaKey)
}

func writeCertificateFor(t *testing.T, newKey func() (crypto.Signer, error)) certificate {
	t.Helper()
	key, err := newKey()
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway.test"}, DNSNames: []string{"gateway.test"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)

	dir := t.TempDir()
	files := certificate{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), x509.NewCertPool()}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(files.cert, certPEM, 0o600))
	require.NoError(t, os.WriteFile(files.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	require.True(t, files.pool.AppendCertsFromPEM(certPEM))
	return files
}

// slowKey returns an RSA key with the largest public exponent that Go accepts, which makes the verification of a signature slow.
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

// chainOf returns a client certificate and further certificates of the same subject and key, as an attacker builds them: each
// signs each other, so that the number of paths through them grows with the factorial of their number.
func chainOf(t *testing.T, further int) *tls.Certificate {
	t.Helper()
	key := slowKey(t)
	chain := &tls.Certificate{PrivateKey: key}
	subject := pkix.Name{CommonName: "Hospital CA"}
	for i := range further + 1 {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: subject, DNSNames: []string{strings.Repeat("x", i+1) + ".example"},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		require.NoError(t, err)
		chain.Certificate = append(chain.Certificate, der)
	}
	return chain
}

func TestRefusedClientCertificateCostsNextToNothing(t *testing.T) {
	files, ca := writeCertificate(t), newAuthority(t, "Hospital CA")
	caFile := writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), ca.pem)
	r := start(t, &fakeGateway{}, "TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key, "TLS_CLIENT_CA_FILE", caFile)
	caller := r.secure(t, files.pool, chainOf(t, 5))
	const requests = 50
	began := cpuTime(t)
	for range requests {
		refused := caller.ask(t, http.MethodPost, "/q", queryBody)
		require.Equal(t, http.StatusUnauthorized, refused.status)
	}
	took := cpuTime(t) - began
	t.Logf("%v of CPU for each refused request", took/requests)
	// A verification of six certificates checks 15 signatures, which takes milliseconds; a request takes 0.3 ms on both sides.
	assert.Less(t, took, requests*4*time.Millisecond, "CPU of both sides")
	assert.Equal(t, "client certificate not accepted", waitForLine(t, r, "refused")["reason"])
}

func TestLongChainOfACallerEndsTheHandshake(t *testing.T) {
	files, ca := writeCertificate(t), newAuthority(t, "Hospital CA")
	caFile := writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), ca.pem)
	r := start(t, &fakeGateway{}, "TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key, "TLS_CLIENT_CA_FILE", caFile)
	caller := r.secure(t, files.pool, chainOf(t, 60))
	response, err := caller.Get(caller.url + "/health")
	if err == nil {
		_ = response.Body.Close()
	}
	require.Error(t, err)
	assert.Contains(t, waitForLine(t, r, "http")["reason"], "certificate chain exceeds the limits of the gateway")
}

func TestClientCertificateIsVerifiedOnceForAConnection(t *testing.T) {
	files, ca := writeCertificate(t), newAuthority(t, "Hospital CA")
	caFile := writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), ca.pem)
	r := startWith(t, foundOne(), rereadAtOnce,
		"TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key, "TLS_CLIENT_CA_FILE", caFile)
	expires := time.Now().Add(2 * time.Second)
	caller := r.secure(t, files.pool, ca.issue(t, "viewer", expires, x509.ExtKeyUsageClientAuth))
	for range 3 {
		require.Equal(t, http.StatusOK, caller.query(t))
	}
	time.Sleep(time.Until(expires) + time.Second)
	assert.Equal(t, http.StatusUnauthorized, caller.query(t), "expired on an open connection")
	assert.Equal(t, http.StatusUnauthorized, caller.query(t))
}
