//go:build siege && linux

package siege

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGatewayOutlivesAllAttacksIn256MiB runs all attacks, one after the other, against one gateway (and those over TLS against a
// second).
func TestGatewayOutlivesAllAttacksIn256MiB(t *testing.T) {
	for _, secure := range []bool{false, true} {
		start := defend
		name := "over plain HTTP"
		if secure {
			start, name = defendSecurely, "over HTTPS"
		}
		t.Run(name, func(t *testing.T) {
			g := start(t)
			confined := confine(t, g.PID())
			t.Logf("in a control group of %s: %t", mib(maxMemory), confined)
			idle := listen(t, archive(1))
			b := g.caller(keyOfB, addressOfB)
			for _, a := range attacks {
				if a.secure != secure {
					continue
				}
				g.forgetPeak(t)
				before := g.auditSize(t)
				c := a.once(t, g)
				peak := g.peak(t)
				record(t, "Memory", a.name, mib(peak), mib(g.auditSize(t)-before), mib(int(c.longest)), c.String())
				// Either would mean that the attack does not do what it should.
				assert.NotRegexp(t, `\b(404|500)`, c.String(), a.name)
				assert.Less(t, peak, maxMemory, "%s: %s", a.name, mib(peak))
				ctx, cancel := context.WithTimeout(t.Context(), slowly)
				outcome, _ := b.post(ctx, "/q", queryOf(idle))
				cancel()
				assert.Equal(t, "200", outcome, "a query after: %s", a.name)
			}
		})
	}
}

// longest bounds an attack that does not end by itself.
const longest = 10 * time.Second

// once attacks until everything was done once, and waits until all of it has ended.
func (a attack) once(t *testing.T, g *gateway) *tally {
	t.Helper()
	attack, c := a.prepare(t, g), newTally()
	ctx, stop := context.WithTimeout(t.Context(), longest)
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { attack(ctx, c) })
	select {
	case <-c.enough:
	case <-ctx.Done():
	}
	stop()
	running.Wait()
	select {
	case <-g.Ended():
		require.FailNow(t, "the gateway has ended", "%s: exit status %d", a.name, g.ExitStatus())
	default:
	}
	return c
}
