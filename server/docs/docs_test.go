package docs

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/server/asset"
)

const sampleContract = "openapi: 3.0.3\ninfo: {title: sample, version: 1.0.0}\npaths: {}\n"

func newDocs(t *testing.T) http.Handler {
	t.Helper()
	e := echo.New()
	Register(e, []byte(sampleContract), false)
	return e
}

func ask(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestFilesAreServedWithTheirMediaTypes(t *testing.T) {
	docs := newDocs(t)
	for target, contentType := range map[string]string{
		"/docs":                             "text/html; charset=utf-8",
		"/redoc":                            "text/html; charset=utf-8",
		"/openapi.yaml":                     "application/yaml",
		"/openapi.json":                     "application/json; charset=utf-8",
		"/docs/assets/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
		"/docs/assets/swagger-ui.css":       "text/css; charset=utf-8",
		"/docs/assets/icon.svg":             "image/svg+xml",
		"/docs/assets/LICENSE.txt":          "text/plain; charset=utf-8",
		"/redoc/assets/redoc.standalone.js": "text/javascript; charset=utf-8",
		"/redoc/assets/LICENSE.txt":         "text/plain; charset=utf-8",
	} {
		t.Run(target, func(t *testing.T) {
			w := ask(docs, http.MethodGet, target)
			assert.Equal(t, http.StatusOK, w.Code)
			assert.Equal(t, contentType, w.Header().Get("Content-Type"))
			assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
			assert.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
			assert.NotEmpty(t, w.Body.Bytes())

			head := ask(docs, http.MethodHead, target)
			assert.Equal(t, http.StatusOK, head.Code)
			assert.Equal(t, w.Header(), head.Header())
			assert.Empty(t, head.Body.Bytes())
		})
	}
}

func TestEveryEmbeddedFileHasAMediaType(t *testing.T) {
	for _, dir := range []string{"docs", "redoc"} {
		for name, f := range asset.Embedded(staticFiles, "static/"+dir) {
			assert.NotEmpty(t, f.ContentType(), "%s/%s", dir, name)
		}
	}
}

func TestUnknownMethodsAndFilesAreRefused(t *testing.T) {
	docs := newDocs(t)
	assert.Equal(t, http.StatusMethodNotAllowed, ask(docs, http.MethodPost, "/docs").Code)
	for _, target := range []string{
		"/docs/assets/", "/docs/assets/none.js", "/docs/assets/swagger-ui-bundle.js.gz", "/docs/assets/../page.html", "/docs/assets/%2e%2e/vendor.sh",
	} {
		assert.Equal(t, http.StatusNotFound, ask(docs, http.MethodGet, target).Code, target)
	}
}

func TestTrailingSlashRedirectsToThePage(t *testing.T) {
	docs := newDocs(t)
	for _, page := range []string{"/docs", "/redoc"} {
		w := ask(docs, http.MethodGet, page+"/")
		assert.Equal(t, http.StatusMovedPermanently, w.Code)
		assert.Equal(t, ".."+page, w.Header().Get("Location"), "relative, for proxies that add a path prefix")
	}
}

func TestContentSecurityPolicyIsStrict(t *testing.T) {
	docs := newDocs(t)
	for _, page := range []string{"/docs", "/redoc"} {
		policy := ask(docs, http.MethodGet, page).Header().Get("Content-Security-Policy")
		directives := map[string]string{}
		for directive := range strings.SplitSeq(policy, ";") {
			name, sources, _ := strings.Cut(strings.TrimSpace(directive), " ")
			directives[name] = sources
		}
		assert.Equal(t, "'none'", directives["default-src"], page)
		assert.Equal(t, "'self'", directives["script-src"], page)
		assert.Equal(t, "'self'", directives["connect-src"], page)
		assert.Equal(t, "'none'", directives["frame-ancestors"], page)
		assert.NotContains(t, policy, "unsafe", page)
		assert.NotContains(t, policy, "http", page)
	}
}

// The browser tests see what the scripts of a page load; this test checks the page itself.
func TestPagesReferToLocalFilesOnly(t *testing.T) {
	docs := newDocs(t)
	address := regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	for _, page := range []string{"/docs", "/redoc"} {
		html := ask(docs, http.MethodGet, page).Body.String()
		assert.NotContains(t, html, "//", "URL of another host")
		assert.NotContains(t, html, "<script>")
		assert.NotContains(t, html, "style=")
		found := address.FindAllStringSubmatch(html, -1)
		require.NotEmpty(t, found)
		for _, match := range found {
			require.False(t, strings.HasPrefix(match[1], "/"), "%s is not relative", match[1])
			assert.Equal(t, http.StatusOK, ask(docs, http.MethodGet, "/"+match[1]).Code, match[1])
		}
	}
}

func TestPagesAskForAPIKeysOnlyWhereTheyAreRequired(t *testing.T) {
	for _, required := range []bool{false, true} {
		e := echo.New()
		Register(e, []byte(sampleContract), required)
		for _, page := range []string{"/docs", "/redoc"} {
			html := ask(e, http.MethodGet, page).Body.String()
			assert.Equal(t, required, strings.Contains(html, `<main id="page" data-api-keys>`), page)
		}
		assert.Equal(t, sampleContract, ask(e, http.MethodGet, "/openapi.yaml").Body.String())
	}
}

func TestVersionedFilesAreCachedForever(t *testing.T) {
	docs := newDocs(t)
	versioned := regexp.MustCompile(`docs/assets/swagger-ui-bundle\.js\?v=[\w-]+`).FindString(ask(docs, http.MethodGet, "/docs").Body.String())
	require.NotEmpty(t, versioned)
	for target, want := range map[string]string{
		"/docs":                             "no-cache",
		"/openapi.yaml":                     "no-cache",
		"/docs/assets/swagger-ui-bundle.js": "no-cache",
		"/docs/assets/swagger-ui-bundle.js?v=old": "no-cache",
		"/" + versioned: "public, max-age=31536000, immutable",
	} {
		t.Run(target, func(t *testing.T) {
			w := ask(docs, http.MethodGet, target)
			assert.Equal(t, want, w.Header().Get("Cache-Control"))

			again := ask(docs, http.MethodGet, target, "If-None-Match", w.Header().Get("ETag"))
			assert.Equal(t, http.StatusNotModified, again.Code)
			assert.Empty(t, again.Body.Bytes())
		})
	}
}

func TestLargeFilesAreSentAsGzipToClientsThatAcceptIt(t *testing.T) {
	docs := newDocs(t)
	const target = "/redoc/assets/redoc.standalone.js"
	plain := ask(docs, http.MethodGet, target)
	for _, accept := range []string{"gzip", "GZIP", "br, gzip;q=0.5", "*", "*;q=0, gzip", "x-gzip"} {
		w := ask(docs, http.MethodGet, target, "Accept-Encoding", accept)
		require.Equal(t, "gzip", w.Header().Get("Content-Encoding"), accept)
		require.NotEqual(t, plain.Header().Get("ETag"), w.Header().Get("ETag"))
		require.Less(t, w.Body.Len(), plain.Body.Len()/3)
		reader, err := gzip.NewReader(w.Body)
		require.NoError(t, err)
		unpacked, err := io.ReadAll(reader)
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain.Body.Bytes(), unpacked))
	}
	for _, accept := range []string{"", "br", "identity", "gzip;q=0", "gzip; q=0.000", "*;q=0", "gzip;q=0, *", "gzip;q=x"} {
		w := ask(docs, http.MethodGet, target, "Accept-Encoding", accept)
		require.Empty(t, w.Header().Get("Content-Encoding"), accept)
		require.Equal(t, "Accept-Encoding", w.Header().Get("Vary"), accept)
		require.True(t, bytes.Equal(plain.Body.Bytes(), w.Body.Bytes()))
	}
}

func TestVendoredFilesMatchTheirDigests(t *testing.T) {
	docs := newDocs(t)
	list, err := os.Open("static/SHA256SUMS")
	require.NoError(t, err)
	defer list.Close()
	lines := bufio.NewScanner(list)
	listed := 0
	for ; lines.Scan(); listed++ {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		require.True(t, ok)
		content, err := io.ReadAll(ask(docs, http.MethodGet, "/"+strings.Replace(name, "/", "/assets/", 1)).Body)
		require.NoError(t, err)
		got := sha256.Sum256(content)
		assert.Equal(t, sum, hex.EncodeToString(got[:]), name)
	}
	require.NoError(t, lines.Err())
	assert.NotZero(t, listed)
}

func TestPageWithAMissingFileFails(t *testing.T) {
	_, err := render(nil, page{Title: "Redoc"})
	assert.ErrorContains(t, err, "no embedded file docs/assets/icon.svg")
}
