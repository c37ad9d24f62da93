package main

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestGOGCTakesPrecedenceOverTheBuiltInPace(t *testing.T) { //nolint:paralleltest // It changes the pace of the collector.
	const before = 150
	original := debug.SetGCPercent(before)
	defer debug.SetGCPercent(original)
	releaseMemory(environment(map[string]string{"GOGC": "150"}))
	assert.Equal(t, before, debug.SetGCPercent(before))
	releaseMemory(environment(nil))
	assert.Equal(t, collectAt, debug.SetGCPercent(before))
}
