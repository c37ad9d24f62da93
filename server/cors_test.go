package server

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

const viewerOrigin = "https://viewer.example"

func preflight(t *testing.T, r *running, path, origin string) (int, http.Header) {
	t.Helper()
	status, header, _ := r.do(t, http.MethodOptions, path, nil, "Origin", origin,
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type,x-correlation-id")
	return status, header
}

func TestCORSIsOffByDefault(t *testing.T) {
	r := start(t, foundOne())
	status, header := preflight(t, r, "/q", viewerOrigin)
	assert.Equal(t, http.StatusMethodNotAllowed, status)
	assert.Empty(t, header.Get("Access-Control-Allow-Origin"))
	_, header, _ = r.post(t, "/q", queryBody, "Origin", viewerOrigin)
	assert.Empty(t, header.Get("Access-Control-Allow-Origin"))
	assert.Empty(t, header.Get("Vary"))
}

func TestCORSAllowsConfiguredOrigins(t *testing.T) {
	r := start(t, foundOne(), "CORS_ALLOWED_ORIGINS", "https://Viewer.example , http://localhost:3000",
		"API_KEYS_FILE", keysFile(t, keyLine("viewer", viewerKey)))
	for _, origin := range []string{viewerOrigin, "http://localhost:3000"} {
		status, header := preflight(t, r, "/q", origin)
		assert.Equal(t, http.StatusNoContent, status)
		assert.Equal(t, origin, header.Get("Access-Control-Allow-Origin"))
		assert.Equal(t, "POST", header.Get("Access-Control-Allow-Methods"))
		assert.Equal(t, "Authorization, Accept, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, Range, X-Correlation-ID", header.Get("Access-Control-Allow-Headers"))
		assert.Equal(t, "600", header.Get("Access-Control-Max-Age"))
		assert.Equal(t, "Origin", header.Get("Vary"))
		assert.Empty(t, header.Get("Access-Control-Allow-Credentials"))
	}
	for _, authorization := range []string{"Bearer " + viewerKey, "Bearer wrong"} {
		_, header, _ := r.post(t, "/q", queryBody, "Origin", viewerOrigin, "Authorization", authorization)
		assert.Equal(t, viewerOrigin, header.Get("Access-Control-Allow-Origin"), "pages can read a refusal")
		assert.Equal(t, "X-Correlation-ID, Retry-After, WWW-Authenticate, Warning, Retrieve-Outcome, Content-Location, Content-Range, ETag, Preference-Applied, Location, Idempotency-Replayed", header.Get("Access-Control-Expose-Headers"))
	}
}

func TestCORSRefusesOtherOrigins(t *testing.T) {
	r := start(t, foundOne(), "CORS_ALLOWED_ORIGINS", viewerOrigin)
	for _, origin := range []string{"https://evil.example", "http://viewer.example", "https://viewer.example:8443", "null"} {
		status, header := preflight(t, r, "/q", origin)
		assert.Equal(t, http.StatusMethodNotAllowed, status, origin)
		assert.Empty(t, header.Get("Access-Control-Allow-Origin"))
		assert.Equal(t, "Origin", header.Get("Vary"), "for caches")
	}
	status, header := preflight(t, r, "/nope", viewerOrigin)
	assert.Equal(t, http.StatusNotFound, status)
	assert.Equal(t, viewerOrigin, header.Get("Access-Control-Allow-Origin"))
	status, _, _ = r.do(t, http.MethodOptions, "/q", nil, "Origin", viewerOrigin)
	assert.Equal(t, http.StatusMethodNotAllowed, status, "not a preflight request")
}

func TestCORSWithAnyOriginAllowsNoCredentials(t *testing.T) {
	r := start(t, foundOne(), "CORS_ALLOWED_ORIGINS", "*")
	_, header := preflight(t, r, "/q", "https://any.example")
	assert.Equal(t, "*", header.Get("Access-Control-Allow-Origin"))
	assert.Empty(t, header.Get("Access-Control-Allow-Credentials"))
}
