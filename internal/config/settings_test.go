package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"10": 10 * time.Second, "0.5": 500 * time.Millisecond, "0": 0, "1e3": 1000 * time.Second, "1000000": 1e6 * time.Second,
		"10s": 10 * time.Second, "1m30s": 90 * time.Second, "500ms": 500 * time.Millisecond, "1.5h": 90 * time.Minute, "0s": 0,
	} {
		var s Seconds
		require.NoError(t, s.UnmarshalText([]byte(text)), text)
		assert.Equal(t, want, s.Duration(), text)
	}
	for _, text := range []string{"soon", "-1", "-1s", "10 s", "10S", "1d", "s", "NaN", "Inf", "1e999", "1000001", "1000001s", "300h", "9999999999h"} {
		var s Seconds
		require.ErrorContains(t, s.UnmarshalText([]byte(text)), "want seconds, 0 to 1000000, or a duration such as 500ms or 1m30s", text)
	}
}

func TestSettingsOfTheDemonstration(t *testing.T) {
	loopback := func(address string) error {
		if strings.HasPrefix(address, "127.") {
			return nil
		}
		return errors.New("no loopback")
	}
	d, err := LoadDemo(environment("DEMO_DELAY", "250ms", "DEMO_PACS_B_ADDR", ""), loopback)
	require.NoError(t, err)
	assert.Equal(t, Demo{"127.0.0.1:4242", "127.0.0.1:4243", Seconds(250 * time.Millisecond)}, d)
	_, err = LoadDemo(environment("DEMO_DELAY", "-1", "DEMO_PACS_A_ADDR", ":4242"), loopback)
	require.ErrorContains(t, err, "DEMO_DELAY: want seconds")
	require.ErrorContains(t, err, "DEMO_PACS_A_ADDR: no loopback")
}

func TestTimeZones(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", ":Europe/Berlin", "UTC", "EST5EDT", "Etc/GMT+5"} {
		c := load(t, "TZ", name)
		assert.Equal(t, strings.TrimPrefix(name, ":"), c.Location().String())
	}
	assert.Nil(t, new(load(t)).Location(), "that of the system")
	for _, name := range []string{"Europe/Berlln", "CET-1CEST,M3.5.0,M10.5.0/3", "GMT+2", "Local", ":", "../etc/passwd", "Europe", "Berlin"} {
		_, err := Load(environment("TZ", name))
		require.ErrorContains(t, err, "TZ: want the name of a time zone, such as Europe/Berlin or UTC", name)
		assert.NotContains(t, err.Error(), "Berlln")
	}
	_, err := Load(environment("TZ", "/nowhere/localtime"))
	require.ErrorContains(t, err, "TZ: /nowhere/localtime: no such file")
	file := writeFile(t, filepath.Join(t.TempDir(), "zone"), "no zone")
	_, err = Load(environment("TZ", file))
	require.ErrorContains(t, err, "TZ: "+file+": the file holds no time zone")
}

func TestFilesAreNamedWithTheReason(t *testing.T) {
	failure := func(err error) error { return &fs.PathError{Op: "open", Path: "-", Err: err} }
	assert.Equal(t, "/keys: permission denied", FileReason("/keys", failure(syscall.EACCES)))
	assert.Equal(t, "keys: is a directory", FileReason("keys", failure(syscall.EISDIR)))
	assert.Equal(t, `"/a: b": no such file or directory`, FileReason("/a: b", failure(syscall.ENOENT)))
	for _, content := range []string{"-----BEGIN PRIVATE KEY-----", "a:b\nc:d", strings.Repeat("x", 5000)} {
		_, err := os.ReadFile(content)
		require.Error(t, err)
		assert.Equal(t, "want the path of a file, not its contents", FileReason(content, err))
	}
}

func TestUnreadableFilesAreNamedWithTheReason(t *testing.T) {
	dir := t.TempDir()
	files := writeCertificate(t)
	secret := writeFile(t, filepath.Join(dir, "secret"), "")
	require.NoError(t, os.Chmod(secret, 0))
	reasons := map[string]string{dir: "is a directory", filepath.Join(dir, "none"): "no such file or directory"}
	if os.Geteuid() != 0 { // root reads everything
		reasons[secret] = "permission denied"
	}
	for path, reason := range reasons {
		for _, name := range []string{
			"API_KEYS_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_CLIENT_CA_FILE", "DICOM_TLS_CA_FILE",
			"DICOM_TLS_CERT_FILE", "DICOM_TLS_KEY_FILE", "OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY",
		} {
			_, err := Load(environment("OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", files.cert,
				"OTEL_EXPORTER_OTLP_CLIENT_KEY", files.key, name, path))
			require.ErrorContains(t, err, name+": "+path+": "+reason)
		}
	}
}

func TestEverySettingHasAGroupAndAMeaning(t *testing.T) {
	for _, setting := range Settings() {
		assert.NotEmpty(t, setting.Group, setting.Name)
		assert.NotEmpty(t, setting.Help, setting.Name)
	}
}

func TestEndpointNeedsNoOtherSetting(t *testing.T) {
	address, secure, err := Endpoint(environment("API_KEYS_FILE", "/nowhere", "ACSE_TIMEOUT", "soon", "LISTEN_ADRR", "x"))
	require.NoError(t, err)
	assert.Equal(t, ":6000", address)
	assert.False(t, secure)
	address, secure, err = Endpoint(environment("LISTEN_ADDR", "127.0.0.1:7000", "TLS_CERT_FILE", "/nowhere"))
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1:7000", address)
	assert.True(t, secure)
	_, _, err = Endpoint(environment("LISTEN_ADDR", "xyz"))
	require.EqualError(t, err, "faulty settings: LISTEN_ADDR: want host:port or :port")
}
