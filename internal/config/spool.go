package config

import (
	"os"
	"syscall"

	"dicom-qr-gateway/internal/cache"
	"dicom-qr-gateway/internal/spool"
)

const (
	// minSpool is the least memory of a retrieval, and the least size of a file, that is useful.
	minSpool = 1 << 20
	// retrievals is how many retrievals the memory of the spool suffices for.
	retrievals = 16
)

func (c *Config) checkSpool(faults *faultyVariables) {
	for _, size := range []struct {
		name  string
		value Bytes
	}{
		{"SPOOL_MEMORY", c.SpoolMemory},
		{"SPOOL_LIMIT", c.SpoolLimit},
	} {
		if size.value < minSpool {
			faults.add(size.name, "want at least 1MiB")
		}
	}
	if c.CacheSize != 0 && c.CacheSize < minSpool {
		faults.add("CACHE_SIZE", "want 0, or at least 1MiB")
	}
	for _, dir := range []struct{ name, path string }{
		{"SPOOL_DIR", c.SpoolDir},
		{"CACHE_DIR", c.CacheDir},
	} {
		if dir.path == "" {
			continue
		}
		info, err := os.Stat(dir.path)
		if err == nil && !info.IsDir() {
			err = syscall.ENOTDIR
		}
		if err != nil {
			faults.add(dir.name, FileReason(dir.path, err))
		}
	}
	for _, timeout := range []struct {
		name  string
		value Seconds
	}{
		{"STALL_TIMEOUT", c.StallTimeout},
		{"CACHE_TTL", c.CacheTTL},
	} {
		if timeout.value <= 0 {
			faults.add(timeout.name, "want more than 0 seconds")
		}
	}
}

// Spool returns the settings of the spool.
func (c *Config) Spool() spool.Settings {
	quarter := int64(c.MaxMemory) / 4
	each := min(int64(c.SpoolMemory), quarter)
	return spool.Settings{
		MemoryEach: each,
		Memory:     min(retrievals*each, quarter),
		Dir:        c.SpoolDir,
		Limit:      int64(c.SpoolLimit),
	}
}

// Cache returns the settings of the cache. In memory it takes no more than a quarter of MAX_MEMORY.
func (c *Config) Cache() cache.Settings {
	size := int64(c.CacheSize)
	if c.CacheDir == "" {
		size = min(size, int64(c.MaxMemory)/4)
	}
	return cache.Settings{Size: size, Dir: c.CacheDir, TTL: c.CacheTTL.Duration()}
}
