package server

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/config"
	"dicom-qr-gateway/qr"
)

const (
	worklistKey = "SECRET-KEY-worklist"
	viewerKey   = "SECRET-KEY-viewer"
)

func keyLine(name, key string) string {
	digest := sha256.Sum256([]byte(key))
	return name + ":" + hex.EncodeToString(digest[:]) + "\n"
}

func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func keysFile(t *testing.T, content string) string {
	t.Helper()
	return writeFile(t, filepath.Join(t.TempDir(), "keys"), content)
}

// rereadAtOnce makes the server read files again at each request.
var rereadAtOnce = preparation{settings: func(c *config.Config) { c.RereadEvery(0) }}

func TestCallersNeedAValidKey(t *testing.T) {
	gateway := answering(&qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil)
	r := start(t, gateway, "API_KEYS_FILE", keysFile(t, "# keys\n\n"+keyLine("worklist", worklistKey)+keyLine("viewer", viewerKey)))

	status, _, _ := r.post(t, "/q", queryBody, "Authorization", "bearer  "+viewerKey, "X-Correlation-ID", "good")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "viewer", waitForLineOf(t, r, "request", "good")["caller"])

	digest := sha256.Sum256([]byte(viewerKey))
	for name, header := range map[string][]string{
		"none":               {},
		"wrong":              {"Authorization", "Bearer SECRET-KEY-wrong"},
		"empty":              {"Authorization", "Bearer "},
		"other scheme":       {"Authorization", "Basic " + viewerKey},
		"no scheme":          {"Authorization", viewerKey},
		"the digest":         {"Authorization", "Bearer " + hex.EncodeToString(digest[:])},
		"the name":           {"Authorization", "Bearer viewer"},
		"prefix":             {"Authorization", "Bearer " + viewerKey[:5]},
		"other header field": {"X-API-Key", viewerKey},
	} {
		for path, body := range map[string]string{"/q": queryBody, "/qr": retrieveBody, "/echo": "{}"} {
			status, h, answer := r.post(t, path, body, header...)
			assert.Equal(t, http.StatusUnauthorized, status, name)
			assert.Equal(t, "Bearer", h.Get("WWW-Authenticate"))
			assert.Equal(t, goclient.ProblemCodeUnauthorized, problemIn(t, answer).Code)
			assert.NotContains(t, answer, "127.0.0.1")
		}
	}
	for _, path := range []string{"/metrics", "/version"} {
		status, _, _ := r.do(t, http.MethodGet, path, nil)
		assert.Equal(t, http.StatusUnauthorized, status, path)
	}
	assert.NotContains(t, r.logs.String(), "SECRET-KEY")
	assert.NotContains(t, r.logs.String(), hex.EncodeToString(digest[:]))
}

func TestProbesAndDocumentationNeedNoKey(t *testing.T) {
	r := start(t, &fakeGateway{}, "API_KEYS_FILE", keysFile(t, keyLine("worklist", worklistKey)))
	for path, want := range map[string]int{
		"/": 302, "/health": 200, "/ready": 200, "/docs": 200, "/redoc": 200, "/docs/": 301,
		"/docs/assets/page.css": 200, "/redoc/assets/redoc.css": 200, "/openapi.yaml": 200, "/openapi.json": 200, "/nope": 404,
	} {
		status, _, _ := r.do(t, http.MethodGet, path, nil)
		assert.Equal(t, want, status, path)
	}
}

func TestCallerWithoutAKeyIsRefusedBeforeTheBodyIsRead(t *testing.T) {
	r := start(t, &fakeGateway{}, "API_KEYS_FILE", keysFile(t, keyLine("worklist", worklistKey)))
	connection, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(t, err)
	defer connection.Close()
	_, err = io.WriteString(connection, "POST /q HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusUnauthorized, response.StatusCode, "not 100, 400, 413 or 415")
}

func TestKeysAreReloaded(t *testing.T) {
	gateway := answering(&qr.QueryResult{Studies: []qr.Study{study(studyUID)}}, nil)
	file := keysFile(t, keyLine("worklist", worklistKey))
	r := startWith(t, gateway, rereadAtOnce, "API_KEYS_FILE", file)
	statusWith := func(key string) int {
		status, _, _ := r.post(t, "/q", queryBody, "Authorization", "Bearer "+key)
		return status
	}
	assert.Equal(t, http.StatusOK, statusWith(worklistKey))
	assert.Equal(t, http.StatusUnauthorized, statusWith(viewerKey))

	writeFile(t, file, keyLine("viewer", viewerKey))
	assert.Equal(t, http.StatusUnauthorized, statusWith(worklistKey))
	assert.Equal(t, http.StatusOK, statusWith(viewerKey))
	assert.Equal(t, "API_KEYS_FILE", waitForLine(t, r, "reloaded")["setting"])

	for _, faulty := range []string{"", "viewer:SECRET-KEY-in-the-clear", "# no key\n"} {
		writeFile(t, file, faulty)
		assert.Equal(t, http.StatusOK, statusWith(viewerKey), "the previous version")
		assert.Equal(t, http.StatusOK, statusWith(viewerKey))
	}
	require.NoError(t, os.Remove(file))
	assert.Equal(t, http.StatusOK, statusWith(viewerKey))
	kept := r.logs.lines(t, "reload failed, keeping the previous version")
	require.Len(t, kept, 4, "each fault is logged once")
	assert.Equal(t, "error", kept[0]["level"])
	assert.Equal(t, file+": no such file or directory", kept[3]["reason"])

	writeFile(t, file, keyLine("worklist", worklistKey))
	assert.Equal(t, http.StatusOK, statusWith(worklistKey))
	assert.NotContains(t, r.logs.String(), "SECRET-KEY")
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}
