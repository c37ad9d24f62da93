package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
