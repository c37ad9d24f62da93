package main

import (
	"context"
	"encoding/json"
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

func TestAuditRecordsGoToStandardOutputBesideTheLog(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout strings.Builder
	env := environment(map[string]string{"LISTEN_ADDR": "127.0.0.1:0", "LOG_TO_CONSOLE": "false", "AUDIT_LOG": "stdout"})
	assert.Zero(t, run(ctx, []string{"dicom-qr-gateway"}, env, &stdout))
	assert.Equal(t, 2, strings.Count(stdout.String(), `{"EventIdentification":`))
	assert.Equal(t, 2, strings.Count(stdout.String(), "\n"))
}

// reader reads the log of a gateway line by line.
type reader struct{ decoder *json.Decoder }

func logLines(r io.Reader) *reader { return &reader{json.NewDecoder(r)} }

// await is the next line with this message.
func (l *reader) await(t *testing.T, message string) map[string]any {
	t.Helper()
	for {
		var line map[string]any
		require.NoError(t, l.decoder.Decode(&line))
		if line["message"] == message {
			return line
		}
	}
}

func (l *reader) drain() {
	for l.decoder.Decode(new(any)) == nil {
		continue
	}
}

func TestAnOpenGatewaySaysSoAtTheStart(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(keys, []byte("worklist:"+strings.Repeat("ab", 32)+"\n"), 0o600))
	for file, warned := range map[string]bool{"": true, keys: false} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var stdout strings.Builder
		env := environment(map[string]string{"LISTEN_ADDR": "127.0.0.1:0", "API_KEYS_FILE": file})
		assert.Zero(t, run(ctx, []string{"dicom-qr-gateway"}, env, &stdout))
		assert.Equal(t, warned, strings.Contains(stdout.String(), "whoever reaches the gateway may use it"))
	}
}
