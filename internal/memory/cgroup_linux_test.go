package memory

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLimitIsTheLowestOfTheCgroups(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		groups string
		files  map[string]string
		want   int64
	}{
		"none":                         {"0::/\n", nil, Default},
		"no limit":                     {"0::/a\n", map[string]string{"a/memory.max": "max\n"}, Default},
		"of the group":                 {"0::/a/b\n", map[string]string{"a/b/memory.max": "536870912\n"}, 512 << 20},
		"of the group above":           {"0::/a/b\n", map[string]string{"a/b/memory.max": "max\n", "a/memory.max": "134217728\n"}, 128 << 20},
		"lowest":                       {"0::/a/b\n", map[string]string{"a/b/memory.max": "2147483648\n", "memory.max": "1073741824\n"}, 1 << 30},
		"of a container":               {"0::/outside/name\n", map[string]string{"memory.max": "300000000\n"}, 300000000},
		"version 1":                    {"4:cpu:/x\n9:memory:/a\n", map[string]string{"memory/a/memory.limit_in_bytes": "400000000\n"}, 400000000},
		"version 1, without a limit":   {"9:memory:/a\n", map[string]string{"memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, Default},
		"version 1, other controllers": {"3:cpu,cpuacct:/a\n", map[string]string{"memory/a/memory.limit_in_bytes": "400000000\n"}, Default},
		"unreadable":                   {"nonsense\n0::/a\n", map[string]string{"a/memory.max": "much\n"}, Default},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for name, text := range test.files {
				path := filepath.Join(root, name)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			}
			assert.Equal(t, test.want, limitOf(test.groups, root))
		})
	}
}

func TestLimitOfThisProcessIsPositive(t *testing.T) {
	t.Parallel()
	assert.Positive(t, Limit())
}
