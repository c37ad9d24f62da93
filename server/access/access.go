// Package access decides who may call the gateway: API keys, client certificates, trusted proxies, host names, and CORS. The
// Principal in the context of a request names the caller.
package access

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"net/url"

	"dicom-qr-gateway/internal/principal"
)

// Options are the rules of access. The zero value admits every caller and trusts no proxy.
type Options struct {
	// Keys returns the API keys that are valid now; nil: no key is required.
	Keys func() *Keys
	// ClientCAs returns the authorities whose client certificates are accepted now; nil: no certificate is required.
	ClientCAs func() *x509.CertPool
	Proxies   Proxies
	// Base is the URL at which callers reach the gateway; nil: that of the request.
	Base *url.URL
	// Hosts are the host names that requests may use for the gateway; nil: any.
	Hosts *Hosts
	// Origins are those whose pages may call the gateway from a browser, or "*" alone; empty: none.
	Origins []string
}

// CorrelationHeader is the header field of the correlation ID, in requests and answers.
const CorrelationHeader = "X-Correlation-ID"

// correlationKey is CorrelationHeader as http.Header has it.
var correlationKey = http.CanonicalHeaderKey(CorrelationHeader)

// CorrelationID returns the correlation ID that the caller sent, if it can be logged and sent back unchanged, or else a new one.
func CorrelationID(h http.Header) string {
	if values := h[correlationKey]; len(values) == 1 && ValidCorrelationID(values[0]) {
		return values[0]
	}
	// Hexadecimal digits only: letters of a larger alphabet can spell the name of a patient, which a search of the logs
	// for that name would then find.
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// ValidCorrelationID reports whether s consists of 1 to 128 visible ASCII characters.
func ValidCorrelationID(s string) bool {
	if len(s) < 1 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

type principalKey struct{}

// With returns a context that carries p.
func With(ctx context.Context, p principal.Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// From returns the Principal that ctx carries, or the zero value.
func From(ctx context.Context) principal.Principal {
	p, _ := ctx.Value(principalKey{}).(principal.Principal)
	return p
}
