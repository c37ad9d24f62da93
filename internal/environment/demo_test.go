package environment

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/config"
)

func TestTheDemonstrationHasASpoolACacheAndBatches(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	settings := func(environ ...string) Settings {
		e := New(environ)
		end := e.DefaultsOfDemo()
		s, err := e.Settings()
		require.NoError(t, err)
		if s.JobsDir != "" {
			assert.DirExists(t, s.JobsDir)
		}
		require.NoError(t, end())
		assert.NoDirExists(t, s.JobsDir)
		return s
	}
	s := settings()
	assert.Equal(t, dir, s.SpoolDir)
	assert.Equal(t, config.Bytes(64<<20), s.CacheSize)
	assert.Equal(t, dir, filepath.Dir(s.JobsDir))
	assert.Empty(t, settings("NATS_URL=nats://127.0.0.1").JobsDir)
	other := t.TempDir()
	s = settings("SPOOL_DIR="+other, "CACHE_SIZE=2MiB")
	assert.Equal(t, other, s.SpoolDir)
	assert.Equal(t, config.Bytes(2<<20), s.CacheSize)
	t.Setenv("TMPDIR", filepath.Join(dir, "nowhere"))
	s = settings()
	assert.Empty(t, s.JobsDir)
	assert.Empty(t, s.SpoolDir, "an image may have no directory for temporary files")
}
