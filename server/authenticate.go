package server

import (
	"crypto/x509"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"dicom-qr-gateway/gen/api"
)

// openRoutes are the routes that ask for no credentials: probes, and what is public
// anyway. Whatever is not here is protected, routes that are yet to come, too.
var openRoutes = map[string]bool{
	"/": true, "/health": true, "/ready": true,
	"/docs": true, "/redoc": true, "/openapi.yaml": true, "/openapi.json": true,
}

func isOpen(route string) bool {
	return route == "" || openRoutes[route] || strings.HasPrefix(route, "/docs/") || strings.HasPrefix(route, "/redoc/")
}

// authenticate lets a request pass that has what the settings ask for: a key, a
// client certificate, or both. It comes before anything is read of the body.
func (s *Server) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		who := &infoOf(r.Context()).caller
		who.address = c.RealIP()
		who.user = s.config.proxies.user(r)
		if isOpen(c.Path()) {
			return next(c)
		}
		scheme, reason := s.identify(r, who)
		if reason != "" {
			zerolog.Ctx(r.Context()).Info().Str("reason", reason).Msg("refused")
			s.auditor.refused(r.Context(), c.Path(), reason)
			return &problem{code: api.ProblemCodeUnauthorized, authenticate: scheme}
		}
		return next(c)
	}
}

// identify tells who the caller is; or what is missing, and the scheme to
// authenticate by.
func (s *Server) identify(r *http.Request, who *caller) (scheme, reason string) {
	if files := s.config.tlsFiles; files != nil {
		if trusted := files.get().clients; trusted != nil {
			subject, reason := verifiedSubject(r, trusted)
			if reason != "" {
				return "ClientCertificate", reason
			}
			who.certificate = subject
		}
	}
	if s.config.keys == nil {
		return "", ""
	}
	token, ok := bearerToken(r.Header)
	if !ok {
		return "Bearer", "no API key"
	}
	if who.key, ok = s.config.keys.get().find(token); !ok {
		return "Bearer", "unknown API key"
	}
	return "", ""
}

// verifiedSubject checks the certificate at each request, for one of a long
// connection may have expired, and its CA may be trusted no more. The handshake
// has shown that the caller has the private key.
func verifiedSubject(r *http.Request, trusted *x509.CertPool) (subject, reason string) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return "", "no client certificate"
	}
	intermediates := x509.NewCertPool()
	for _, certificate := range r.TLS.PeerCertificates[1:] {
		intermediates.AddCert(certificate)
	}
	leaf := r.TLS.PeerCertificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: trusted, Intermediates: intermediates, CurrentTime: time.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return "", "client certificate not accepted"
	}
	return leaf.Subject.String(), ""
}
