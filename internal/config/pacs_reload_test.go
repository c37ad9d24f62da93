package config

import (
	"bytes"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/pool"
)

func lookup(t *testing.T, c *Config, name string) pool.Peer {
	t.Helper()
	peer, ok := c.PACS().Lookup(name)
	require.True(t, ok)
	return peer
}

func TestAChangedPACSFileTakesEffectAndAFaultyOneDoesNot(t *testing.T) {
	var log bytes.Buffer
	path := pacsFile(t, everything)
	c := load(t, "PACS_FILE", path)
	c.RereadEvery(0)
	c.LogReloads(zerolog.New(&log))
	main, second := lookup(t, &c, "main"), lookup(t, &c, "second-1")

	writeFile(t, path, "# another comment\n"+strings.Replace(everything, "port: 104", "port: 105", 1))
	assert.Same(t, main.Settings, lookup(t, &c, "main").Settings, "an entry that has not changed keeps its associations")
	changed := lookup(t, &c, "second-1")
	assert.Equal(t, 105, changed.Port)
	assert.Equal(t, 104, second.Port, "an operation keeps what it began with")
	assert.NotSame(t, second.Settings, changed.Settings)
	assert.Contains(t, log.String(), `"setting":"PACS_FILE","message":"reloaded"`)

	log.Reset()
	writeFile(t, path, "pacs:\n  main: {host: h}\n  other: 1\n")
	for range 3 {
		assert.Same(t, main.Settings, lookup(t, &c, "main").Settings)
	}
	assert.Len(t, c.PACS().List(), 2)
	assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	assert.Contains(t, log.String(), `"level":"error","setting":"PACS_FILE","reason":"`+path+`:2: main: port is required; `)
	assert.Contains(t, log.String(), path+`:3: other: want a mapping`)

	require.NoError(t, os.Remove(path))
	assert.Len(t, c.PACS().List(), 2)
	writeFile(t, path, "pacs:\n  only: {host: h, port: 1, ae_title: A, calling_ae_title: B}\n")
	_, ok := c.PACS().Lookup("main")
	assert.False(t, ok)
	assert.Len(t, c.PACS().List(), 1)
}

func TestAPACSFileIsReadAtMostOnceASecondUnlessItIsRereadNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := pacsFile(t, everything)
		c := load(t, "PACS_FILE", path)
		writeFile(t, path, strings.Replace(everything, "port: 104", "port: 105", 1))
		assert.Equal(t, 104, lookup(t, &c, "second-1").Port)
		time.Sleep(rereadInterval)
		assert.Equal(t, 105, lookup(t, &c, "second-1").Port)
		writeFile(t, path, everything)
		c.Reread()
		assert.Equal(t, 104, lookup(t, &c, "second-1").Port)
	})
}

func TestTLSFilesOfAPACSAreReadAgain(t *testing.T) {
	var log bytes.Buffer
	old, renewed := writeCertificate(t), writeCertificate(t)
	dir := t.TempDir()
	copyFile := func(from, to string) {
		contents, err := os.ReadFile(from)
		require.NoError(t, err)
		writeFile(t, filepath.Join(dir, to), string(contents))
	}
	copyFile(old.cert, "cert.pem")
	copyFile(old.cert, "ca.pem")
	copyFile(old.key, "key.pem")
	path := writeFile(t, filepath.Join(dir, "pacs.yaml"), `pacs:
  main:
    host: pacs.example
    port: 2762
    ae_title: PACS
    calling_ae_title: GATEWAY
    tls: {ca_file: ca.pem, cert_file: cert.pem, key_file: `+filepath.Join(dir, "key.pem")+`, server_name: gateway.test}
  common: {host: h, port: 1, ae_title: A, calling_ae_title: B, tls: true}
  system: {host: h, port: 1, ae_title: A, calling_ae_title: B, tls: {}}
`)
	c := load(t, "PACS_FILE", path)
	c.RereadEvery(0)
	c.LogReloads(zerolog.New(&log))
	first := lookup(t, &c, "main")
	assert.True(t, first.TLS)
	assert.Equal(t, "gateway.test", first.Settings.TLS.ServerName)
	assert.Equal(t, uint16(tls.VersionTLS12), first.Settings.TLS.MinVersion)
	assert.Len(t, first.Settings.TLS.Certificates, 1)
	assert.True(t, first.Settings.TLS.RootCAs.Equal(old.pool))
	common := lookup(t, &c, "common")
	assert.True(t, common.TLS)
	assert.Nil(t, common.Settings.TLS, "that of the settings DICOM_TLS_*")
	system := lookup(t, &c, "system")
	assert.True(t, system.TLS)
	assert.Nil(t, system.Settings.TLS.RootCAs)
	assert.Same(t, first.Settings, lookup(t, &c, "main").Settings, "files that have not changed")

	copyFile(renewed.cert, "ca.pem")
	second := lookup(t, &c, "main")
	assert.NotSame(t, first.Settings, second.Settings)
	assert.True(t, second.Settings.TLS.RootCAs.Equal(renewed.pool))
	assert.Same(t, second.Settings, lookup(t, &c, "main").Settings)
	assert.Contains(t, log.String(), `"setting":"main.tls","message":"reloaded"`)

	log.Reset()
	copyFile(renewed.cert, "cert.pem")
	assert.Same(t, second.Settings, lookup(t, &c, "main").Settings)
	c.Reread()
	assert.Contains(t, log.String(), "the certificate does not match the key in main.tls.key_file")

	_, err := Load(environment("PACS_FILE", path))
	var faults *FaultsError
	require.ErrorAs(t, err, &faults)
	assert.Equal(t, []string{
		path + ":7: main.tls.cert_file: " + filepath.Join(dir, "cert.pem") + ": the certificate does not match the key in main.tls.key_file",
	}, faults.Lines)
	writeFile(t, filepath.Join(dir, "ca.pem"), "nothing")
	_, err = Load(environment("PACS_FILE", path))
	require.ErrorContains(t, err, "main.tls.ca_file: "+filepath.Join(dir, "ca.pem")+": the file holds no PEM certificate")
}

func TestIncludedPACSGiveWayToThoseOfTheFile(t *testing.T) {
	c := load(t)
	_, ok := c.PACS().Lookup("main")
	assert.False(t, ok)
	assert.Empty(t, c.PACS().List())
	c.Reread()
	own, other := pool.Peer{Name: "main", Host: "127.0.0.1"}, pool.Peer{Name: "demo", Host: "127.0.0.1"}
	c.PACS().Include(own, other)
	assert.Equal(t, own, lookup(t, &c, "main"))
	assert.Equal(t, []pool.Peer{own, other}, c.PACS().List())

	c = load(t, "PACS_FILE", pacsFile(t, everything))
	c.PACS().Include(own, other)
	assert.Equal(t, "pacs.hospital.example", lookup(t, &c, "main").Host)
	assert.Equal(t, other, lookup(t, &c, "demo"))
	assert.Len(t, c.PACS().List(), 3)
}

func TestViewerURLNamesTheStudyAndIsNoScript(t *testing.T) {
	for _, good := range []string{"https://ohif.example/viewer/{pacs}?StudyInstanceUIDs={study}", "/viewer?StudyInstanceUIDs={study}"} {
		assert.Equal(t, good, load(t, "VIEWER_URL", good).ViewerURL)
	}
	for _, bad := range []string{
		"https://ohif.example/viewer", "javascript:alert('{study}')", "//other.example/{study}", "/\\other.example/{study}", "viewer/{study}",
		"https://user@ohif.example/{study}", "https://{study}:x/", "data:text/html,{study}",
	} {
		_, err := Load(environment("VIEWER_URL", bad))
		require.ErrorContains(t, err, "VIEWER_URL: want an http or https URL, or a path, with {study}", bad)
	}
}

func TestPublicURLIsAnHTTPURLWithoutQuery(t *testing.T) {
	c := load(t)
	assert.Nil(t, c.Access().Base)
	c = load(t, "PUBLIC_URL", "https://pacs.example/gateway/")
	assert.Equal(t, "https://pacs.example/gateway/", c.Access().Base.String())
	for _, bad := range []string{"pacs.example", "ftp://pacs.example", "http://", "http://a:b@pacs.example", "http://pacs.example?x=1", "http://pacs.example#x", "http://[::1"} {
		_, err := Load(environment("PUBLIC_URL", bad))
		require.ErrorContains(t, err, "PUBLIC_URL: want an http or https URL", bad)
	}
}
