package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheDelayOfTheDemonstrationIsInSeconds(t *testing.T) {
	for seconds, want := range map[string]time.Duration{"": 0, "0": 0, "1": time.Second, "0.25": 250 * time.Millisecond} {
		delay, err := demoDelay(seconds)
		require.NoError(t, err, seconds)
		assert.Equal(t, want, delay, seconds)
	}
	for _, seconds := range []string{"-1", "fast", "1s", "NaN"} {
		_, err := demoDelay(seconds)
		require.ErrorContains(t, err, "DEMO_DELAY", seconds)
	}
}
