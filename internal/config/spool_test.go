package config

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/cache"
	"dicom-qr-gateway/internal/spool"
)

func TestTheSpoolIsWithinTheMemoryOfTheProcess(t *testing.T) {
	dir := t.TempDir()
	c := load(t, "MAX_MEMORY", "256MiB", "SPOOL_DIR", dir)
	assert.Equal(t, spool.Settings{MemoryEach: 4 << 20, Memory: 64 << 20, Dir: dir, Limit: 10 << 30}, c.Spool())
	c = load(t, "MAX_MEMORY", "128MiB", "SPOOL_LIMIT", "1TiB")
	assert.Equal(t, spool.Settings{MemoryEach: 4 << 20, Memory: 32 << 20, Limit: 1 << 40}, c.Spool())
	c = load(t, "MAX_MEMORY", "128MiB", "SPOOL_MEMORY", "100MiB")
	assert.Equal(t, spool.Settings{MemoryEach: 32 << 20, Memory: 32 << 20, Limit: 10 << 30}, c.Spool())
	c = load(t, "MAX_MEMORY", "4GiB", "SPOOL_MEMORY", "1MiB")
	assert.Equal(t, spool.Settings{MemoryEach: 1 << 20, Memory: 16 << 20, Limit: 10 << 30}, c.Spool())
}

func TestFaultySettingsOfSpoolAndCacheAreNamed(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "file"), "")
	_, err := Load(environment("SPOOL_MEMORY", "1KiB", "SPOOL_LIMIT", "1", "CACHE_SIZE", "10", "SPOOL_DIR", "/none", "CACHE_DIR", file,
		"STALL_TIMEOUT", "0", "CACHE_TTL", "0"))
	for _, line := range []string{
		"SPOOL_MEMORY: want at least 1MiB", "SPOOL_LIMIT: want at least 1MiB", "CACHE_SIZE: want 0, or at least 1MiB",
		"SPOOL_DIR: /none: no such file or directory", "CACHE_DIR: " + file + ": not a directory",
		"STALL_TIMEOUT: want more than 0 seconds", "CACHE_TTL: want more than 0 seconds",
	} {
		require.ErrorContains(t, err, line)
	}
}

func TestACacheInMemoryIsWithinTheMemoryOfTheProcess(t *testing.T) {
	dir := t.TempDir()
	assert.Zero(t, new(load(t)).Cache().Size)
	c := load(t, "MAX_MEMORY", "256MiB", "CACHE_SIZE", "1GiB", "CACHE_TTL", "1m")
	assert.Equal(t, cache.Settings{Size: 64 << 20, TTL: time.Minute}, c.Cache())
	c = load(t, "MAX_MEMORY", "256MiB", "CACHE_SIZE", "1GiB", "CACHE_DIR", dir)
	assert.Equal(t, cache.Settings{Size: 1 << 30, Dir: dir, TTL: 10 * time.Minute}, c.Cache())
}
