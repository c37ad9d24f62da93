package profile

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProfileOfAPeriodIsCompleteInItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cpu.pprof")
	require.NoError(t, record(path, 20*time.Millisecond))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, []byte{0x1f, 0x8b}, content[:2], "gzip")
	assert.NoFileExists(t, path+".part")
}

func TestFolderThatDoesNotExistEndsTheRecording(t *testing.T) {
	assert.ErrorIs(t, recordAll(filepath.Join(t.TempDir(), "missing"), time.Minute), os.ErrNotExist)
}
