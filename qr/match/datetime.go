package match

import (
	"math"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
)

// span is a key of dates or times: a single value, or a range whose ends belong to it (PS3.4 section C.2.2.2.5). An open end is
// infinite.
type span struct {
	from, to           int64 // moments
	fromZoned, toZoned bool  // from and to are in UTC
	form               spanForm
}

type spanForm uint8

const (
	oneValue spanForm = iota
	since             // a-
	until             // -b
	between           // a-b
)

// parseSpan parses a single value or a range. parse parses one of its values. In DT a hyphen may also begin the offset of a value:
// what can be a single value is one.
func parseSpan(s string, parse func(string) (dateTime, bool)) (span, string) {
	if d, ok := parse(s); ok {
		return newSpan(oneValue, d, d)
	}
	if !strings.Contains(s, "-") {
		return span{}, notAValue
	}
	if d, ok := parse(strings.TrimSpace(strings.TrimPrefix(s, "-"))); ok && s[0] == '-' {
		return newSpan(until, dateTime{}, d)
	}
	if d, ok := parse(strings.TrimSpace(strings.TrimSuffix(s, "-"))); ok && s[len(s)-1] == '-' {
		return newSpan(since, d, dateTime{})
	}
	for i := range len(s) {
		if s[i] != '-' {
			continue
		}
		from, ok1 := parse(strings.TrimSpace(s[:i]))
		to, ok2 := parse(strings.TrimSpace(s[i+1:]))
		if ok1 && ok2 {
			return newSpan(between, from, to)
		}
	}
	return span{}, notAValue
}

// The reasons why text is no span.
const (
	notAValue = "value"
	reversed  = "is a range that ends before it begins"
)

func newSpan(form spanForm, from, to dateTime) (span, string) {
	s := span{from: math.MinInt64, to: math.MaxInt64, form: form}
	if form != until {
		s.from, s.fromZoned = from.first-from.offset, from.zoned
	}
	if form != since {
		s.to, s.toZoned = to.last-to.offset, to.zoned
	}
	if form == between && from.zoned == to.zoned && s.from > s.to {
		return s, reversed
	}
	return s, ""
}

// holds judges a value without an offset against a span without offsets. A value that is less precise than the span matches if it may
// be in it.
func (s *span) holds(v interval) bool { return v.last >= s.from && v.first <= s.to }

// dateTest matches dates, and those times that belong to them if time is not nil.
type dateTest struct {
	span
	isTime bool

	timeTag dataset.Tag
	time    *span
}

func (t *dateTest) judge(v dataset.Value, at place) Verdict {
	if t.time != nil {
		return t.judgeCombined(v, at)
	}
	return anyText(v, false, func(text []byte) bool {
		var moment interval
		var ok bool
		if t.isTime {
			moment, ok = parseTime(string(trim(text)), true)
		} else {
			moment, ok = parseDate(string(trim(text)), true)
		}
		return ok && t.holds(moment)
	})
}

// judgeCombined judges the first values of a date and its time as one date-time.
func (t *dateTest) judgeCombined(v dataset.Value, at place) Verdict {
	date, ok := firstInterval(v, parseDate)
	if !ok || !t.holds(date) {
		return Differs
	}
	whole := span{from: math.MinInt64, to: math.MaxInt64}
	if t.form != until {
		whole.from = t.from + t.time.from
	}
	if t.form != since {
		whole.to = t.to - day + 1 + t.time.to
	}
	clock, present := at.set.Value(t.timeTag)
	if present {
		if moment, ok := firstInterval(clock, parseTime); ok {
			date.first, date.last = date.first+moment.first, date.first+moment.last
		}
	}
	switch {
	case !whole.holds(date):
		return Differs
	case !present && (date.first < whole.from || date.last > whole.to):
		return Unknown
	}
	return Matches
}

func firstInterval(v dataset.Value, parse func(string, bool) (interval, bool)) (interval, bool) {
	for text := range v.Texts() {
		return parse(string(trim(text)), true)
	}
	return interval{}, false
}

// dateTimeTest matches date-times (DT).
type dateTimeTest struct{ span }

func (t *dateTimeTest) judge(v dataset.Value, at place) Verdict {
	best := Differs
	for text := range v.Texts() {
		d, ok := parseDateTime(string(trim(text)))
		if !ok {
			continue
		}
		switch t.judgeOne(d, at) {
		case Matches:
			return Matches
		case Unknown:
			best = Unknown
		}
	}
	return best
}

// judgeOne compares each end of the span with the value. If only one of them has an offset from UTC, that of the data set applies; without
// one the result may be unknown.
func (t *dateTimeTest) judgeOne(d dateTime, at place) Verdict {
	result := Matches
	if t.from != math.MinInt64 {
		shift, slack := d.shift(t.fromZoned, at)
		result = compareEnds(d.last-shift-t.from, slack)
	}
	if t.to != math.MaxInt64 {
		shift, slack := d.shift(t.toZoned, at)
		if end := compareEnds(t.to-(d.first-shift), slack); end == Differs || result == Matches {
			result = end
		}
	}
	return result
}

// shift returns what to subtract from the moments of d to compare them with an end of a span, which is in UTC (zoned) or in local time; and
// by how much the result may be wrong.
func (d *dateTime) shift(zoned bool, at place) (shift, slack int64) {
	if zoned == d.zoned {
		return d.offset, 0
	}
	local, known := at.offset()
	switch {
	case !known:
		return d.offset, maxOffsetEast
	case zoned:
		return local, 0
	}
	return d.offset - local, 0
}

// compareEnds judges that a difference, known up to slack, is not negative.
func compareEnds(difference, slack int64) Verdict {
	switch {
	case difference < -slack:
		return Differs
	case difference < slack:
		return Unknown
	}
	return Matches
}

// place is where the value that is judged stands: its data set or item, and the data set that contains it.
type place struct{ set, root *dataset.Set }

var timezoneOffset = dataset.Tag{Group: 0x0008, Element: 0x0201}

// offset returns Timezone Offset From UTC of the item, or else of the data set.
func (p place) offset() (int64, bool) {
	for _, set := range [...]*dataset.Set{p.set, p.root} {
		if offset, ok := parseOffset(set.String(timezoneOffset)); ok {
			return offset, true
		}
	}
	return 0, false
}
