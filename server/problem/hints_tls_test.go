package problem_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// readSome reads the first bytes of the peer, such as a ClientHello.
func readSome(p *dicomtest.ScriptedPeer) { _, _ = p.Conn.Read(make([]byte, 1000)) }

func TestEachFaultOfTLSHasItsHint(t *testing.T) {
	authority, unknown := qrtest.NewAuthority(t, "Test Authority"), qrtest.NewAuthority(t, "Unknown")
	sameName := qrtest.NewAuthority(t, "Test Authority")
	valid := authority.Issue(-time.Hour, time.Hour)
	server := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	mutual := func(version uint16) *tls.Config {
		return &tls.Config{
			Certificates: []tls.Certificate{valid}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool(), MaxVersion: version,
		}
	}
	otherName := func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"other.example"}, nil }
	notForServers := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }
	for name, test := range map[string]struct {
		server *tls.Config
		client []tls.Certificate
		hint   string
		shown  bool // the report has the certificate of the peer
	}{
		"expired":           {server(authority.Issue(-2*time.Hour, -time.Hour)), nil, "has expired: renew it there", true},
		"not valid yet":     {server(authority.Issue(time.Hour, 2*time.Hour)), nil, "not valid yet. Check the clocks", true},
		"other name":        {server(authority.Issue(-time.Hour, time.Hour, otherName)), nil, "for another name", true},
		"unknown authority": {server(unknown.Issue(-time.Hour, time.Hour)), nil, "an authority that the gateway does not trust", true},
		"not for servers":   {server(authority.Issue(-time.Hour, time.Hour, notForServers)), nil, "is not valid for a server", true},
		"no TLS":            {nil, nil, "does not speak TLS", false},
		"no client certificate, TLS 1.3": {
			mutual(0), nil, "requires a certificate from the gateway and got none", true,
		},
		"no client certificate, TLS 1.2": {
			mutual(tls.VersionTLS12), nil, "or requires a certificate from the gateway", false,
		},
		"client certificate of another authority": {
			mutual(0), []tls.Certificate{unknown.Issue(-time.Hour, time.Hour)}, "requires a certificate from the gateway and got none", true,
		},
		"client certificate of an authority with the same name": {
			mutual(0),
			[]tls.Certificate{sameName.Issue(-time.Hour, time.Hour)},
			"does not trust the authority of the gateway's certificate", true,
		},
		"expired client certificate": {
			mutual(0), []tls.Certificate{authority.Issue(-2*time.Hour, -time.Hour)}, "the gateway's certificate has expired", true,
		},
		"TLS 1.1": {
			&tls.Config{Certificates: []tls.Certificate{valid}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10},
			nil, "no version of TLS in common", false,
		},
		"old cipher suites": {
			&tls.Config{Certificates: []tls.Certificate{valid}, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}},
			nil, "found no TLS settings in common", false,
		},
		"no server certificate": {
			&tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("unknown client") }},
			nil, "could not agree on TLS", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			play := qrtest.AnswerEcho
			if test.server == nil {
				play = func(p *dicomtest.ScriptedPeer) { readSome(p); sendAbort(p) }
			}
			client := authority.Client()
			client.Certificates = test.client
			g := qrtest.New(qrtest.Options{
				Timeouts: dicomnet.Timeouts{Connection: time.Minute, ACSE: time.Minute, DIMSE: time.Minute, Network: time.Minute},
				TLS:      client,
			})
			report := g.Echo(t.Context(), qr.Call{}, qrtest.Listen(t, test.server, play))
			assert.Equal(t, []string{"resolve ok", "connect ok", "tls failed"}, qrtest.Outcomes(report))
			assert.Contains(t, hintOf(t, report, true), test.hint)
			assert.Equal(t, test.shown, qrtest.FailedStep(t, report).Certificate != nil)
			assert.EqualError(t, report.Err, "tls: TLS handshake failed", "without a name")
		})
	}
}

func TestCloseDuringTheHandshakeHasAHint(t *testing.T) {
	g := qrtest.New(qrtest.Options{})
	report := g.Echo(t.Context(), qr.Call{}, qrtest.Listen(t, nil, readSome))
	assert.Contains(t, hintOf(t, report, true), "closed the connection during the handshake")
}

func TestCloseAfterTheHandshakeHasAHint(t *testing.T) {
	authority := qrtest.NewAuthority(t, "Test Authority")
	g := qrtest.New(qrtest.Options{TLS: authority.Client()})
	report := g.Echo(t.Context(), qr.Call{}, qrtest.Listen(t, authority.Server(), func(p *dicomtest.ScriptedPeer) { p.ReadAssociateRQ() }))
	assert.Equal(t, "associate failed", qrtest.Outcomes(report)[3])
	hint := hintOf(t, report, true)
	assert.Contains(t, hint, "may also have refused the gateway's certificate")
	assert.NotContains(t, hint, "pacs_tls")
}

func TestPeerThatExpectsTLSHasAHint(t *testing.T) {
	authority := qrtest.NewAuthority(t, "Test Authority")
	peer := qrtest.Listen(t, authority.Server(), qrtest.AnswerEcho)
	peer.TLS = false
	report := qrtest.New(qrtest.Options{}).Echo(t.Context(), qr.Call{}, peer)
	assert.Contains(t, hintOf(t, report, false), "may expect TLS (pacs_tls)")
}
