package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dicom-qr-gateway/test/rig"
)

func TestMain(m *testing.M) {
	status := rig.Main(m)
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// environment returns a getenv function for the variables.
func environment(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

// startGateway runs the gateway in this process on a free port, with the variables as its settings, until the test ends.
func startGateway(t *testing.T, variables map[string]string) *rig.InProcess {
	t.Helper()
	settings := map[string]string{"LISTEN_ADDR": "127.0.0.1:0"}
	maps.Copy(settings, variables)
	return rig.RunInProcess(t, func(ctx context.Context, stdout io.Writer) int {
		return run(ctx, []string{"dicom-qr-gateway", "serve"}, environment(settings), stdout, stdout)
	})
}

// runStopped runs the gateway with a context that is done, so that it starts and stops, and returns its output.
func runStopped(t *testing.T, variables map[string]string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	settings := map[string]string{"LISTEN_ADDR": "127.0.0.1:0"}
	maps.Copy(settings, variables)
	var stdout, stderr strings.Builder
	assert.Zero(t, run(ctx, []string{"dicom-qr-gateway"}, environment(settings), &stdout, &stderr))
	assert.Empty(t, stderr.String())
	return stdout.String()
}

func TestCommands(t *testing.T) {
	for name, test := range map[string]struct {
		args           []string
		env            map[string]string
		status         int
		stdout, stderr string
	}{
		"version": {[]string{"version"}, nil, 0, "dicom-qr-gateway ", ""},
		"help":    {[]string{"help"}, nil, 0, "usage: dicom-qr-gateway", ""},
		"unknown": {[]string{"find"}, nil, 1, "", "unknown command"},
		"two":     {[]string{"serve", "now"}, nil, 1, "", "at most one command"},
		"faulty settings": {
			nil,
			map[string]string{"ACSE_TIMEOUT": "soon", "MAX_MATCHES": "0"},
			1,
			"", "ACSE_TIMEOUT: want seconds, 0 to 1000000; MAX_MATCHES",
		},
		"healthcheck with faulty settings": {[]string{"healthcheck"}, map[string]string{"LISTEN_ADDR": "x"}, 1, "", "LISTEN_ADDR"},
		"healthcheck without a gateway":    {[]string{"healthcheck"}, map[string]string{"LISTEN_ADDR": closedPort(t)}, 1, "", "not healthy"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			args := append([]string{"dicom-qr-gateway"}, test.args...)
			assert.Equal(t, test.status, run(t.Context(), args, environment(test.env), &stdout, &stderr))
			assert.Contains(t, stdout.String(), test.stdout)
			assert.Contains(t, stderr.String(), test.stderr)
			if test.status == 0 {
				assert.Empty(t, stderr.String())
			} else {
				assert.Empty(t, stdout.String())
			}
		})
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	listener := listen(t)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return listener
}

func TestServeFailsIfTheAddressIsInUse(t *testing.T) {
	listener := listen(t)
	defer func() { require.NoError(t, listener.Close()) }()
	var stdout, stderr bytes.Buffer
	env := environment(map[string]string{"LISTEN_ADDR": listener.Addr().String(), "LOG_TO_CONSOLE": "false"})
	assert.Equal(t, 1, run(t.Context(), []string{"dicom-qr-gateway"}, env, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "address already in use")
	assert.Empty(t, stdout.String())
}

func TestServeFailsIfTheAuditLogCannotBeOpened(t *testing.T) {
	var stdout, stderr bytes.Buffer
	file := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.Symlink(filepath.Join(t.TempDir(), "none", "audit.log"), file))
	env := environment(map[string]string{"LISTEN_ADDR": "127.0.0.1:0", "LOG_TO_CONSOLE": "false", "AUDIT_LOG": file})
	assert.Equal(t, 1, run(t.Context(), []string{"dicom-qr-gateway"}, env, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "AUDIT_LOG: the file cannot be written")
}

func TestHealthcheckOfARunningGateway(t *testing.T) {
	address := strings.TrimPrefix(startGateway(t, nil).URL, "http://")
	var stdout, stderr bytes.Buffer
	env := environment(map[string]string{"LISTEN_ADDR": address})
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
	env := environment(map[string]string{"LISTEN_ADDR": listener.Addr().String()})
	assert.Equal(t, 1, run(t.Context(), []string{"dicom-qr-gateway", "healthcheck"}, env, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "not healthy: status 404")
	require.NoError(t, sick.Close())
	<-done
}

func TestServeWithoutLogsIsSilent(t *testing.T) {
	assert.Empty(t, runStopped(t, map[string]string{"LOG_TO_CONSOLE": "false"}))
}

func TestBaseURLIsReachableFromThisMachine(t *testing.T) {
	assert.Equal(t, "http://127.0.0.1:6000", baseURL(":6000", false))
	assert.Equal(t, "http://127.0.0.1:6000", baseURL("0.0.0.0:6000", false))
	assert.Equal(t, "https://127.0.0.1:6000", baseURL("[::]:6000", true))
	assert.Equal(t, "http://[::1]:6000", baseURL("[::1]:6000", false))
	assert.Equal(t, "http://gateway:6000", baseURL("gateway:6000", false))
}

func TestServeWarnsOfAnEmptyAllowlist(t *testing.T) {
	for allowlist, warned := range map[string]bool{"": true, "192.0.2.0/24": false} {
		output := runStopped(t, map[string]string{"PACS_ALLOWLIST": allowlist})
		assert.Equal(t, warned, strings.Contains(output, "PACS_ALLOWLIST is empty"))
	}
}

func TestServeWarnsIfNoCredentialsAreRequired(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(keys, []byte("worklist:"+strings.Repeat("ab", 32)+"\n"), 0o600))
	for file, warned := range map[string]bool{"": true, keys: false} {
		output := runStopped(t, map[string]string{"API_KEYS_FILE": file})
		assert.Equal(t, warned, strings.Contains(output, "the gateway accepts requests without credentials"))
	}
}

func TestAuditRecordsAndLogShareStandardOutput(t *testing.T) {
	output := runStopped(t, map[string]string{"LOG_TO_CONSOLE": "false", "AUDIT_LOG": "stdout"})
	assert.Equal(t, 2, strings.Count(output, `{"EventIdentification":`))
	assert.Equal(t, 2, strings.Count(output, "\n"))
}
