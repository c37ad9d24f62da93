package memory

import (
	"math"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGOGCTakesPrecedenceOverTheBuiltInPace(t *testing.T) { //nolint:paralleltest // It changes the pace of the collector.
	original := debug.SetGCPercent(100)
	defer debug.SetGCPercent(original)
	limit := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(limit)
	for _, test := range []struct {
		gogc, gomemlimit string
		percent          int
		bytes            int64
	}{
		{"", "", collectAt, limit},
		{"150", "", 150, limit},
		{"off", "8GiB", -1, 8 << 30},
		{"0", "1000000000", 0, 1000000000},
		{"", "3000000KiB", collectAt, 3000000 << 10},
		{"", "9000000000B", collectAt, 9000000000},
		{"", "off", collectAt, math.MaxInt64},
	} {
		limits, err := ParseLimits(test.gogc, test.gomemlimit)
		require.NoError(t, err)
		limits.Release()
		assert.Equal(t, test.percent, debug.SetGCPercent(test.percent))
		assert.Equal(t, test.bytes, debug.SetMemoryLimit(-1))
	}
}

func TestFaultyLimits(t *testing.T) {
	_, err := ParseLimits("much-xyz", "9999999999TiB")
	require.ErrorContains(t, err, "GOGC: want a percentage")
	require.ErrorContains(t, err, "GOMEMLIMIT: want a number of bytes")
	assert.NotContains(t, err.Error(), "xyz")
	for _, limit := range []string{"1GB", "-1", "MiB", "1.5GiB"} {
		_, err := ParseLimits("", limit)
		require.Error(t, err, limit)
	}
}

func TestMemoryLimitLeavesAQuarterUnlessItIsSet(t *testing.T) {
	unset, err := ParseLimits("", "")
	require.NoError(t, err)
	assert.Equal(t, int64(192<<20), unset.Within(Default).bytes)
	set, err := ParseLimits("", "100MiB")
	require.NoError(t, err)
	assert.Equal(t, int64(100<<20), set.Within(Default).bytes)
}
