// Package chain verifies the certificates that a peer presents in a TLS handshake, at a bounded cost. crypto/x509 searches all paths
// through the certificates, up to 100 signatures: a peer that sends many with the same subject makes one verification take hundreds
// of milliseconds.
package chain

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// Limits on what a peer presents. Certificates of people and machines come with one to three intermediates, in less than 8 KiB.
const (
	maxCertificates = 6 // the peer's own included
	maxBytes        = 32 << 10
	maxSameSubject  = 2 // a cross-signed authority has two certificates
)

// ErrTooLong refuses certificates beyond the limits, of which none is verified.
var ErrTooLong = errors.New("certificate chain exceeds the limits of the gateway")

// Verify verifies the first of the presented certificates as [x509.Certificate.Verify] does, with the others as intermediates, which
// it sets in o. There must be at least one certificate.
func Verify(presented []*x509.Certificate, o x509.VerifyOptions) ([][]*x509.Certificate, error) {
	if exceedsLimits(presented) {
		return nil, ErrTooLong
	}
	o.Intermediates = x509.NewCertPool()
	for _, certificate := range presented[1:] {
		o.Intermediates.AddCert(certificate)
	}
	return presented[0].Verify(o)
}

// CheckHandshake is for [tls.Config.VerifyConnection]: it ends the handshake of a peer that presents more certificates or bytes than
// Verify accepts, so that the connection does not keep them. It verifies nothing.
func CheckHandshake(state tls.ConnectionState) error {
	if len(state.PeerCertificates) > maxCertificates || sizeOf(state.PeerCertificates) > maxBytes {
		return ErrTooLong
	}
	return nil
}

func sizeOf(presented []*x509.Certificate) (size int) {
	for _, certificate := range presented {
		size += len(certificate.Raw)
	}
	return size
}

func exceedsLimits(presented []*x509.Certificate) bool {
	if len(presented) > maxCertificates {
		return true
	}
	for i, certificate := range presented {
		same := 0
		for _, other := range presented[:i+1] {
			if bytes.Equal(other.RawSubject, certificate.RawSubject) {
				same++
			}
		}
		if same > maxSameSubject {
			return true
		}
	}
	return sizeOf(presented) > maxBytes
}
