package dicomnet

import "time"

// deadline is the time at which a wait ends, with the timer that TimeoutError then names. The zero
// deadline never expires.
type deadline struct {
	at    time.Time
	timer Timer
	// after, unless it is zero, defers the choice of at: start sets it to that long after the first
	// wait. Responses that are buffered already then cost no look at the clock.
	after time.Duration
}

// deadlineAfter returns a deadline d from now, or none if d is not positive.
func deadlineAfter(d time.Duration, timer Timer) deadline {
	if d <= 0 {
		return deadline{}
	}
	return deadline{at: time.Now().Add(d), timer: timer}
}

// start fixes a deadline that was given as a duration and returns it.
func (d *deadline) start() deadline {
	if d.after > 0 {
		*d = deadlineAfter(d.after, d.timer)
	}
	return *d
}

// earlier returns the deadline that expires first.
func (d deadline) earlier(other deadline) deadline {
	if d.at.IsZero() || (!other.at.IsZero() && other.at.Before(d.at)) {
		return other
	}
	return d
}
