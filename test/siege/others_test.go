//go:build siege && linux

package siege

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

const (
	// B asks requests times, every interval, whether the answers before have come or not.
	requests = 200
	interval = 20 * time.Millisecond
	// B gets least of its answers, with median at most.
	least  = requests * 99 / 100
	median = 100 * time.Millisecond
	// attempts are made, because the machine may have other work to do.
	attempts = 3
)

// TestOthersAreServedDuringEveryAttack measures what B gets from an idle PACS while A does its worst.
func TestOthersAreServedDuringEveryAttack(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			start := defend
			if a.secure {
				start = defendSecurely
			}
			var s service
			for range attempts {
				g := start(t)
				s = a.serve(t, g)
				g.Kill()
				if s.good() {
					break
				}
			}
			record(t, "Others", a.name, fmt.Sprintf("%d of %d", s.ok, requests), s.median.Round(100*time.Microsecond).String(),
				s.slowest.Round(time.Millisecond).String(), s.others.String(), s.hostile.String())
			assert.GreaterOrEqual(t, s.ok, least, "answers: %s", s.others)
			assert.Less(t, s.median, median)
		})
	}
}

// service is what B gets.
type service struct {
	ok              int
	median, slowest time.Duration // of the answers, from the time at which the request was due
	others, hostile *tally        // answers of B and of A
}

func (s service) good() bool { return s.ok >= least && s.median < median }

// serve measures what B gets while the attack is at full strength.
func (a attack) serve(t *testing.T, g *gateway) service {
	t.Helper()
	idle := listen(t, archive(1))
	attack, c := a.prepare(t, g), newTally()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { attack(ctx, c) })
	defer running.Wait()
	defer stop()
	<-c.ready
	pause(ctx, time.Second)

	b := g.caller(keyOfB, addressOfB)
	s := service{others: newTally(), hostile: c}
	var mu sync.Mutex
	var took []time.Duration
	var answered sync.WaitGroup
	for due, i := time.NewTicker(interval), 0; i < requests; i++ {
		began := <-due.C
		answered.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, slowly)
			defer cancel()
			outcome, length := b.post(ctx, "/q", queryOf(idle))
			s.others.add(outcome, length)
			mu.Lock()
			defer mu.Unlock()
			if took = append(took, time.Since(began)); outcome == "200" {
				s.ok++
			}
		})
	}
	answered.Wait()
	slices.Sort(took)
	s.median, s.slowest = took[len(took)/2], took[len(took)-1]
	return s
}
