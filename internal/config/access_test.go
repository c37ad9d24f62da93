package config

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	worklistKey = "SECRET-KEY-worklist"
	viewerKey   = "SECRET-KEY-viewer"
)

func keyLine(name, key string) string {
	digest := sha256.Sum256([]byte(key))
	return name + ":" + hex.EncodeToString(digest[:]) + "\n"
}

func TestFilesAreReadAgainOnceAnInterval(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "keys"), keyLine("worklist", worklistKey))
	keys, fault := newReloaded(newKeys, namedFile{"API_KEYS_FILE", file})
	require.Nil(t, fault)
	writeFile(t, file, keyLine("viewer", viewerKey))
	_, _, ok := keys.get().Find(worklistKey)
	assert.True(t, ok, "within the interval")
	keys.checked.Add(-int64(rereadInterval))
	_, _, ok = keys.get().Find(worklistKey)
	assert.False(t, ok, "after the interval")
}

func TestFaultyKeyFiles(t *testing.T) {
	digest := strings.TrimPrefix(keyLine("", worklistKey), ":")
	for content, reason := range map[string]string{
		"":                            "the file holds no key",
		"worklist:" + worklistKey:     "line 1: want name:digest",
		"a:" + digest + "b:" + digest: "line 2: duplicate digest",
	} {
		file := writeFile(t, filepath.Join(t.TempDir(), "keys"), content)
		_, err := Load(environment("API_KEYS_FILE", file))
		require.ErrorContains(t, err, "API_KEYS_FILE: "+file+": "+reason)
		assert.NotContains(t, err.Error(), worklistKey)
	}
}

func TestFaultyProxySettings(t *testing.T) {
	_, err := Load(environment("TRUSTED_PROXIES", "proxy.example"))
	require.ErrorContains(t, err, "TRUSTED_PROXIES: want addresses or CIDR blocks")
	_, err = Load(environment("FORWARDED_USER_HEADER", "X-User"))
	require.ErrorContains(t, err, "FORWARDED_USER_HEADER: needs TRUSTED_PROXIES")
	_, err = Load(environment("FORWARDED_USER_HEADER", "X User", "TRUSTED_PROXIES", "10.0.0.1"))
	require.ErrorContains(t, err, "FORWARDED_USER_HEADER: want the name of a header field")
}

func TestFaultyOrigins(t *testing.T) {
	_, err := Load(environment("CORS_ALLOWED_ORIGINS", "viewer.example"))
	require.ErrorContains(t, err, "CORS_ALLOWED_ORIGINS: want origins")
}

func TestAuditLogsThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "file"), "")
	for path, reason := range map[string]string{
		dir:                                     "is a directory",
		filepath.Join(dir, "none", "audit.log"): "no such file or directory",
		filepath.Join(file, "audit.log"):        "not a directory",
	} {
		_, err := Load(environment("AUDIT_LOG", path))
		require.ErrorContains(t, err, "AUDIT_LOG: "+path+": "+reason)
	}
	gone := filepath.Join(dir, "gone")
	require.NoError(t, os.Mkdir(gone, 0o700))
	c := load(t, "AUDIT_LOG", filepath.Join(gone, "audit.log"))
	assert.NoFileExists(t, filepath.Join(gone, "audit.log"), "not created by reading the settings")
	require.NoError(t, os.Remove(gone))
	_, err := c.OpenAuditLog(io.Discard, zerolog.Nop())
	require.ErrorContains(t, err, "AUDIT_LOG: "+filepath.Join(gone, "audit.log")+": no such file or directory")
}

func TestFaultyAllowedHosts(t *testing.T) {
	for _, list := range []string{"http://gateway.example", "gateway.example:8888", "*.", "*example.org", "a.*.example.org", "a..b", "gäteway.example", "a b"} {
		_, err := Load(environment("ALLOWED_HOSTS", list))
		require.ErrorContains(t, err, "ALLOWED_HOSTS: want host names such as gateway.example.org or *.example.org", list)
	}
}

func TestHostsAreCheckedUnlessKeysOrHTTPSKeepWebPagesOut(t *testing.T) {
	files := writeCertificate(t)
	keys := writeFile(t, filepath.Join(t.TempDir(), "keys"), keyLine("worklist", worklistKey))
	assert.NotNil(t, new(load(t)).Access().Hosts)
	assert.NotNil(t, new(load(t, "TRUSTED_PROXIES", "127.0.0.1", "CORS_ALLOWED_ORIGINS", "*")).Access().Hosts)
	assert.Nil(t, new(load(t, "API_KEYS_FILE", keys)).Access().Hosts)
	assert.Nil(t, new(load(t, "TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key)).Access().Hosts)
}

func TestAuditSyncNeedsAFile(t *testing.T) {
	for _, path := range []string{"", "stdout"} {
		_, err := Load(environment("AUDIT_SYNC", "true", "AUDIT_LOG", path))
		require.ErrorContains(t, err, "AUDIT_SYNC: needs a file in AUDIT_LOG")
	}
	assert.True(t, load(t, "AUDIT_SYNC", "true", "AUDIT_LOG", filepath.Join(t.TempDir(), "audit.log")).AuditSync)
}
