package chain_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/chain"
)

// issuer issues certificates.
type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// issue returns an authority named name with the key, or a new one, that i has signed; a nil i signs itself.
func (i *issuer) issue(t *testing.T, name string, key *ecdsa.PrivateKey, padding int) *issuer {
	t.Helper()
	if key == nil {
		var err error
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 32473, 1}, Value: make([]byte, padding)}},
	}
	parent := &issuer{template, key}
	if i != nil {
		parent = i
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.certificate, key.Public(), parent.key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &issuer{certificate, key}
}

func verify(root *issuer, presented ...*issuer) error {
	roots := x509.NewCertPool()
	roots.AddCert(root.certificate)
	var certificates []*x509.Certificate
	for _, p := range presented {
		certificates = append(certificates, p.certificate)
	}
	_, err := chain.Verify(certificates, x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

func TestVerifyAcceptsChainsWithinTheLimits(t *testing.T) {
	root := (*issuer)(nil).issue(t, "root", nil, 0)
	first := root.issue(t, "first", nil, 0)
	second := first.issue(t, "second", nil, 0)
	third := second.issue(t, "third", nil, 0)
	leaf := third.issue(t, "leaf", nil, 0)
	require.NoError(t, verify(root, leaf, third, second, first, root), "with the root")
	require.NoError(t, verify(root, leaf, first, second, third), "in another order")

	foreign := (*issuer)(nil).issue(t, "foreign root", nil, 0)
	crossed := foreign.issue(t, "first", first.key, 0)
	require.NoError(t, verify(root, second, crossed, first), "cross-signed")
	require.NoError(t, verify(foreign, second, first, crossed), "cross-signed")
	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, verify(foreign, leaf, third, second, first), &unknown)
}

func TestVerifyRefusesChainsBeyondTheLimits(t *testing.T) {
	root := (*issuer)(nil).issue(t, "root", nil, 0)
	leaf := root.issue(t, "leaf", nil, 0)
	distinct := []*issuer{leaf}
	for _, name := range []string{"1", "2", "3", "4", "5", "6"} {
		distinct = append(distinct, root.issue(t, name, nil, 0))
	}
	require.NoError(t, verify(root, distinct[:6]...))
	require.ErrorIs(t, verify(root, distinct...), chain.ErrTooLong, "seven certificates")

	same := []*issuer{leaf, root.issue(t, "same", nil, 0), root.issue(t, "same", nil, 0), root.issue(t, "same", nil, 0)}
	require.NoError(t, verify(root, same[:3]...))
	require.ErrorIs(t, verify(root, same...), chain.ErrTooLong, "three certificates with the same subject")

	require.NoError(t, verify(root, leaf, root.issue(t, "large", nil, 30<<10)))
	require.ErrorIs(t, verify(root, leaf, root.issue(t, "large", nil, 32<<10)), chain.ErrTooLong, "more than 32 KiB")
	assert.EqualError(t, chain.ErrTooLong, "certificate chain exceeds the limits of the gateway")
}

func TestHandshakeEndsBeyondTheLimits(t *testing.T) {
	root := (*issuer)(nil).issue(t, "root", nil, 0)
	check := func(certificate *x509.Certificate, times int) error {
		return chain.CheckHandshake(tls.ConnectionState{PeerCertificates: slices.Repeat([]*x509.Certificate{certificate}, times)})
	}
	small, large := root.issue(t, "small", nil, 0).certificate, root.issue(t, "large", nil, 32<<10).certificate
	require.NoError(t, check(small, 0))
	require.NoError(t, check(small, 6))
	require.ErrorIs(t, check(small, 7), chain.ErrTooLong, "seven certificates")
	require.ErrorIs(t, check(large, 1), chain.ErrTooLong, "more than 32 KiB")
}
