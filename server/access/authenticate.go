package access

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/principal"
	"dicom-qr-gateway/server/problem"
)

// openRoutes are the routes that require no credentials: probes and public documents. Every other route is protected,
// including routes that are added later.
var openRoutes = map[string]bool{
	"/": true, "/health": true, "/ready": true,
	"/docs": true, "/redoc": true, "/openapi.yaml": true, "/openapi.json": true,
}

func isOpen(route string) bool {
	return route == "" || openRoutes[route] || strings.HasPrefix(route, "/docs/") || strings.HasPrefix(route, "/redoc/") || strings.HasPrefix(route, "/console/")
}

// Authenticate returns middleware that admits a request if it has the credentials that the options require: a key, a client
// certificate, or both, and names the gateway by a permitted host name. It adds what it finds out about the caller to the
// request's Principal, which has the address already, and calls refused with the reason before it refuses a request. It does not
// read the body.
func (o *Options) Authenticate(refused func(c echo.Context, reason string)) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			sent := From(r.Context())
			caller := sent
			caller.User = o.Proxies.user(r)
			var scheme, reason string
			if !isOpen(c.Path()) {
				var credentials presented
				credentials, scheme, reason = o.check(r)
				caller.Key, caller.Certificate, caller.Rights = credentials.key, credentials.certificate, credentials.rights
			}
			if caller != sent {
				c.SetRequest(r.WithContext(With(r.Context(), caller)))
			}
			if o.hostRefused(r, c.Path()) {
				refused(c, "host name not allowed")
				return &problem.Problem{Code: api.ProblemCodeHostNotAllowed}
			}
			if reason != "" {
				refused(c, reason)
				return &problem.Problem{Code: api.ProblemCodeUnauthorized, Authenticate: scheme}
			}
			return next(c)
		}
	}
}

// presented are the valid credentials of a request.
type presented struct {
	key, certificate string
	rights           *principal.Rights // of the key
}

// check returns the credentials of the request. If something required is missing, reason says what, and scheme is the
// authentication scheme to use.
func (o *Options) check(r *http.Request) (found presented, scheme, reason string) {
	if o.ClientCAs != nil {
		if found.certificate, reason = verifiedSubject(r, o.ClientCAs()); reason != "" {
			return found, "ClientCertificate", reason
		}
	}
	if o.Keys == nil {
		return found, "", ""
	}
	token, ok := bearerToken(r.Header)
	if !ok {
		return found, "Bearer", "no API key"
	}
	if found.key, found.rights, ok = o.Keys().Find(token); !ok {
		return found, "Bearer", "unknown API key"
	}
	return found, "", ""
}
