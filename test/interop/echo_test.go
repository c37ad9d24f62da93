//go:build interop

package interop

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
)

func (s source) echo(t *testing.T, g *gateway, overTLS bool) *goclient.EchoReply {
	t.Helper()
	reply, err := g.client.EchoWithResponse(t.Context(), nil, goclient.EchoRequest{
		PACSIP: "127.0.0.1", PACSPort: s.port, PACSAETitle: s.aeTitle, CFindAETitle: "GATEWAY", PACSTLS: &overTLS,
	})
	require.NoError(t, err)
	return reply
}

// assertHint requires that the echo failed at the step with this hint, and returns the step.
func assertHint(t *testing.T, reply *goclient.EchoReply, step goclient.EchoStepStep, hint string) goclient.EchoStep {
	t.Helper()
	require.Equal(t, http.StatusBadGateway, reply.StatusCode(), string(reply.Body))
	steps := reply.ApplicationProblemJSON502.Steps
	require.NotEmpty(t, steps)
	last := steps[len(steps)-1]
	assert.Equal(t, step, last.Step)
	require.NotNil(t, last.Hint)
	assert.Contains(t, *last.Hint, hint)
	return last
}

func TestEchoDescribesAPACS(t *testing.T) {
	implementation := map[string]string{"dcmqrscp": "OFFIS_DCMTK", "Orthanc": "OFFIS_DCMTK", pixelMed: "PIXELMEDJAVA"}
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			reply := src.echo(t, theSite.gateway, false)
			require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
			require.Len(t, reply.JSON200.Steps, 5)
			associate := reply.JSON200.Steps[3]
			assert.Contains(t, *associate.ImplementationVersionName, implementation[src.name])
			require.Len(t, associate.Contexts, 3)
			for _, c := range associate.Contexts {
				assert.Equal(t, "acceptance", c.Result, c.Service)
			}
			assert.Nil(t, associate.Hint)

			src.aeTitle = "SOMEBODY"
			assertHint(t, src.echo(t, theSite.gateway, false), goclient.EchoStepStepAssociate, "does not answer to this called AE title")
		})
	}
	closed := source{"closed port", "UNKNOWN", theSite.closedPort}
	assertHint(t, closed.echo(t, theSite.gateway, false), goclient.EchoStepStepConnect, "nothing accepts connections on this port")
}

func TestEchoReportsAPeerWithoutQueryRetrieve(t *testing.T) {
	store := theSite.destinations[0].(storescp)
	reply := source{"storescp", store.aeTitle, store.port}.echo(t, theSite.gateway, false)
	require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
	require.NotNil(t, reply.JSON200.Steps[3].Hint)
	assert.Contains(t, *reply.JSON200.Steps[3].Hint, "accepts neither C-FIND nor C-MOVE")
}

func TestEchoReportsWhatIsWrongWithTLS(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	ca.issue(t, "pacs")
	ca.issue(t, "gateway")
	stranger.issue(t, "gateway")
	ports, err := freePorts(2)
	require.NoError(t, err)
	secure := orthanc{source{"Orthanc", "ORTHANCTLS", ports[0]}, ports[1]}
	p, err := startOrthanc(t.TempDir(), secure, nil, map[string]any{
		"DicomTlsEnabled": true, "DicomTlsRemoteCertificateRequired": true,
		"DicomTlsCertificate": ca.file("pacs.crt"), "DicomTlsPrivateKey": ca.file("pacs.key"),
		"DicomTlsTrustedCertificates": ca.file("ca.crt"),
	})
	started(t, p, err)
	trust := "DICOM_TLS_CA_FILE=" + ca.file("ca.crt")
	ours := func(a *authority) []string {
		return []string{trust, "DICOM_TLS_CERT_FILE=" + a.file("gateway.crt"), "DICOM_TLS_KEY_FILE=" + a.file("gateway.key")}
	}

	good := tlsGateway(t, ours(ca)...)
	reply := secure.echo(t, good, true)
	require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
	handshake := reply.JSON200.Steps[2]
	assert.Equal(t, goclient.EchoStepStatusOk, handshake.Status)
	assert.Equal(t, "CN=pacs", *handshake.CertificateSubject)
	assert.Equal(t, "CN=authority", *handshake.CertificateIssuer)
	assert.Contains(t, *handshake.TLSVersion, "TLS 1.")

	assertHint(t, secure.echo(t, good, false), goclient.EchoStepStepAssociate, "pacs_tls")
	assertHint(t, theSite.sources[1].echo(t, good, true), goclient.EchoStepStepTLS, "DICOM without TLS")

	for name, test := range map[string]struct {
		settings []string
		hint     string
	}{
		"untrusted authority":          {[]string{"DICOM_TLS_CA_FILE=" + stranger.file("ca.crt")}, "does not trust"},
		"wrong name":                   {append(ours(ca), "DICOM_TLS_SERVER_NAME=elsewhere"), "for another name"},
		"missing client certificate":   {[]string{trust}, "requires a certificate from the gateway and got none"},
		"untrusted client certificate": {ours(stranger), "the authority of the gateway's certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			step := assertHint(t, secure.echo(t, tlsGateway(t, test.settings...), true), goclient.EchoStepStepTLS, test.hint)
			require.NotNil(t, step.CertificateSubject)
			assert.Equal(t, "CN=pacs", *step.CertificateSubject)
		})
	}
}
