package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHealthcheckOfARunningGateway(t *testing.T) {
	address := strings.TrimPrefix(startGateway(t, nil).URL, "http://")
	var stdout, stderr bytes.Buffer
	env := environ(map[string]string{"LISTEN_ADDR": address})
	assert.Zero(t, run(t.Context(), []string{"dicom-qr-gateway", "healthcheck"}, env, &stdout, &stderr))
	assert.Empty(t, stdout.String())
	assert.Empty(t, stderr.String())
}

func TestHealthcheckAcceptsOnlyStatus200(t *testing.T) {
	listener := listen(t)
	sick := &http.Server{Handler: http.NotFoundHandler()}
	done := make(chan error)
	go func() { done <- sick.Serve(listener) }()
	var stdout, stderr bytes.Buffer
	env := environ(map[string]string{"LISTEN_ADDR": listener.Addr().String()})
	assert.Equal(t, 1, run(t.Context(), []string{"dicom-qr-gateway", "healthcheck"}, env, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "not healthy: status 404")
	require.NoError(t, sick.Close())
	<-done
}

// A gateway keeps its settings and the last valid version of its files. What became invalid since it started does not make it
// unhealthy.
func TestHealthcheckReadsNothingButAddressAndScheme(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(keys, []byte("worklist:"+strings.Repeat("ab", 32)+"\n"), 0o600))
	gateway := startGateway(t, map[string]string{"API_KEYS_FILE": keys})
	require.NoError(t, os.WriteFile(keys, nil, 0o600))
	address := strings.TrimPrefix(gateway.URL, "http://")
	file := writeFile(t, "API_KEYS_FILE="+keys, "LISTEN_ADDR="+address, "nonsense", "TZ=Nowhere", "PACS_ALOWLIST=x", "ACSE_TIMEOUT='")
	for name, arguments := range map[string][]string{"environment": nil, "file": {"--env-file", file}} {
		t.Run(name, func(t *testing.T) {
			variables := map[string]string{"API_KEYS_FILE": keys, "DICOM_TLS_CA_FILE": "/nowhere", "MAX_MATCHES": "0", "LISTEN_ADDRESS": "x"}
			if name == "environment" {
				variables["LISTEN_ADDR"] = address
			}
			var stdout, stderr bytes.Buffer
			args := append([]string{"dicom-qr-gateway", "healthcheck"}, arguments...)
			assert.Zero(t, run(t.Context(), args, environ(variables), &stdout, &stderr))
			assert.Empty(t, stdout.String()+stderr.String())
		})
	}
}

func TestHealthcheckSaysThatTheAddressIsUnknown(t *testing.T) {
	for reason, arguments := range map[string][]string{
		"no such file":                         {"--env-file", filepath.Join(t.TempDir(), "none")},
		"line 2: the quote is not closed":      {"--env-file", writeFile(t, "", "LISTEN_ADDR='127.0.0.1:1")},
		"LISTEN_ADDR: want host:port or :port": {"--env-file", writeFile(t, "LISTEN_ADDR=x")},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, 1, run(t.Context(), append([]string{"dicom-qr-gateway", "healthcheck"}, arguments...), nil, &stdout, &stderr))
		assert.Contains(t, stderr.String(), reason)
	}
}
