package server

import (
	"crypto"
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr/qrtest"
)

// aead are the suites of TLS 1.2 that CONFORMANCE.md lists; a certificate with an ECDSA key leaves half of them.
var aead = []string{
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
	"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}

// suitesOf12 are all suites of TLS 1.2 and before that crypto/tls has.
func suitesOf12() (suites []*tls.CipherSuite) {
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			suites = append(suites, suite)
		}
	}
	return suites
}

func TestOnlyAEADSuitesAreNegotiatedWithCallers(t *testing.T) {
	var negotiated []string
	for _, newKey := range []func() (crypto.Signer, error){ecdsaKey, rsaKey} {
		files := writeCertificateFor(t, newKey)
		r := start(t, &fakeGateway{}, "TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key)
		address := strings.TrimPrefix(r.url, "http://")
		for _, suite := range suitesOf12() {
			conn, err := tls.Dial("tcp", address, &tls.Config{
				RootCAs: files.pool, ServerName: "gateway.test", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID},
			})
			if err != nil {
				continue
			}
			negotiated = append(negotiated, tls.CipherSuiteName(conn.ConnectionState().CipherSuite))
			require.NoError(t, conn.Close())
		}
		_, err := tls.Dial("tcp", address, &tls.Config{
			RootCAs: files.pool, ServerName: "gateway.test", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
		})
		require.Error(t, err, "TLS 1.1")
	}
	slices.Sort(negotiated)
	assert.Equal(t, aead, negotiated)
}

func TestOnlyAEADSuitesAreNegotiatedWithPACS(t *testing.T) {
	var negotiated []string
	for _, newKey := range []func() (crypto.Signer, error){ecdsaKey, rsaKey} {
		files := writeCertificateFor(t, newKey)
		pair, err := tls.LoadX509KeyPair(files.cert, files.key)
		require.NoError(t, err)
		ca := filepath.Join(t.TempDir(), "ca.pem")
		require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600))
		for _, suite := range suitesOf12() {
			pacs := &tls.Config{
				Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID},
			}
			peer := qrtest.Listen(t, pacs, qrtest.AnswerEcho)
			r := start(t, fromSettings(t, pool.Options{}, "DICOM_TLS_CA_FILE", ca, "DICOM_TLS_SERVER_NAME", "gateway.test"))
			request := echoRequest(peer.Port)
			request.PACSTLS = new(true)
			reply, err := r.api.EchoWithResponse(t.Context(), nil, request)
			require.NoError(t, err)
			if reply.JSON200 == nil {
				assert.Equal(t, goclient.ProblemCodeTLSFailed, problemIn(t, string(reply.Body)).Code, suite.Name)
				continue
			}
			negotiated = append(negotiated, *reply.JSON200.Steps[2].CipherSuite)
		}
	}
	slices.Sort(negotiated)
	assert.Equal(t, aead, negotiated)
}
