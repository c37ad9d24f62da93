package qr

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestWaitIsForWhatRunsBehindTheAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{})
		assert.NoError(t, g.Wait(t.Context()), "nothing runs")

		start := time.Now()
		for i := range 3 {
			g.releases.run(func() { time.Sleep(time.Duration(i+1) * time.Second) })
		}
		assert.NoError(t, g.Wait(t.Context()))
		assert.Equal(t, 3*time.Second, time.Since(start))

		g.releases.run(func() { time.Sleep(time.Second) })
		assert.NoError(t, g.Wait(t.Context()))
		assert.Equal(t, 4*time.Second, time.Since(start))
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{})
		g.releases.run(func() { time.Sleep(time.Minute) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		assert.ErrorIs(t, g.Wait(ctx), context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		assert.NoError(t, g.Wait(t.Context()))
	})
}
