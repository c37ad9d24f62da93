package console

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/server/asset"
)

func ask(t *testing.T, o Options, target string, accept ...string) *httptest.ResponseRecorder {
	t.Helper()
	e := echo.New()
	e.GET("/", Register(e, o))
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, target, http.NoBody)
	r.Header["Accept-Encoding"] = accept
	e.ServeHTTP(w, r)
	return w
}

func TestThePageLoadsLocalFilesOnlyUnderAStrictPolicy(t *testing.T) {
	w := ask(t, Options{}, "/")
	require.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	rules := w.Header().Get("Content-Security-Policy")
	for _, rule := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} {
		assert.Contains(t, rules, rule)
	}
	assert.NotContains(t, rules, "unsafe")
	assert.NotContains(t, rules, "http")

	page := w.Body.String()
	assert.NotContains(t, page, "//", "URL of another host")
	assert.NotContains(t, page, "<script>")
	assert.NotContains(t, page, "style=")
	found := regexp.MustCompile(`(?:src|href)="(console/[^"]*)"`).FindAllStringSubmatch(page, -1)
	require.Len(t, found, 2)
	for _, match := range found {
		file := ask(t, Options{}, "/"+match[1])
		assert.Equal(t, http.StatusOK, file.Code, match[1])
		assert.Contains(t, file.Header().Get("Cache-Control"), "immutable", match[1])
	}
}

func TestModulesImportEmbeddedFiles(t *testing.T) {
	files := asset.Embedded(staticFiles, "static/assets")
	imports := regexp.MustCompile(`(?m)^(?:import|export) .*from ["']([^"']+)["'];|from"([^"\s]+)"`)
	for name, f := range files {
		require.NotEmpty(t, f.ContentType(), name)
		if !strings.HasSuffix(name, ".js") {
			continue
		}
		for _, match := range imports.FindAllStringSubmatch(ask(t, Options{}, "/console/assets/"+name).Body.String(), -1) {
			imported := match[1] + match[2]
			assert.True(t, strings.HasPrefix(imported, "./"), "%s imports %s", name, match[0])
			assert.Contains(t, files, path.Join(path.Dir(name), imported), name)
		}
	}
}

func TestTheViewerIsInThePage(t *testing.T) {
	page := ask(t, Options{Viewer: `https://ohif.example/viewer?StudyInstanceUIDs={study}&a="b"`}, "/").Body.String()
	assert.Contains(t, page, `data-viewer="https://ohif.example/viewer?StudyInstanceUIDs={study}&amp;a=&#34;b&#34;"`)
}

func TestAPageWithAMissingFileFails(t *testing.T) {
	_, err := render(nil, Options{})
	assert.ErrorContains(t, err, "no embedded file console.css")
}

func TestOnlyClientsThatNameHTMLGetThePage(t *testing.T) {
	for accept, want := range map[string]bool{
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true,
		"application/json, Text/HTML":                                     true,
		"text/html;q=0.5":                                                 true,
		"text/html; q=0":                                                  false,
		"text/html;q=0.000":                                               false,
		"*/*":                                                             false,
		"text/*":                                                          false,
		"application/json":                                                false,
		"":                                                                false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header.Set("Accept", accept)
		assert.Equal(t, want, WantsPage(r), accept)
	}
}

func TestTheFilesAreSmall(t *testing.T) {
	total := 0
	for name := range asset.Embedded(staticFiles, "static/assets") {
		if strings.HasSuffix(name, ".txt") {
			continue // licences, which the page does not load
		}
		w := ask(t, Options{}, "/console/assets/"+name, "gzip")
		assert.Equal(t, "gzip", w.Header().Get("Content-Encoding"), name)
		total += w.Body.Len()
	}
	assert.Less(t, total, 60<<10)
	t.Logf("%d bytes compressed", total)
}

func TestVendoredFilesMatchTheirDigests(t *testing.T) {
	list, err := os.ReadFile("static/SHA256SUMS")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(list)), "\n")
	vendored := []string{}
	for _, line := range lines {
		sum, name, ok := strings.Cut(line, "  ")
		require.True(t, ok)
		got := sha256.Sum256(ask(t, Options{}, "/console/"+name).Body.Bytes())
		assert.Equal(t, sum, hex.EncodeToString(got[:]), name)
		vendored = append(vendored, strings.TrimPrefix(name, "assets/"))
	}
	for _, name := range []string{"preact", "htm", "client/openapi-fetch", "client/eventsource-parser"} {
		assert.Subset(t, vendored, []string{name + ".js", name + ".LICENSE.txt"})
	}
	for name := range asset.Embedded(staticFiles, "static/assets") {
		if strings.HasPrefix(name, "client/") {
			assert.Contains(t, vendored, name)
		}
	}
}
