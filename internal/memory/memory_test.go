package memory

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGOGCTakesPrecedenceOverTheBuiltInPace(t *testing.T) { //nolint:paralleltest // It changes the pace of the collector.
	original := debug.SetGCPercent(100)
	defer debug.SetGCPercent(original)
	const adapted = -2
	limit := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(limit)
	for _, test := range []struct {
		gogc, gomemlimit string
		percent          int
		bytes            int64
	}{
		{"", "", adapted, limit},
		{"150", "", 150, limit},
		{"off", "8GiB", -1, 8 << 30},
		{"0", "1000000000", 0, 1000000000},
		{"", "3000000KiB", adapted, 3000000 << 10},
		{"", "9000000000B", adapted, 9000000000},
		{"", "off", adapted, math.MaxInt64},
	} {
		limits, err := ParseLimits(test.gogc, test.gomemlimit)
		require.NoError(t, err)
		limits.Release()
		if test.percent == adapted {
			assert.True(t, limits.adapted)
		} else {
			assert.Equal(t, test.percent, debug.SetGCPercent(test.percent))
		}
		assert.Equal(t, test.bytes, debug.SetMemoryLimit(-1))
	}
}

func TestFaultyLimits(t *testing.T) {
	_, err := ParseLimits("much-xyz", "9999999999TiB")
	require.ErrorContains(t, err, "GOGC: want a percentage")
	require.ErrorContains(t, err, "GOMEMLIMIT: want a number of bytes")
	assert.NotContains(t, err.Error(), "xyz")
	for _, limit := range []string{"1GB", "-1", "MiB", "1.5GiB", "10MiBKiB", "10KiBMiB"} {
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

func TestSmallHeapsGrowToTheFloorAndLargeOnesAsBefore(t *testing.T) {
	for live, percent := range map[uint64]int{
		0: 600, 1 << 20: 600, 3 << 20: 600, 4 << 20: 500, 6 << 20: 300, 8 << 20: collectAt, 9 << 20: collectAt, 1 << 30: collectAt,
	} {
		assert.Equal(t, percent, percentFor(live, 0), live)
	}
	assert.Equal(t, 400, percentFor(4<<20, 1<<20), "4 MiB and four times 5 MiB are 24 MiB")
}

func TestPaceFollowsTheHeapUnlessGOGCIsSet(t *testing.T) { //nolint:paralleltest // It changes the pace of the collector.
	defer setPercent(100, false)
	release := func(gogc string) {
		limits, err := ParseLimits(gogc, "")
		require.NoError(t, err)
		limits.Release()
	}
	becomes := func(percent uint64) {
		t.Helper()
		require.Eventually(t, func() bool {
			runtime.GC()
			return inForce() == percent
		}, time.Minute, time.Millisecond)
	}
	release("")
	becomes(mostPercent)
	large := make([]byte, floor)
	becomes(collectAt)
	runtime.KeepAlive(large)
	becomes(mostPercent)

	release("150")
	assert.Equal(t, uint64(150), inForce())
	require.Eventually(t, func() bool {
		runtime.GC()
		pace.mu.Lock()
		defer pace.mu.Unlock()
		return !pace.watching
	}, time.Minute, time.Millisecond)
	assert.Equal(t, uint64(150), inForce())
	release("")
	becomes(mostPercent)
}

// inForce returns the GOGC of this process.
func inForce() uint64 {
	percent := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(percent)
	return percent[0].Value.Uint64()
}
