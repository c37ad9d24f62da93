//go:build interop

package interop

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/test/rig"
)

// authority issues certificates as PEM files.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	a.cert, a.key = a.sign(t, "ca", template, nil)
	return a
}

// file returns the path of a PEM file: ca.crt, or NAME.crt and NAME.key of a certificate that was issued.
func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) issue(t *testing.T, name string) {
	t.Helper()
	a.sign(t, name, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert)
}

func (a *authority) sign(t *testing.T, name string, template, parent *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signer := a.key
	if parent == nil {
		parent, signer = template, key
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{
		name + ".crt": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		require.NoError(t, os.WriteFile(a.file(file), pem.EncodeToMemory(block), 0o600))
	}
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert, key
}

// started requires that a peer has started, and stops it at the end of the test.
func started(t *testing.T, p *rig.Process, err error) {
	t.Helper()
	if p != nil {
		t.Cleanup(p.Stop)
	}
	require.NoError(t, err)
}

// tlsGateway runs another gateway with these DICOM TLS settings.
func tlsGateway(t *testing.T, settings ...string) *gateway {
	t.Helper()
	ports, err := freePorts(1)
	require.NoError(t, err)
	return runGateway(t, t.TempDir(), ports[0], settings...)
}

// terminate forwards a TLS port to a plain one, as a proxy does.
func terminate(t *testing.T, cfg *tls.Config, plain int) (port int) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	go func() {
		for {
			outer, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer outer.Close()
				inner, err := net.Dial("tcp", address(plain))
				if err != nil {
					return
				}
				defer inner.Close()
				go func() {
					_, _ = io.Copy(inner, outer)
					_ = inner.Close()
				}()
				_, _ = io.Copy(outer, inner)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func TestDICOMTLS(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	for _, name := range []string{"pacs", "gateway"} {
		ca.issue(t, name)
		stranger.issue(t, name)
	}
	ports, err := freePorts(2)
	require.NoError(t, err)
	secure := orthanc{source{"Orthanc", "ORTHANCTLS", ports[0]}, ports[1]}
	files := theSite.destinations[0].(storescp)
	p, err := startOrthanc(t.TempDir(), secure, map[string]int{files.aeTitle: files.port}, map[string]any{
		"DicomTlsEnabled": true, "DicomTlsRemoteCertificateRequired": true,
		"DicomTlsCertificate": ca.file("pacs.crt"), "DicomTlsPrivateKey": ca.file("pacs.key"),
		"DicomTlsTrustedCertificates": ca.file("ca.crt"),
	})
	started(t, p, err)
	study := demo.Studies()[0]
	instances, err := dicomtest.WriteDir(t.TempDir(), study.Instances())
	require.NoError(t, err)
	_, err = run("storescu", append([]string{
		"-R", "+tls", ca.file("gateway.key"), ca.file("gateway.crt"), "+cf", ca.file("ca.crt"),
		"-aec", secure.aeTitle, "127.0.0.1", strconv.Itoa(secure.port),
	}, instances...)...)
	require.NoError(t, err)

	cert, err := tls.LoadX509KeyPair(ca.file("pacs.crt"), ca.file("pacs.key"))
	require.NoError(t, err)
	qrscp := theSite.sources[0]
	fronted := qrscp
	fronted.port = terminate(t, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, qrscp.port)

	ours := []string{
		"DICOM_TLS_CA_FILE=" + ca.file("ca.crt"),
		"DICOM_TLS_CERT_FILE=" + ca.file("gateway.crt"), "DICOM_TLS_KEY_FILE=" + ca.file("gateway.key"),
	}
	overTLS := true

	t.Run("finds and moves", func(t *testing.T) {
		g := tlsGateway(t, ours...)
		for _, src := range []source{secure.source, fronted} {
			r := src.query(study.PatientID, filter{})
			r.PACSTLS = &overTLS
			r.AccessionNumber = &study.AccessionNumber
			reply, err := g.client.QueryWithResponse(t.Context(), nil, r)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
			assert.Equal(t, []string{study.UID()}, uids(reply.JSON200.StudyDetails))
		}
		files.clear(t)
		r := secure.retrieve(study.PatientID, filter{}, files.aeTitle)
		r.PACSTLS = &overTLS
		reply, err := g.client.RetrieveWithResponse(t.Context(), nil, r)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
		assert.Len(t, files.received(t)[study.UID()], len(study.Instances()))
	})
	t.Run("with a server name", func(t *testing.T) {
		g := tlsGateway(t, append(ours, "DICOM_TLS_SERVER_NAME=pacs")...)
		r := secure.query(study.PatientID, filter{})
		r.PACSTLS = &overTLS
		reply, err := g.client.QueryWithResponse(t.Context(), nil, r)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
	})
	for _, test := range []struct {
		name     string
		settings []string
		port     int
	}{
		{"untrusted authority", []string{"DICOM_TLS_CA_FILE=" + stranger.file("ca.crt")}, secure.port},
		{"wrong name", append(ours, "DICOM_TLS_SERVER_NAME=elsewhere"), secure.port},
		{"missing client certificate", ours[:1], secure.port},
		{"untrusted client certificate", []string{
			ours[0], "DICOM_TLS_CERT_FILE=" + stranger.file("gateway.crt"), "DICOM_TLS_KEY_FILE=" + stranger.file("gateway.key"),
		}, secure.port},
		{"plain port", ours, theSite.sources[1].port},
	} {
		t.Run(test.name, func(t *testing.T) {
			src := secure.source
			src.port = test.port
			r := src.query(study.PatientID, filter{})
			r.PACSTLS = &overTLS
			reply, err := tlsGateway(t, test.settings...).client.QueryWithResponse(t.Context(), nil, r)
			require.NoError(t, err)
			if test.name == "plain port" {
				// A DCMTK peer waits for an A-ASSOCIATE-RQ and does not answer the handshake.
				require.Equal(t, http.StatusBadGateway, reply.StatusCode(), string(reply.Body))
				return
			}
			assertFailed(t, reply.HTTPResponse, reply.Body, goclient.ProblemCodeTLSFailed, goclient.DICOMFaultStepTLS)
		})
	}
	t.Run("without TLS on the TLS port", func(t *testing.T) {
		reply, err := tlsGateway(t, ours...).client.QueryWithResponse(t.Context(), nil, secure.query(study.PatientID, filter{}))
		require.NoError(t, err)
		require.Equal(t, http.StatusBadGateway, reply.StatusCode(), string(reply.Body))
	})
}

// TestDICOMTLSWithStoreSCP covers the TLS profiles that both this version of DCMTK and crypto/tls support.
func TestDICOMTLSWithStoreSCP(t *testing.T) {
	ca := newAuthority(t)
	ca.issue(t, "pacs")
	ca.issue(t, "gateway")
	path, err := lookup("storescp")
	require.NoError(t, err)
	client, err := tls.LoadX509KeyPair(ca.file("gateway.crt"), ca.file("gateway.key"))
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	for _, profile := range []string{"--profile-bcp195", "--profile-bcp195-nd", "--profile-bcp195-ex"} {
		t.Run(profile, func(t *testing.T) {
			ports, err := freePorts(1)
			require.NoError(t, err)
			p, err := rig.Start(rig.Command{Path: path, Dir: t.TempDir(), Args: []string{
				"+tls", ca.file("pacs.key"), ca.file("pacs.crt"), "+cf", ca.file("ca.crt"), profile, strconv.Itoa(ports[0]),
			}})
			require.NoError(t, err)
			started(t, p, p.Ready(listening(ports[0])))
			var version uint16
			a, err := dicomnet.Dial(t.Context(), address(ports[0]), dicomnet.Config{
				CalledAETitle: "ANY", CallingAETitle: "GATEWAY",
				Timeouts: dicomnet.Timeouts{Connection: 5 * time.Second, ACSE: 5 * time.Second, DIMSE: 5 * time.Second, Network: 5 * time.Second},
				Contexts: []dicomnet.Context{{
					AbstractSyntax: dicomnet.VerificationSOPClass, TransferSyntaxes: []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian},
				}},
				TLS:   &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{client}, MinVersion: tls.VersionTLS12},
				Trace: &dicomnet.Trace{Secured: func(_ context.Context, state tls.ConnectionState) { version = state.Version }},
			})
			require.NoError(t, err, p.String())
			require.NoError(t, a.Echo(t.Context()))
			require.NoError(t, a.Close())
			t.Log(tls.VersionName(version))
		})
	}
}
