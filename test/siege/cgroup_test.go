//go:build siege && linux

package siege

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// confine moves the process into a control group that has maxMemory, if the machine lets the test make one: the kernel then ends a
// process that needs more. The peak is measured either way.
func confine(t *testing.T, pid int) bool {
	t.Helper()
	for _, version := range []struct{ root, limit string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, // version 1
		{"/sys/fs/cgroup", "memory.max"},                   // version 2
	} {
		group := filepath.Join(version.root, fmt.Sprintf("siege-%d", pid))
		if err := os.Mkdir(group, 0o700); err != nil {
			continue
		}
		t.Cleanup(func() {
			_ = os.WriteFile(filepath.Join(version.root, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
			_ = os.Remove(group) // works when no process is in it
		})
		if errors.Join(
			os.WriteFile(filepath.Join(group, version.limit), []byte(strconv.Itoa(maxMemory)), 0),
			os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0),
		) == nil {
			return true
		}
	}
	return false
}
