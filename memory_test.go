package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The race detector keeps shadows of all memory, so that only the program's own conduct is looked at here; how much memory
// the built gateway has is measured by `make bench-load`.
func TestTheProgramRunsOnAfterItsPagesWereGivenBack(t *testing.T) { //nolint:paralleltest // it changes the collector's pace
	t.Setenv("GOGC", "100")
	before := buildInfo()
	settle()
	assert.Equal(t, before, buildInfo())
}
