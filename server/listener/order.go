package listener

import (
	"net/netip"
	"time"
)

// idleGrace is how much longer a connection that was used before may wait for a request than a new one: it shows a caller that is
// still there, and a flood of new connections that send nothing closes itself.
const idleGrace = 10 * time.Second

// caller holds the connections of one address that may give way, those that are in their state for longest first.
type caller struct {
	connections int // with those that may not
	exempt      bool
	unfinished  order // whose request has not arrived completely, or is answered already
	idle        order // between requests
}

// order is a list of connections.
type order struct{ first, last *Connection }

func (o *order) push(c *Connection) {
	c.order, c.before, c.behind = o, o.last, nil
	if o.last != nil {
		o.last.behind = c
	} else {
		o.first = c
	}
	o.last = c
}

// leave takes the connection out of its order, if it is in one.
func (c *Connection) leave() {
	o := c.order
	if o == nil {
		return
	}
	if c.before != nil {
		c.before.behind = c.behind
	} else {
		o.first = c.behind
	}
	if c.behind != nil {
		c.behind.before = c.before
	} else {
		o.last = c.before
	}
	c.order, c.before, c.behind = nil, nil, nil
}

// place puts the connection behind the others in the same state. One that works, or is not counted, is in no order.
func (c *Connection) place() {
	c.leave()
	switch {
	case c.caller == nil || c.working > 0:
		return
	case c.state == idle:
		c.since = time.Now().Add(idleGrace)
		c.caller.idle.push(c)
	default:
		c.since = time.Now()
		c.caller.unfinished.push(c)
	}
}

// yielding returns the connection of the caller that gives way first; nil if there is none.
func (f *caller) yielding() *Connection {
	a, b := f.unfinished.first, f.idle.first
	if a == nil || b != nil && b.since.Before(a.since) {
		return b
	}
	return a
}

// yieldingOf returns the connection that gives way first among all callers; nil if there is none.
func yieldingOf(callers map[netip.Addr]*caller) *Connection {
	var found *Connection
	for _, f := range callers {
		if c := f.yielding(); c != nil && (found == nil || c.yieldsBefore(found)) {
			found = c
		}
	}
	return found
}

func (c *Connection) yieldsBefore(other *Connection) bool {
	switch {
	case c.caller.exempt != other.caller.exempt:
		return other.caller.exempt
	case c.caller.connections != other.caller.connections:
		return c.caller.connections > other.caller.connections
	default:
		return c.since.Before(other.since)
	}
}
