package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/telemetry"
)

func TestDefaults(t *testing.T) {
	c := load(t)
	second := func(n int) Seconds { return Seconds(time.Duration(n) * time.Second) }
	assert.False(t, c.DICOMDebug)
	assert.True(t, c.LogToConsole)
	assert.Equal(t, "json", c.LogFormat)
	assert.Equal(t, ":6000", c.ListenAddr)
	assert.Equal(t, second(10), c.ACSETimeout)
	assert.Equal(t, second(10), c.DIMSETimeout)
	assert.Equal(t, second(10), c.NetworkTimeout)
	assert.Equal(t, second(10), c.ConnectionTimeout)
	assert.Equal(t, second(10), c.MoveTimeout)
	assert.Equal(t, second(3600), c.OperationTimeout)
	assert.Equal(t, 10000, c.MaxMatches)
	assert.Equal(t, 256, c.MaxOperations)
	assert.Equal(t, 10, c.MaxAssociationsPerPACS)
	assert.Equal(t, 5*time.Second, c.Pool().QueueTimeout)
	assert.True(t, c.AllowsAnyPACS())
	assert.Nil(t, c.ServerTLS())
	assert.NotNil(t, c.Pool().TLS)
}

func TestSettingsComeFromTheEnvironment(t *testing.T) {
	c := load(
		t, "ACSE_TIMEOUT", "1.5", "DIMSE_TIMEOUT", "20", "NETWORK_TIMEOUT", "0.25", "CONNECTION_TIMEOUT", "3",
		"OPERATION_TIMEOUT", "0", "MAX_MATCHES", "7", "LISTEN_ADDR", "127.0.0.1:8888", "LOG_TO_CONSOLE", "False",
		"DICOM_DEBUG", "1", "LOG_FORMAT", "console", "ASSOCIATION_IDLE", "0", "OTEL_TRACES_EXPORTER", "none",
	)
	assert.Equal(t, dicomnet.Timeouts{
		Connection: 3 * time.Second, ACSE: 1500 * time.Millisecond, DIMSE: 20 * time.Second, Move: 20 * time.Second,
		Network: 250 * time.Millisecond,
	}, c.Pool().Timeouts)
	assert.Zero(t, c.OperationTimeout)
	assert.Equal(t, 7, c.MaxMatches)
	assert.Equal(t, "127.0.0.1:8888", c.ListenAddr)
	assert.False(t, c.LogToConsole)
	assert.True(t, c.DICOMDebug)

	c = load(t, "QUEUE_TIMEOUT", "0", "PACS_ALLOWLIST", "192.0.2.0/24")
	assert.Zero(t, c.Pool().QueueTimeout, "no wait")
	assert.False(t, c.AllowsAnyPACS())
	assert.NotNil(t, c.Pool().Allow)

	c = load(t, "MOVE_TIMEOUT", "300")
	assert.Equal(t, 300*time.Second, c.Pool().Timeouts.Move)
}

func TestErrorNamesEveryFaultySettingAndNoValueButPaths(t *testing.T) {
	_, err := Load(environment(
		"ACSE_TIMEOUT", "soon-xyz", "DIMSE_TIMEOUT", "0", "NETWORK_TIMEOUT", "-1", "CONNECTION_TIMEOUT", "NaN",
		"MOVE_TIMEOUT", "0", "OPERATION_TIMEOUT", "1e300", "MAX_MATCHES", "many-xyz", "LISTEN_ADDR", "xyz", "DICOM_DEBUG", "xyz",
		"LOG_FORMAT", "xyz", "PACS_ALLOWLIST", "pacs, xyz/", "API_KEYS_FILE", "/none", "AUDIT_LOG", "/none/audit.log", "ASSOCIATION_IDLE", "xyz",
		"MAX_ASSOCIATIONS_PER_PACS", "0", "QUEUE_TIMEOUT", "xyz", "TLS_CLIENT_CA_FILE", "/none", "DICOM_TLS_CA_FILE", "/none",
		"DICOM_TLS_CERT_FILE", "/none", "TLS_KEY_FILE", "/none", "TZ", "xyz", "PACS_ALOWLIST", "xyz",
	))
	require.Error(t, err)
	for _, name := range []string{
		"ACSE_TIMEOUT: want seconds", "DIMSE_TIMEOUT: want more", "NETWORK_TIMEOUT", "CONNECTION_TIMEOUT", "MOVE_TIMEOUT: want more",
		"OPERATION_TIMEOUT: want seconds", "MAX_MATCHES: want an integer", "LISTEN_ADDR: want host:port", "DICOM_DEBUG: want true or false",
		"LOG_FORMAT: want json or console", "PACS_ALLOWLIST: want CIDR, host or host:port, separated by commas; entry 2", "API_KEYS_FILE", "AUDIT_LOG",
		"ASSOCIATION_IDLE", "MAX_ASSOCIATIONS_PER_PACS", "QUEUE_TIMEOUT", "TLS_CLIENT_CA_FILE", "DICOM_TLS_CA_FILE: /none: no such file",
		"DICOM_TLS_KEY_FILE: is required", "TLS_CERT_FILE: is required", "TZ: want the name of a time zone",
		"PACS_ALOWLIST: no such setting, did you mean PACS_ALLOWLIST?",
	} {
		assert.ErrorContains(t, err, name)
	}
	assert.NotContains(t, err.Error(), "xyz")
}

func TestFaultyDefaultIsReportedOnce(t *testing.T) {
	_, err := Load(environment("DIMSE_TIMEOUT", "-1"))
	require.ErrorContains(t, err, "DIMSE_TIMEOUT")
	assert.NotContains(t, err.Error(), "MOVE_TIMEOUT")
}

func TestEachUnreadableFileOfAPairIsReported(t *testing.T) {
	for _, prefix := range []string{"", "DICOM_"} {
		_, err := Load(environment(prefix+"TLS_CERT_FILE", "/nowhere", prefix+"TLS_KEY_FILE", "/nowhere"))
		assert.ErrorContains(t, err, prefix+"TLS_CERT_FILE: /nowhere: no such file")
		assert.ErrorContains(t, err, prefix+"TLS_KEY_FILE: /nowhere: no such file")
		_, err = Load(environment(prefix+"TLS_CERT_FILE", "/nowhere"))
		assert.ErrorContains(t, err, prefix+"TLS_CERT_FILE: /nowhere: no such file")
		assert.ErrorContains(t, err, prefix+"TLS_KEY_FILE: is required")
	}
}

func TestTLSFilesWithoutCertificateOrKey(t *testing.T) {
	files := writeCertificate(t)
	for _, prefix := range []string{"", "DICOM_"} {
		_, err := Load(environment(prefix+"TLS_CERT_FILE", files.key, prefix+"TLS_KEY_FILE", files.key))
		assert.ErrorContains(t, err, prefix+"TLS_CERT_FILE: "+files.key+": the file holds no PEM certificate")
		_, err = Load(environment(prefix+"TLS_CERT_FILE", files.cert, prefix+"TLS_KEY_FILE", files.cert))
		assert.ErrorContains(t, err, prefix+"TLS_KEY_FILE: "+files.cert+": the file holds no PEM key")
	}
}

func TestSettingsOutOfRange(t *testing.T) {
	for name, value := range map[string]string{"MAX_MATCHES": "0", "MAX_OPERATIONS": "0", "PACS_ALLOWLIST": ",", "LISTEN_ADDR": "127.0.0.1:70000"} {
		_, err := Load(environment(name, value))
		assert.ErrorContains(t, err, name)
	}
}

type certificate struct {
	cert, key string // files
	pool      *x509.CertPool
}

func writeCertificate(t *testing.T) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway.test"}, DNSNames: []string{"gateway.test"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)

	dir := t.TempDir()
	files := certificate{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), x509.NewCertPool()}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(files.cert, certPEM, 0o600))
	require.NoError(t, os.WriteFile(files.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	require.True(t, files.pool.AppendCertsFromPEM(certPEM))
	return files
}

func TestClientCertificatesRequireHTTPS(t *testing.T) {
	files := writeCertificate(t)
	_, err := Load(environment("TLS_CLIENT_CA_FILE", files.cert))
	require.ErrorContains(t, err, "TLS_CERT_FILE: is required if TLS_CLIENT_CA_FILE is set")
	_, err = Load(environment("TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key, "TLS_CLIENT_CA_FILE", files.key))
	require.ErrorContains(t, err, "TLS_CLIENT_CA_FILE: "+files.key+": the file holds no PEM certificate")
}

func TestTLSForPACS(t *testing.T) {
	files := writeCertificate(t)
	c := load(t, "DICOM_TLS_CA_FILE", files.cert, "DICOM_TLS_CERT_FILE", files.cert, "DICOM_TLS_KEY_FILE", files.key,
		"DICOM_TLS_SERVER_NAME", "gateway.test")
	assert.True(t, files.pool.Equal(c.Pool().TLS.RootCAs))
	assert.Len(t, c.Pool().TLS.Certificates, 1)
	assert.Equal(t, "gateway.test", c.Pool().TLS.ServerName)
}

func TestTLSFilesWithOtherContents(t *testing.T) {
	files, other := writeCertificate(t), writeCertificate(t)
	_, err := Load(environment(
		"DICOM_TLS_CA_FILE", files.key,
		"DICOM_TLS_CERT_FILE", files.cert, "DICOM_TLS_KEY_FILE", other.key,
		"TLS_CERT_FILE", files.cert, "TLS_KEY_FILE", files.key+".gone",
	))
	assert.ErrorContains(t, err, "DICOM_TLS_CA_FILE: "+files.key+": the file holds no PEM certificate")
	assert.ErrorContains(t, err, "DICOM_TLS_CERT_FILE: "+files.cert+": the certificate does not match the key")
	assert.ErrorContains(t, err, "TLS_KEY_FILE: "+files.key+".gone: no such file")
}

func TestSettingsAreLoggedUnderTheNamesOfTheirVariables(t *testing.T) {
	var b bytes.Buffer
	logger := zerolog.New(&b)
	logger.Info().Object("settings", load(t, "ACSE_TIMEOUT", "1.5")).Msg("start")
	var line struct {
		Settings map[string]any `json:"settings"`
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &line))
	assert.Equal(t, 1.5, line.Settings["acse_timeout"])
	assert.Equal(t, ":6000", line.Settings["listen_addr"])
	assert.Equal(t, false, line.Settings["tracing"])
}

func TestLogOptions(t *testing.T) {
	assert.Equal(t, telemetry.LogOptions{On: true}, new(load(t)).Log())
	assert.Equal(t, telemetry.LogOptions{Debug: true, Console: true},
		new(load(t, "LOG_TO_CONSOLE", "false", "DICOM_DEBUG", "true", "LOG_FORMAT", "console")).Log())
}

func load(t *testing.T, variables ...string) Config {
	t.Helper()
	c, err := Load(environment(variables...))
	require.NoError(t, err)
	return c
}

// environment returns the variables of name, value pairs.
func environment(variables ...string) map[string]string {
	values := map[string]string{}
	for i := 0; i < len(variables); i += 2 {
		values[variables[i]] = variables[i+1]
	}
	return values
}

func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}
