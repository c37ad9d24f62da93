package pool

import (
	"crypto/tls"
	"crypto/x509"

	"dicom-qr-gateway/internal/chain"
)

// verifying returns the TLS configuration for a connection to host. It verifies the certificate of the peer as crypto/tls does, but
// within the limits of package chain: crypto/tls verifies whatever fits into a handshake message.
func verifying(c *tls.Config, host string) *tls.Config {
	if c == nil || c.InsecureSkipVerify {
		return c
	}
	c = c.Clone()
	if c.ServerName == "" {
		c.ServerName = host
	}
	c.InsecureSkipVerify = true // VerifyConnection, which every handshake calls, verifies instead
	roots, name, now, further := c.RootCAs, c.ServerName, c.Time, c.VerifyConnection
	c.VerifyConnection = func(state tls.ConnectionState) error {
		o := x509.VerifyOptions{Roots: roots, DNSName: name}
		if now != nil {
			o.CurrentTime = now()
		}
		if _, err := chain.Verify(state.PeerCertificates, o); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		if further != nil {
			return further(state)
		}
		return nil
	}
	return c
}
