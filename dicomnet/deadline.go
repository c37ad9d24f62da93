package dicomnet

import "time"

// clock is a deadline and the name of the timer it belongs to; the zero clock
// never runs out.
type deadline struct {
	at    time.Time
	timer Timer
	after time.Duration // not zero: at is so long after the first wait for it
}

// started is the clock, running.
func (c *deadline) start() deadline {
	if c.after > 0 {
		*c = deadlineAfter(c.after, c.timer)
	}
	return *c
}

func deadlineAfter(d time.Duration, timer Timer) deadline {
	if d <= 0 {
		return deadline{}
	}
	return deadline{at: time.Now().Add(d), timer: timer}
}

// earlier is the one of the two that runs out first.
func (c deadline) earlier(other deadline) deadline {
	if c.at.IsZero() || (!other.at.IsZero() && other.at.Before(c.at)) {
		return other
	}
	return c
}
