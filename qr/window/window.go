// Package window divides a search for the newest studies of an archive into ranges of Study Date, so that each C-FIND returns
// some of them: PS3.4 has no limit on the number of matches. It knows no association and no data set.
package window

import (
	"fmt"
	"time"
)

// Window is a range of days, both included, or a part of one day. Days are numbers like 20240131; zero stands for no bound.
type Window struct {
	From, To int
	// Timed reports that the window is the part of a day from FromSecond to ToSecond, both included. Neighbouring windows share a
	// second, so that a fraction of a second cannot fall between them.
	Timed                bool
	FromSecond, ToSecond int
}

// Dates returns the window as the value of a DA key (PS3.4 section C.2.2.2.5); "" if it has no bounds.
func (w Window) Dates() string {
	switch {
	case w.From == 0 && w.To == 0:
		return ""
	case w.To == 0:
		return fmt.Sprintf("%08d-", w.From)
	case w.From == 0:
		return fmt.Sprintf("-%08d", w.To)
	case w.From == w.To:
		return fmt.Sprintf("%08d", w.From)
	}
	return fmt.Sprintf("%08d-%08d", w.From, w.To)
}

// Times returns the part of the day as the value of a TM key; "" for whole days.
func (w Window) Times() string {
	clock := func(s int) string { return fmt.Sprintf("%02d%02d%02d", s/3600, s/60%60, s%60) }
	switch {
	case !w.Timed:
		return ""
	case w.FromSecond == 0:
		return "-" + clock(w.ToSecond)
	case w.ToSecond == secondsOfDay:
		return clock(w.FromSecond) + "-"
	}
	return clock(w.FromSecond) + "-" + clock(w.ToSecond)
}

// Contains reports whether the window contains a day, a number like 20240131.
func (w Window) Contains(day int) bool { return day >= w.From && (w.To == 0 || day <= w.To) }

// ContainsTime reports whether the window contains a time of its day, in microseconds since midnight.
func (w Window) ContainsTime(micros int64) bool {
	const second = 1_000_000
	return !w.Timed || micros >= int64(w.FromSecond)*second &&
		(w.ToSecond == secondsOfDay || micros <= int64(w.ToSecond)*second)
}

const (
	secondsOfDay = 24 * 60 * 60
	// firstDays is the size of the first window, today included: a large archive has a page of studies in it.
	firstDays = 2
	// growth is how much larger a window may be than the one before.
	growth = 16
	// shrinkage is how much smaller a window is than one that had too many studies.
	shrinkage = 8
)

var (
	firstDay = number(1, time.January, 1)
	lastDay  = number(9999, time.December, 31)
	// oldest is the day from which on archives have studies: a window that begins before has no lower bound.
	oldest = number(1900, time.January, 1)
)

// Planner chooses the windows of one search, from the newest to the oldest. Their sizes follow the number of studies that were
// found. The caller calls Next, then Found or Split, and so on until Next reports the end.
type Planner struct {
	floor, ceiling, today int // days as numbers that can be counted
	most                  int // studies that one window may have; zero: any number

	from, to int // the current window
	size     int // of the current window, or of the next one
	done     bool

	timed      bool
	start, end int // the current part of the day, in seconds
	step       int // its size
	inDay      int // studies that other parts of the day have
}

// New returns a Planner for the days from earliest to latest, numbers like 20240131; zero stands for no bound. Its windows grow
// slowly enough not to have more than most studies, as a rule; most zero stands for any number.
func New(earliest, latest int, today time.Time, most int) *Planner {
	year, month, day := today.Date()
	p := &Planner{floor: firstDay, ceiling: lastDay, today: number(year, month, day), most: most, size: firstDays}
	if earliest != 0 {
		p.floor = numberOf(earliest)
	}
	if latest != 0 {
		p.ceiling = numberOf(latest)
	}
	p.done = p.floor > p.ceiling
	p.to = p.ceiling
	p.from = p.bounded(min(p.ceiling, p.today) - firstDays + 1)
	return p
}

// Next returns the current window. It reports false after the last one.
func (p *Planner) Next() (Window, bool) {
	if p.done {
		return Window{}, false
	}
	w := Window{From: dateOf(p.from), To: dateOf(p.to), Timed: p.timed, FromSecond: p.start, ToSecond: p.end}
	if p.from == firstDay {
		w.From = 0
	}
	if p.to == lastDay {
		w.To = 0
	}
	return w, true
}

// Found goes on to the next window. The current one had n studies, kept of which are of use; wanted is how many more of these the search
// needs.
func (p *Planner) Found(n, kept, wanted int) {
	if p.timed {
		p.inDay += n
		if p.start > 0 {
			p.step = min(p.step*2, secondsOfDay)
			p.end, p.start = p.start, max(0, p.start-p.step)
			return
		}
		n, p.timed, p.start, p.end = p.inDay, false, 0, 0
	}
	if p.from == p.floor {
		p.done = true
		return
	}
	days := min(p.to, p.today) - p.from + 1
	p.to = p.from - 1
	switch {
	case days > 0:
		p.size = p.next(days, n, kept, wanted)
	case p.to > p.today:
		p.size = p.to - p.today // all days to come
	default:
		p.size = firstDays
	}
	p.from = p.bounded(p.to - p.size + 1)
}

// next returns the size of a window that is likely to have the wanted studies and unlikely to have too many.
func (p *Planner) next(days, n, kept, wanted int) int {
	size := days * growth
	if kept > 0 {
		size = min(size, (wanted*days*3/2+kept-1)/kept)
	}
	if n > 0 && p.most > 0 {
		size = min(size, p.most/2*days/n)
	}
	return max(size, 1)
}

// bounded returns the first day of a window that is to begin with the given day.
func (p *Planner) bounded(from int) int {
	if from <= p.floor || from < oldest {
		return p.floor
	}
	return min(from, p.to)
}

// Split makes the current window smaller, because it has too many studies. It reports false if that is impossible.
func (p *Planner) Split() bool {
	days := p.to - p.from + 1
	switch {
	case p.timed:
		if p.end-p.start == 1 {
			return false
		}
		p.step = (p.end - p.start + 1) / 2
		p.start = p.end - p.step
	case days == 1:
		p.timed, p.inDay = true, 0
		p.step = secondsOfDay / 2
		p.start, p.end = secondsOfDay-p.step, secondsOfDay
	case p.from > p.today:
		p.from += days / 2
	case p.to > p.today:
		p.from = p.today + 1
	default:
		// A window without a lower bound may be much larger than it was planned.
		p.size = max(1, min(days, max(p.size, firstDays))/shrinkage)
		p.from = p.to - p.size + 1
	}
	return true
}

// numberOf returns a day like 20240131 as a number that can be counted.
func numberOf(date int) int { return number(date/10000, time.Month(date/100%100), date%100) }

func number(year int, month time.Month, day int) int {
	return int(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / secondsOfDay)
}

// dateOf is the inverse of numberOf.
func dateOf(n int) int {
	year, month, day := time.Unix(int64(n)*secondsOfDay, 0).UTC().Date()
	return year*10000 + int(month)*100 + day
}
