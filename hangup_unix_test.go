//go:build unix

package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAHangupOpensTheAuditLogAnew sends the signal that log rotation sends to the gateway that runs.
func TestAHangupOpensTheAuditLogAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log, stdout := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"dicom-qr-gateway"}, environment(map[string]string{
			"LISTEN_ADDR": "127.0.0.1:0", "AUDIT_LOG": path,
		}), stdout)
		_ = stdout.Close()
	}()
	lines := logLines(log)
	lines.await(t, "listening") // by now signals are heeded
	require.NoError(t, os.Rename(path, path+".1"))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	lines.await(t, "audit log opened anew")
	cancel()
	go lines.drain()
	require.Zero(t, <-status)

	before, err := os.ReadFile(path + ".1")
	require.NoError(t, err)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Contains(t, string(before), "Application Start")
	assert.Contains(t, string(after), "Application Stop")
	assert.Equal(t, 1, strings.Count(string(after), "\n"))
}
