package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dicom-qr-gateway/test/rig"
)

func TestMain(m *testing.M) {
	status := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func environment(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

func TestCommands(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		env    map[string]string
		status int
		output string
	}{
		"version":                  {[]string{"version"}, nil, 0, "dicom-qr-gateway "},
		"help":                     {[]string{"help"}, nil, 0, "usage: dicom-qr-gateway"},
		"unknown":                  {[]string{"find"}, nil, 1, "unknown command"},
		"too many":                 {[]string{"serve", "now"}, nil, 1, "one command at most"},
		"faulty settings":          {nil, map[string]string{"ACSE_TIMEOUT": "soon", "MAX_MATCHES": "0"}, 1, "ACSE_TIMEOUT: want seconds, 0 to 1000000; MAX_MATCHES"},
		"health, faulty settings":  {[]string{"healthcheck"}, map[string]string{"LISTEN_ADDR": "x"}, 1, "LISTEN_ADDR"},
		"health, nothing is there": {[]string{"healthcheck"}, map[string]string{"LISTEN_ADDR": closedPort(t)}, 1, "not healthy"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout bytes.Buffer
			args := append([]string{"dicom-qr-gateway"}, test.args...)
			assert.Equal(t, test.status, run(t.Context(), args, environment(test.env), &stdout))
			assert.Contains(t, stdout.String(), test.output)
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

// startGateway runs the gateway on a free port until the test ends.
func startGateway(t *testing.T) (baseURL string) {
	t.Helper()
	return rig.RunInProcess(t, func(ctx context.Context, stdout io.Writer) int {
		return run(ctx, []string{"dicom-qr-gateway", "serve"}, environment(map[string]string{"LISTEN_ADDR": "127.0.0.1:0"}), stdout)
	}).URL
}

func TestAnAddressThatIsTakenStopsTheStart(t *testing.T) {
	listener := listen(t)
	defer func() { require.NoError(t, listener.Close()) }()
	var stdout bytes.Buffer
	env := environment(map[string]string{"LISTEN_ADDR": listener.Addr().String(), "LOG_TO_CONSOLE": "false"})
	assert.Equal(t, 1, run(t.Context(), []string{"dicom-qr-gateway"}, env, &stdout))
	assert.Contains(t, stdout.String(), "address already in use")
}

func TestTheHealthcheckFindsTheGatewayThatRuns(t *testing.T) {
	address := strings.TrimPrefix(startGateway(t), "http://")
	var stdout bytes.Buffer
	env := environment(map[string]string{"LISTEN_ADDR": address})
	assert.Zero(t, run(t.Context(), []string{"dicom-qr-gateway", "healthcheck"}, env, &stdout))
	assert.Empty(t, stdout.String())
}

func TestTheHealthcheckBelievesNothingButOK(t *testing.T) {
	listener := listen(t)
	sick := &http.Server{Handler: http.NotFoundHandler()}
	done := make(chan error)
	go func() { done <- sick.Serve(listener) }()
	var stdout bytes.Buffer
	env := environment(map[string]string{"LISTEN_ADDR": listener.Addr().String()})
	assert.Equal(t, 1, run(t.Context(), []string{"dicom-qr-gateway", "healthcheck"}, env, &stdout))
	assert.Contains(t, stdout.String(), "not healthy: status 404")
	require.NoError(t, sick.Close())
	<-done
}

func TestWithoutLogsTheGatewayIsSilent(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout bytes.Buffer
	env := environment(map[string]string{"LISTEN_ADDR": "127.0.0.1:0", "LOG_TO_CONSOLE": "false"})
	assert.Zero(t, run(ctx, []string{"dicom-qr-gateway", "serve"}, env, &stdout))
	assert.Empty(t, stdout.String())
}

func TestWhereAListenerIsReachedFromThisMachine(t *testing.T) {
	assert.Equal(t, "http://127.0.0.1:6000", baseURL(":6000", false))
	assert.Equal(t, "http://127.0.0.1:6000", baseURL("0.0.0.0:6000", false))
	assert.Equal(t, "https://127.0.0.1:6000", baseURL("[::]:6000", true))
	assert.Equal(t, "http://[::1]:6000", baseURL("[::1]:6000", false))
	assert.Equal(t, "http://gateway:6000", baseURL("gateway:6000", false))
}

func TestTheLogWarnsOfAnEmptyAllowlist(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for allowlist, warned := range map[string]bool{"": true, "192.0.2.0/24": false} {
		var stdout bytes.Buffer
		env := environment(map[string]string{"LISTEN_ADDR": "127.0.0.1:0", "PACS_ALLOWLIST": allowlist})
		assert.Zero(t, run(ctx, []string{"dicom-qr-gateway", "serve"}, env, &stdout))
		assert.Equal(t, warned, strings.Contains(stdout.String(), "PACS_ALLOWLIST is empty"))
	}
}
