package jobs

import (
	"fmt"
	"time"
)

// Window is a time of day in which items may begin, in minutes from midnight of the gateway's time zone. If From is after To, it crosses
// midnight. To is exclusive.
type Window struct {
	From int `json:"from"`
	To   int `json:"to"`
}

const minutesPerDay = 24 * 60

// ParseWindow reads a window as 20:00-06:00. 24:00 is accepted as an end. A window that begins when it ends never opens; it is an error.
func ParseWindow(text string) (Window, error) {
	from, okFrom := parseClock(text, 0)
	to, okTo := parseClock(text, len("20:00-"))
	switch {
	case len(text) != len("20:00-06:00") || text[5] != '-' || !okFrom || !okTo || from == minutesPerDay:
		return Window{}, &WindowError{Reason: WindowMalformed}
	case from == to:
		return Window{}, &WindowError{Reason: WindowNeverOpens}
	}
	return Window{From: from, To: to}, nil
}

// parseClock reads the five characters of a time of day at a position.
func parseClock(text string, at int) (minutes int, ok bool) {
	if len(text) < at+5 || text[at+2] != ':' {
		return 0, false
	}
	var digits [4]int
	for i, offset := range [...]int{0, 1, 3, 4} {
		c := text[at+offset]
		if c < '0' || c > '9' {
			return 0, false
		}
		digits[i] = int(c - '0')
	}
	hour, minute := digits[0]*10+digits[1], digits[2]*10+digits[3]
	minutes = hour*60 + minute
	return minutes, minute < 60 && minutes <= minutesPerDay
}

// String returns the window as ParseWindow reads it.
func (w Window) String() string {
	return fmt.Sprintf("%02d:%02d-%02d:%02d", w.From/60, w.From%60, w.To/60, w.To%60)
}

// open reports whether the window is open at a time, by the clock on the wall of its location.
func (w Window) open(at time.Time) bool {
	minute := at.Hour()*60 + at.Minute()
	if w.From < w.To {
		return minute >= w.From && minute < w.To
	}
	return minute >= w.From || minute < w.To
}

// opening returns the time at or after at at which the window is open. On a day whose clock skips the beginning of the window, that is the
// moment of the skip; one whose clock goes back within the window has both hours in it.
func (w Window) opening(at time.Time) time.Time {
	if w.open(at) {
		return at
	}
	at = at.Truncate(time.Minute)
	for range 3 * minutesPerDay { // a day of 25 hours, with much to spare
		if at = at.Add(time.Minute); w.open(at) {
			return at
		}
	}
	return at
}

// opensAt returns when an item of the record may begin, at or after at, in the location.
func (r *record) opensAt(at time.Time, in *time.Location) time.Time {
	if at.Before(r.NotBefore) {
		at = r.NotBefore
	}
	if r.Window == nil {
		return at
	}
	return r.Window.opening(at.In(in))
}
