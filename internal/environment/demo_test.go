package environment

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/config"
)

func TestTheDemonstrationHasASpoolAndACache(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	settings := func(environ ...string) Settings {
		e := New(environ)
		e.DefaultsOfDemo()
		s, err := e.Settings()
		require.NoError(t, err)
		return s
	}
	s := settings()
	assert.Equal(t, dir, s.SpoolDir)
	assert.Equal(t, config.Bytes(64<<20), s.CacheSize)
	other := t.TempDir()
	s = settings("SPOOL_DIR="+other, "CACHE_SIZE=2MiB")
	assert.Equal(t, other, s.SpoolDir)
	assert.Equal(t, config.Bytes(2<<20), s.CacheSize)
	t.Setenv("TMPDIR", filepath.Join(dir, "nowhere"))
	assert.Empty(t, settings().SpoolDir, "an image may have no directory for temporary files")
}
