package pool

import "time"

// Constants that tests of whole operations compare with.
const (
	AttemptDelay = attemptDelay
	FirstBackoff = firstBackoff
	MaxAddresses = maxAddresses
	MaxAge       = maxAge
	MaxIdle      = maxIdle
	MaxRetries   = maxRetries
	WatchAfter   = watchAfter
)

// Backoff returns the wait before retry n, counted from 0.
func Backoff(n int) time.Duration { return backoff(n) }

// Watched returns the number of idle associations with a watch.
func (p *Pool) Watched() int {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	n := 0
	for _, q := range p.slots.peers {
		for _, idle := range q.idle {
			if idle.unwatch != nil {
				n++
			}
		}
	}
	return n
}
