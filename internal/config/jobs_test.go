package config

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const jobsKey = "0123456789abcdef0123456789abcdef"

func TestBatchesAreOffByDefault(t *testing.T) {
	c := load(t)
	_, on := c.Broker()
	assert.False(t, on)
	assert.Equal(t, 30*24*time.Hour, c.JobsRetention.Duration())
	host, err := os.Hostname()
	require.NoError(t, err)
	assert.Equal(t, host+":6000", c.Name())
}

func TestBatchesOfOneGatewayAreInADirectory(t *testing.T) {
	dir := t.TempDir()
	key := writeFile(t, filepath.Join(t.TempDir(), "key"), jobsKey+"\n")
	c := load(t, "JOBS_DIR", dir, "JOBS_KEY_FILE", key, "GATEWAY_NAME", "ward-3", "JOBS_RETENTION", "12h")
	s, on := c.Broker()
	assert.True(t, on)
	assert.Equal(t, dir, s.Dir)
	assert.Equal(t, []byte(jobsKey), s.Key)
	assert.Equal(t, "ward-3", s.Name)
	assert.Equal(t, 12*time.Hour, c.JobsRetention.Duration())

	var line strings.Builder
	logger := zerolog.New(&line)
	logger.Info().Object("settings", c).Send()
	assert.NotContains(t, line.String(), jobsKey)
	assert.Contains(t, line.String(), `"jobs_retention":"12h0m0s"`)
}

func TestBatchesOfSeveralGatewaysAreInNATS(t *testing.T) {
	files := writeCertificate(t)
	credentials := writeFile(t, filepath.Join(t.TempDir(), "credentials"), "gateway:secret")
	c := load(t, "NATS_URL", "nats://a.example, nats://b.example:4223", "NATS_CREDENTIALS_FILE", credentials, "JOBS_REPLICAS", "3",
		"NATS_TLS_CA_FILE", files.cert, "NATS_TLS_CERT_FILE", files.cert, "NATS_TLS_KEY_FILE", files.key)
	s, on := c.Broker()
	assert.True(t, on)
	assert.Equal(t, []string{"nats://a.example", "nats://b.example:4223"}, s.Servers)
	assert.Len(t, s.TLS.Certificates, 1)
	assert.NotNil(t, s.TLS.RootCAs)
	assert.Equal(t, uint16(tls.VersionTLS12), s.TLS.MinVersion)
	_, err := s.Credentials()
	require.NoError(t, err)

	require.NoError(t, os.Remove(credentials))
	_, err = s.Credentials()
	require.ErrorContains(t, err, "NATS_CREDENTIALS_FILE: "+credentials+": no such file")
}

func TestTLSForNATSIsRequiredIfSomethingAsksForIt(t *testing.T) {
	s, _ := new(load(t, "NATS_URL", "nats://a.example")).Broker()
	assert.Nil(t, s.TLS)
	s, _ = new(load(t, "NATS_URL", "nats://a.example,tls://b.example")).Broker()
	assert.NotNil(t, s.TLS)

	warning := "NATS_URL is without TLS"
	for url, warns := range map[string]bool{
		"nats://a.example": true, "nats://192.0.2.1": true, "nats://localhost:4222,nats://127.0.0.1,nats://[::1]:4222": false, "tls://a.example": false,
	} {
		var lines strings.Builder
		c := load(t, "NATS_URL", url)
		c.LogWarnings(zerolog.New(&lines))
		assert.Equal(t, warns, strings.Contains(lines.String(), warning), url)
	}
}

func TestFaultySettingsOfBatches(t *testing.T) {
	dir := t.TempDir()
	key := writeFile(t, filepath.Join(dir, "key"), jobsKey)
	short := writeFile(t, filepath.Join(dir, "short"), strings.Repeat(" ", 40)+"secret")
	for fault, variables := range map[string][]string{
		"JOBS_DIR: cannot be set together with NATS_URL":                          {"NATS_URL", "nats://a", "JOBS_DIR", dir, "JOBS_KEY_FILE", key},
		"JOBS_KEY_FILE: is required if JOBS_DIR is set":                           {"JOBS_DIR", dir},
		"JOBS_KEY_FILE: needs JOBS_DIR":                                           {"JOBS_KEY_FILE", key},
		"JOBS_KEY_FILE: " + short + ": the key is shorter than 32 characters":     {"JOBS_DIR", dir, "JOBS_KEY_FILE", short},
		"JOBS_KEY_FILE: " + dir + "/none: no such file or directory":              {"JOBS_DIR", dir, "JOBS_KEY_FILE", dir + "/none"},
		"JOBS_KEY_FILE: want the path of a file, not its contents":                {"JOBS_DIR", dir, "JOBS_KEY_FILE", "secret\nsecret"},
		"JOBS_DIR: " + dir + "/none: no such file or directory":                   {"JOBS_DIR", dir + "/none", "JOBS_KEY_FILE", key},
		"JOBS_DIR: " + key + ": not a directory":                                  {"JOBS_DIR", key, "JOBS_KEY_FILE", key},
		"JOBS_RETENTION: want 1h to 3650d":                                        {"JOBS_RETENTION", "59m"},
		"JOBS_RETENTION: want a number of days such as 30d":                       {"JOBS_RETENTION", "a month"},
		"JOBS_REPLICAS: want 1 to 5":                                              {"JOBS_REPLICAS", "6", "NATS_URL", "nats://a"},
		"JOBS_REPLICAS: needs NATS_URL":                                           {"JOBS_REPLICAS", "3"},
		"JOBS_PER_CALLER: want at least 1":                                        {"JOBS_PER_CALLER", "0"},
		"GATEWAY_NAME: want 1 to 64 letters":                                      {"GATEWAY_NAME", "ward 3"},
		"NATS_CREDENTIALS_FILE: needs NATS_URL":                                   {"NATS_CREDENTIALS_FILE", key},
		"NATS_CREDENTIALS_FILE: " + dir + "/none: no such file or directory":      {"NATS_URL", "nats://a", "NATS_CREDENTIALS_FILE", dir + "/none"},
		"NATS_CREDENTIALS_FILE: " + dir + "/two: want a file of NATS credentials": {"NATS_URL", "nats://a", "NATS_CREDENTIALS_FILE", writeFile(t, dir+"/two", "secret\nsecret")},
		"NATS_TLS_CA_FILE: needs NATS_URL":                                        {"NATS_TLS_CA_FILE", key},
		"NATS_TLS_CA_FILE: " + key + ": the file holds no PEM certificate":        {"NATS_URL", "tls://a", "NATS_TLS_CA_FILE", key},
		"NATS_TLS_KEY_FILE: is required if NATS_TLS_CERT_FILE is set":             {"NATS_URL", "tls://a", "NATS_TLS_CERT_FILE", key},
		"NATSURL: no such setting, did you mean NATS_URL?":                        {"NATSURL", "nats://a"},
		"JOB_DIR: no such setting, did you mean JOBS_DIR?":                        {"JOB_DIR", dir},
	} {
		_, err := Load(environment(variables...))
		require.ErrorContains(t, err, fault, fault)
		assert.NotContains(t, err.Error(), "secret", fault)
	}
	for _, url := range []string{
		"nats.example:4222", "http://nats.example", "nats://", "nats://user:secret@a", "nats://a,", "nats://a/secret", "nats://a?secret", "nats://a#secret", "nats://[secret",
	} {
		_, err := Load(environment("NATS_URL", url))
		require.ErrorContains(t, err, "NATS_URL: "+wantNATS, url)
		assert.NotContains(t, err.Error(), "secret", url)
	}
}

func TestDays(t *testing.T) {
	for text, want := range map[string]string{"30d": "30d", "86400": "1d", "12h": "12h0m0s", "36h": "36h0m0s", "0d": "0d"} {
		var d Days
		require.NoError(t, d.UnmarshalText([]byte(text)), text)
		assert.Equal(t, want, d.String(), text)
	}
	for _, text := range []string{"", "d", "-1d", "1.5d", "-1s", "9999999999999999999d", "3651d", "9999999999999", "1w"} {
		var d Days
		require.ErrorContains(t, d.UnmarshalText([]byte(text)), "want a number of days", text)
	}
}
