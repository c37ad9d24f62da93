package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"maps"
	"math/big"
	"net"
	"strings"
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
)

// echoFault is a fault of a PACS that /echo detects, and the request that detects it.
type echoFault struct {
	host string // "": 192.0.2.10
	port string
	play func(*dicomtest.ScriptedPeer) // plays the PACS on a connection, over TLS if secure is set
	// secure is the expiry of the certificate of the PACS; "": no TLS.
	secure string
	// dial replaces the PACS.
	dial func(context.Context, string, string) (net.Conn, error)
	tls  bool // in the request; also set if secure is set
}

// accept plays a PACS of DCMTK that accepts the first n of C-ECHO, C-FIND and C-MOVE.
func accept(p *dicomtest.ScriptedPeer, n int) {
	p.ReadAssociateRQ()
	ac := p.AC(dataset.ExplicitVRLittleEndian)
	ac.User.ImplementationClassUID, ac.User.ImplementationVersionName = "1.2.276.0.7230010.3.0.3.6.7", "OFFIS_DCMTK_367"
	for i := range ac.Contexts[n:] {
		ac.Contexts[n+i].Result = byte(dicomnet.ContextAbstractSyntaxNotSupported)
	}
	p.SendPDU(ac)
}

func answerEcho(p *dicomtest.ScriptedPeer, status dicomnet.Status) {
	p.SendMessage(dicomtest.Response(p.ReadRequest(dicomnet.CEchoRQ), status, nil))
}

// echoFaults holds the faults by the example that shows the answer.
func echoFaults() map[string]echoFault {
	sends := func(pdus ...pdu.PDU) func(*dicomtest.ScriptedPeer) {
		return func(p *dicomtest.ScriptedPeer) {
			p.ReadAssociateRQ()
			p.SendPDU(pdus...)
		}
	}
	answers := func(text string) func(*dicomtest.ScriptedPeer) {
		return func(p *dicomtest.ScriptedPeer) {
			p.ReadAssociateRQ()
			p.Send([]byte(text))
		}
	}
	hangUp := func(p *dicomtest.ScriptedPeer) { _, _ = p.Conn.Read(make([]byte, 10)) }
	return map[string]echoFault{
		"EchoPassedWithoutMove": {port: "2762", secure: "2027-01-31T12:00:00Z", play: func(p *dicomtest.ScriptedPeer) {
			accept(p, 2)
			answerEcho(p, dicomnet.StatusSuccess)
			p.Release()
		}},
		"EchoProblemNameResolutionFailed": {host: "pacs.example", port: "104"},
		"EchoProblemConnectionRefused": {host: "127.0.0.1", port: "1", dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, syscall.ECONNREFUSED
		}},
		"EchoProblemPACSUnreachable": {port: "1", dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, syscall.EHOSTUNREACH
		}},
		"EchoProblemConnectionTimeout": {port: "104", dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		"EchoProblemTLSFailed": {host: "127.0.0.1", port: "4242", tls: true, play: func(p *dicomtest.ScriptedPeer) {
			hangUp(p)
			p.SendPDU(&pdu.Abort{Source: pdu.SourceProvider, Reason: 1})
		}},
		"EchoProblemTLSFailedExpired":           {port: "2762", secure: "2024-01-31T12:00:00Z", play: hangUp},
		"EchoProblemTLSExpected":                {port: "2762", play: answers("\x15\x03\x03\x00\x02\x02\x0a")},
		"EchoProblemNotADICOMPeer":              {port: "80", play: answers("HTTP/1.1 400 Bad Request\r\n\r\n")},
		"EchoProblemAssociationRejected":        {host: "127.0.0.1", port: "4242", play: sends(&pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7})},
		"EchoProblemAssociationRejectedCalling": {port: "104", play: sends(&pdu.AssociateRJ{Result: 1, Source: 1, Reason: 3})},
		"EchoProblemAssociationAborted":         {port: "104", play: sends(&pdu.Abort{Source: pdu.SourceProvider})},
		"EchoProblemAssociationTimeout":         {port: "104", play: func(p *dicomtest.ScriptedPeer) { p.ReadAssociateRQ(); p.ExpectAbort(0, 0) }},
		"EchoProblemConnectionLost":             {port: "104", play: sends()},
		"EchoProblemNoPresentationContext":      {port: "104", play: func(p *dicomtest.ScriptedPeer) { accept(p, 0); p.ExpectAbort(0, 0) }},
		"EchoProblemEchoFailed": {port: "104", play: func(p *dicomtest.ScriptedPeer) {
			accept(p, 3)
			answerEcho(p, dicomnet.StatusProcessingFailure)
			p.Release()
		}},
		"EchoProblemDIMSETimeout": {port: "104", play: func(p *dicomtest.ScriptedPeer) {
			accept(p, 3)
			p.ReadRequest(dicomnet.CEchoRQ)
			p.ExpectAbort(0, 0)
		}},
	}
}

func TestExamplesOfEchoEqualItsAnswers(t *testing.T) {
	shown := map[string]bool{"EchoPassed": true} // by TestExampleRequestsGetTheExampleAnswersOfTheSameName
	ca, issue := hospitalCA(t)
	for name, found := range echoFaults() {
		shown[name] = true
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { found.check(t, name, ca, issue) })
		})
	}
	for name := range wholeContract(t).Components.Examples {
		if strings.HasPrefix(name, "EchoP") {
			assert.True(t, shown[name], "no test covers %s", name)
		}
	}
}

func (d *echoFault) check(t *testing.T, name string, ca *x509.CertPool, issue func(expiry string) tls.Certificate) {
	t.Helper()
	body := d.ask(t, ca, issue, "/echo", "")
	assert.Equal(t, untimed(example(t, name)), untimed(asExample(t, body)))
}

// ask sends a request with the PACS, the AE titles and the fields to a gateway, and returns the answer.
func (d *echoFault) ask(t *testing.T, ca *x509.CertPool, issue func(expiry string) tls.Certificate, path, fields string) string {
	t.Helper()
	script := &dicomtest.Script{Play: d.play}
	dial := d.dial
	if dial == nil {
		dial = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := dicomtest.Pipe(64 << 10)
			if d.secure != "" {
				theirs = tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{issue(d.secure)}, Time: examplesTime})
			}
			script.Go(theirs)
			return ours, nil
		}
	}
	const timeout = 10 * time.Second
	o := pool.Options{
		DialContext: dial,
		TLS:         &tls.Config{RootCAs: ca, ServerName: "pacs.example", MinVersion: tls.VersionTLS13, Time: examplesTime},
		LookupHost: func(_ context.Context, host string) ([]string, error) {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		},
	}
	o.Timeouts.Connection, o.Timeouts.ACSE = timeout, timeout
	o.Timeouts.DIMSE, o.Timeouts.Network = timeout, timeout
	gateway := newGateway(gatewayOptions{pool: o})
	r := startInMemory(t, gateway)
	host := d.host
	if host == "" {
		host = "192.0.2.10"
	}
	request := `{"pacs_ip":"` + host + `","pacs_port":` + d.port + `,"pacs_ae_title":"PACS","c_find_ae_title":"GATEWAY"`
	if d.tls || d.secure != "" {
		request += `,"pacs_tls":true`
	}

	_, _, body := r.post(t, path, request+fields+"}", "X-Correlation-ID", exampleID)

	require.NoError(t, gateway.Wait(t.Context()))
	assert.NoError(t, script.Err())
	return body
}

// untimed removes the durations of the steps from an answer.
func untimed(answer any) any {
	clone := maps.Clone(answer.(map[string]any))
	if steps, ok := clone["steps"].([]any); ok {
		var timeless []any
		for _, step := range steps {
			step := maps.Clone(step.(map[string]any))
			delete(step, "duration_ms")
			timeless = append(timeless, step)
		}
		clone["steps"] = timeless
	}
	return clone
}

// examplesTime is the time of the examples.
func examplesTime() time.Time { return time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC) }

// hospitalCA returns the authority of the examples and a function that issues certificates for the PACS.
func hospitalCA(t *testing.T) (pool *x509.CertPool, issue func(expiry string) tls.Certificate) {
	t.Helper()
	sign := func(template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		template.SerialNumber, template.NotBefore = big.NewInt(1), time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
		if by == nil {
			parent, by = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
		require.NoError(t, err)
		certificate, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		return certificate, key
	}
	root, rootKey := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Hospital CA"}, NotAfter: examplesTime().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	pool = x509.NewCertPool()
	pool.AddCert(root)
	return pool, func(expiry string) tls.Certificate {
		until, err := time.Parse(time.RFC3339, expiry)
		require.NoError(t, err)
		certificate, key := sign(&x509.Certificate{
			Subject:  pkix.Name{CommonName: "pacs.example", Organization: []string{"Hospital"}}, //nolint:misspell // Go's name
			DNSNames: []string{"pacs.example"}, NotAfter: until,
		}, root, rootKey)
		return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
	}
}
