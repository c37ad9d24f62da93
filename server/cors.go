package server

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

const (
	corsHeaders = "Authorization, Content-Type, X-Correlation-ID"
	corsExposed = "X-Correlation-ID, Retry-After, WWW-Authenticate"
	corsMaxAge  = "600" // seconds
)

// parseOrigins reads a comma list of origins as browsers send them, or * for any.
func parseOrigins(list string) ([]string, error) {
	origins := listOf(list)
	if slices.Equal(origins, []string{"*"}) {
		return origins, nil
	}
	for i, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != origin {
			return nil, errors.New("want origins such as https://viewer.example with commas between, or * alone")
		}
		origins[i] = strings.ToLower(origin)
	}
	return origins, nil
}

// cors answers preflights and marks answers (Fetch standard, section 3.2) for
// pages of the origins in CORS_ALLOWED_ORIGINS. A page of any other gets the
// answers of a gateway that knows no CORS, which browsers keep from it.
// Credentials that browsers add by themselves are never allowed.
func (s *Server) cors(next echo.HandlerFunc) echo.HandlerFunc {
	if len(s.config.origins) == 0 {
		return next
	}
	anyOrigin := s.config.origins[0] == "*"
	return func(c echo.Context) error {
		r, h := c.Request(), c.Response().Header()
		origin := r.Header.Get("Origin")
		if !anyOrigin {
			h.Add("Vary", "Origin")
		}
		if origin == "" || !anyOrigin && !slices.Contains(s.config.origins, origin) {
			return next(c)
		}
		if anyOrigin {
			origin = "*"
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", corsExposed)
		allow, known := s.allow[r.URL.Path]
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" || !known {
			return next(c)
		}
		h.Set("Access-Control-Allow-Methods", allow)
		h.Set("Access-Control-Allow-Headers", corsHeaders)
		h.Set("Access-Control-Max-Age", corsMaxAge)
		return c.NoContent(http.StatusNoContent)
	}
}
