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

// environ returns the variables as NAME=VALUE.
func environ(variables map[string]string) []string {
	var all []string
	for name, value := range variables {
		all = append(all, name+"="+value)
	}
	return all
}

// startGateway runs the gateway in this process on a free port, with the variables as its settings, until the test ends.
func startGateway(t *testing.T, variables map[string]string) *rig.InProcess {
	t.Helper()
	settings := map[string]string{"LISTEN_ADDR": "127.0.0.1:0"}
	maps.Copy(settings, variables)
	return rig.RunInProcess(t, func(ctx context.Context, stdout io.Writer) int {
		return run(ctx, []string{"dicom-qr-gateway", "serve"}, environ(settings), stdout, stdout)
	})
}

// runStopped runs the gateway with a context that is done, so that it starts and stops, and returns its output.
func runStopped(t *testing.T, variables map[string]string) string {
	t.Helper()
	return runStoppedWith(t, nil, variables)
}

func runStoppedWith(t *testing.T, args []string, variables map[string]string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	settings := map[string]string{"LISTEN_ADDR": "127.0.0.1:0"}
	maps.Copy(settings, variables)
	var stdout, stderr strings.Builder
	assert.Zero(t, run(ctx, append([]string{"dicom-qr-gateway"}, args...), environ(settings), &stdout, &stderr))
	assert.Empty(t, stderr.String())
	return stdout.String()
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
	env := environ(map[string]string{"LISTEN_ADDR": listener.Addr().String(), "LOG_TO_CONSOLE": "false"})
	assert.Equal(t, 1, run(t.Context(), []string{"dicom-qr-gateway"}, env, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "address already in use")
	assert.Empty(t, stdout.String())
}

func TestServeFailsIfTheAuditLogCannotBeOpened(t *testing.T) {
	var stdout, stderr bytes.Buffer
	file := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.Symlink(filepath.Join(t.TempDir(), "none", "audit.log"), file))
	env := environ(map[string]string{"LISTEN_ADDR": "127.0.0.1:0", "LOG_TO_CONSOLE": "false", "AUDIT_LOG": file})
	assert.Equal(t, 1, run(t.Context(), []string{"dicom-qr-gateway"}, env, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "AUDIT_LOG: "+file+": no such file or directory")
}

func TestDefaultsRefuseAReboundWebPage(t *testing.T) {
	gateway := startGateway(t, nil)
	status := func(host, path string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, gateway.URL+path, http.NoBody)
		require.NoError(t, err)
		request.Host = host
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode
	}
	assert.Equal(t, http.StatusMisdirectedRequest, status("rebound.example:8888", "/version"))
	assert.Equal(t, http.StatusOK, status("localhost:8888", "/version"))
	assert.Equal(t, http.StatusOK, status("gateway:6000", "/version"))
	assert.Equal(t, http.StatusOK, status("rebound.example", "/health"))
}

func TestServeWithoutLogsIsSilent(t *testing.T) {
	assert.Empty(t, runStopped(t, map[string]string{"LOG_TO_CONSOLE": "false"}))
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
