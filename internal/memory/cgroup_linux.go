package memory

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Limit returns the memory that the system grants to the process, in bytes, or Default if it sets no limit.
func Limit() int64 {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return Default
	}
	return limitOf(string(groups), "/sys/fs/cgroup")
}

// limitOf returns the lowest limit of the process's cgroups, whose hierarchy is mounted at root.
func limitOf(groups, root string) int64 {
	lowest := int64(Default)
	found := false
	for line := range strings.Lines(groups) {
		// hierarchy-ID:controllers:path; the controllers of version 2 are empty (cgroups(7)).
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		top, file := root, "memory.max"
		if fields[1] != "" {
			top, file = filepath.Join(root, "memory"), "memory.limit_in_bytes"
			if !strings.Contains(","+fields[1]+",", ",memory,") {
				continue
			}
		}
		// A container may see its own group as the root of the hierarchy, whatever its path.
		for path := filepath.Clean("/" + fields[2]); ; path = filepath.Dir(path) {
			if n, ok := readLimit(filepath.Join(top, path, file)); ok && (!found || n < lowest) {
				lowest, found = n, true
			}
			if path == "/" {
				break
			}
		}
	}
	return lowest
}

// unlimited is below what version 1 reports for a group without a limit.
const unlimited = 1 << 60

func readLimit(path string) (int64, bool) {
	text, err := os.ReadFile(path) //nolint:gosec // a file of the kernel
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is no number
	return n, err == nil && n > 0 && n < unlimited
}
