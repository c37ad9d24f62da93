package config

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// steppedBack returns what time.Now would return after the wall clock was stepped back by d: the monotonic reading is that of at.
// Times that are built otherwise have no monotonic reading.
func steppedBack(t *testing.T, at time.Time, d time.Duration) time.Time {
	t.Helper()
	stepped := at
	// The wall field of a time with a monotonic reading: 1 bit that says so, 33 bits of seconds, 30 bits of nanoseconds.
	wall := (*uint64)(unsafe.Pointer(&stepped))
	require.NotZero(t, *wall>>63)
	*wall -= uint64(d/time.Second) << 30
	require.Equal(t, -d, stepped.Round(0).Sub(at.Round(0)), "the wall clock")
	require.Zero(t, stepped.Sub(at), "the monotonic clock")
	return stepped
}

func TestKeysAreWithdrawnAfterTheWallClockWasSteppedBack(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "keys"), keyLine("worklist", worklistKey))
	keys, fault := newReloaded(newKeys, namedFile{"API_KEYS_FILE", file})
	require.Nil(t, fault)
	var elapsed atomic.Int64
	began := time.Now()
	keys.now = func() time.Time { return steppedBack(t, began.Add(time.Duration(elapsed.Load())), time.Hour) }
	keys.began = began

	writeFile(t, file, keyLine("viewer", viewerKey))
	elapsed.Store(int64(rereadInterval))
	_, _, ok := keys.get().Find(worklistKey)
	assert.False(t, ok, "after the interval")
	writeFile(t, file, keyLine("worklist", worklistKey))
	elapsed.Store(2 * int64(rereadInterval))
	_, _, ok = keys.get().Find(viewerKey)
	assert.False(t, ok, "after the next interval")
}
