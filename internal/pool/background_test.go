package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestWaitWaitsForBackgroundReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{})
		assert.NoError(t, p.Wait(t.Context()), "nothing runs")

		start := time.Now()
		for i := range 3 {
			p.releases.run(func() { time.Sleep(time.Duration(i+1) * time.Second) })
		}
		assert.NoError(t, p.Wait(t.Context()))
		assert.Equal(t, 3*time.Second, time.Since(start))

		p.releases.run(func() { time.Sleep(time.Second) })
		assert.NoError(t, p.Wait(t.Context()))
		assert.Equal(t, 4*time.Second, time.Since(start))
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{})
		p.releases.run(func() { time.Sleep(time.Minute) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		assert.ErrorIs(t, p.Wait(ctx), context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		assert.NoError(t, p.Wait(t.Context()))
	})
}
