package listener

import (
	"context"
	"time"
)

// net/http cancels a request when the connection ends, as long as it reads from the connection: until the caller sends a byte more
// than the request. From then on nothing would show that the caller left, however long its operation holds a slot.

// sweepEvery is how often the connections of running requests are examined.
const sweepEvery = 100 * time.Millisecond

// Watch calls cancel if the caller closes the connection, or its direction of it, before Unwatch is called. In HTTP/1 net/http takes
// both for the end of the caller too. A caller that sends far more behind its request than a request may have counts as gone, because
// whether it is cannot be seen then. A nil connection is not watched. Watch works on Linux only.
func (c *Connection) Watch(cancel context.CancelFunc) {
	if c == nil || !watchable || !c.socket {
		return
	}
	if c.gone.Load() {
		cancel()
	}
	c.depart.Store(&cancel)
	if c.listener.watched.Add(1); c.listener.sweeps.CompareAndSwap(false, true) {
		c.listener.scheduleSweep()
	}
}

// Unwatch ends Watch.
func (c *Connection) Unwatch() {
	if c == nil || !watchable || !c.socket {
		return
	}
	c.depart.Store(nil)
	c.listener.watched.Add(-1)
}

// Gone reports whether the caller left while one of its requests ran. No further request on the connection should be answered.
func (c *Connection) Gone() bool { return c != nil && c.gone.Load() }

func (l *Listener) scheduleSweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sweeper == nil {
		l.sweeper = time.AfterFunc(sweepEvery, l.sweep)
		return
	}
	l.sweeper.Reset(sweepEvery)
}

// sweep cancels the requests of callers that are gone.
func (l *Listener) sweep() {
	for _, c := range l.running() {
		if cancel := c.depart.Load(); cancel != nil && departed(c.Conn) {
			c.gone.Store(true)
			(*cancel)()
		}
	}
	if l.watched.Load() > 0 {
		l.scheduleSweep()
		return
	}
	l.sweeps.Store(false)
	if l.watched.Load() > 0 && l.sweeps.CompareAndSwap(false, true) {
		l.scheduleSweep()
	}
}

// running returns the connections of running requests.
func (l *Listener) running() []*Connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []*Connection
	for _, c := range l.open {
		if c.depart.Load() != nil && !c.gone.Load() {
			found = append(found, c)
		}
	}
	return found
}
