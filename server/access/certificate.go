package access

import (
	"context"
	"crypto/x509"
	"net/http"
	"sync"
	"time"

	"dicom-qr-gateway/internal/chain"
)

// connectionKey is the key of a connection's *verdict in its context.
type connectionKey struct{}

// WithConnection returns the context of a new connection, for [http.Server.ConnContext]. It keeps what the verification of the
// client certificate found for the later requests on the connection.
func WithConnection(ctx context.Context) context.Context {
	return context.WithValue(ctx, connectionKey{}, &verdict{})
}

// verdict is what the verification of a connection's client certificate found. It holds for one version of the trust store, and
// while all certificates of the chain are valid.
type verdict struct {
	mu              sync.Mutex
	trusted         *x509.CertPool // the version; nil: not verified yet
	subject, reason string
	from, until     time.Time // of an accepted certificate
}

// verifiedSubject returns the subject of the client certificate, or the reason why it is not accepted. The answer to each request
// takes into account that the certificate may have expired on a long connection, and that its authority may no longer be trusted;
// signatures are verified once. The TLS handshake has proved that the caller holds the private key.
func verifiedSubject(r *http.Request, trusted *x509.CertPool) (subject, reason string) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return "", "no client certificate"
	}
	v, ok := r.Context().Value(connectionKey{}).(*verdict)
	if !ok {
		v = &verdict{}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	if v.trusted != trusted || v.reason == "" && (now.Before(v.from) || now.After(v.until)) {
		v.verify(r.TLS.PeerCertificates, trusted, now)
	}
	return v.subject, v.reason
}

func (v *verdict) verify(presented []*x509.Certificate, trusted *x509.CertPool, now time.Time) {
	v.trusted, v.subject, v.reason = trusted, "", "client certificate not accepted"
	chains, err := chain.Verify(presented, x509.VerifyOptions{
		Roots: trusted, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return
	}
	v.subject, v.reason = printable(presented[0].Subject.String()), ""
	v.from, v.until = chains[0][0].NotBefore, chains[0][0].NotAfter
	for _, certificate := range chains[0][1:] {
		if certificate.NotBefore.After(v.from) {
			v.from = certificate.NotBefore
		}
		if certificate.NotAfter.Before(v.until) {
			v.until = certificate.NotAfter
		}
	}
}
