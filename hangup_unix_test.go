//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

func TestHangupReopensTheAuditLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	gateway := startGateway(t, map[string]string{"AUDIT_LOG": path}) // the signal is handled before the gateway listens
	require.NoError(t, os.Rename(path, path+".1"))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	gateway.Await(t, rig.Message("audit log reopened"))
	gateway.Stop(t)

	before, err := os.ReadFile(path + ".1")
	require.NoError(t, err)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Contains(t, string(before), "Application Start")
	assert.Contains(t, string(after), "Application Stop")
	assert.Equal(t, 1, strings.Count(string(after), "\n"))
}

func TestHangupReadsThePACSFileAgain(t *testing.T) {
	path := pacsFile(t, entryOf)
	gateway := startGateway(t, map[string]string{"PACS_FILE": path})
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(entryOf, "main:", "renamed:", 1)), 0o600))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	gateway.Await(t, rig.Message("reloaded"))
	gateway.Stop(t)
}
