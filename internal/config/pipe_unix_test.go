//go:build unix

package config

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A pipe, such as /dev/stdout of a container, waits for its reader when it is opened.
func TestPipesAsAuditLogAreNotOpenedByReadingTheSettings(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	load(t, "AUDIT_LOG", pipe)
}
