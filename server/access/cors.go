package access

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

const (
	corsHeaders = "Authorization, Accept, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, Range, X-Correlation-ID" // a list of media types in Accept can need permission
	corsExposed = "X-Correlation-ID, Retry-After, WWW-Authenticate, Warning, Retrieve-Outcome, Content-Location, Content-Range, ETag, Preference-Applied, Location, Idempotency-Replayed"
	corsMaxAge  = "600" // seconds
)

// ParseOrigins reads a comma-separated list of origins as browsers send them, or * for any.
func ParseOrigins(list string) ([]string, error) {
	origins := splitList(list)
	if slices.Equal(origins, []string{"*"}) {
		return origins, nil
	}
	for i, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != origin {
			return nil, errors.New("want origins such as https://viewer.example, separated by commas, or * alone")
		}
		origins[i] = strings.ToLower(origin)
	}
	return origins, nil
}

// CORS returns middleware that answers preflight requests and marks answers for pages of allowed origins (Fetch standard,
// section 3.2). Pages of other origins get answers without CORS headers, which browsers withhold from them. Credentials that
// browsers add by themselves are never allowed. methods returns the value of Allow for a registered route.
func (o *Options) CORS(methods func(route string) (allow string, ok bool)) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		if len(o.Origins) == 0 {
			return next
		}
		anyOrigin := o.Origins[0] == "*"
		return func(c echo.Context) error {
			r, h := c.Request(), c.Response().Header()
			origin := r.Header.Get("Origin")
			if !anyOrigin {
				h.Add("Vary", "Origin")
			}
			if origin == "" || !anyOrigin && !slices.Contains(o.Origins, origin) {
				return next(c)
			}
			if anyOrigin {
				origin = "*"
			}
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", corsExposed)
			allow, known := methods(c.Path())
			if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" || !known {
				return next(c)
			}
			h.Set("Access-Control-Allow-Methods", allow)
			h.Set("Access-Control-Allow-Headers", corsHeaders)
			h.Set("Access-Control-Max-Age", corsMaxAge)
			return c.NoContent(http.StatusNoContent)
		}
	}
}
