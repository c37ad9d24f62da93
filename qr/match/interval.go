package match

import (
	"strings"
	"time"
)

// interval is a date, a time or a date-time as the moments that it may mean: a value without seconds may be any moment of its
// minute (PS3.5 section 6.2). Moments are in microseconds: since midnight for a time, since the year 0 otherwise.
type interval struct{ first, last int64 }

const (
	second = int64(time.Second / time.Microsecond)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

// parseDate parses a date (DA). old allows the separators that senders write: 2024.01.31, 2024-01-31 and 2024/01/31.
func parseDate(s string, old bool) (interval, bool) {
	if old && len(s) == 10 && strings.IndexByte(".-/", s[4]) >= 0 && s[7] == s[4] {
		s = s[:4] + s[5:7] + s[8:]
	}
	if len(s) != len("20240131") || !isDigits(s) {
		return interval{}, false
	}
	return parseDateDigits(s)
}

// parseDateDigits parses a year, a year and a month, or a date.
func parseDateDigits(s string) (interval, bool) {
	year, firstMonth, lastMonth := number4(s), 1, 12
	if len(s) > 4 {
		firstMonth = number2(s[4:])
		lastMonth = firstMonth
	}
	if year < 1 || firstMonth < 1 || lastMonth > 12 {
		return interval{}, false
	}
	firstDay, lastDay := 1, daysIn(year, lastMonth)
	if len(s) > 6 {
		firstDay = number2(s[6:])
		if firstDay < 1 || firstDay > lastDay {
			return interval{}, false
		}
		lastDay = firstDay
	}
	return interval{midnight(year, firstMonth, firstDay), midnight(year, lastMonth, lastDay) + day - 1}, true
}

// midnight returns the first moment of a day.
func midnight(year, month, dayOfMonth int) int64 {
	return time.Date(year, time.Month(month), dayOfMonth, 0, 0, 0, 0, time.UTC).Unix()*second + sinceYear0
}

// sinceYear0 moves the zero of moments before every date.
const sinceYear0 = 719_528 * day

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// parseTime parses a time (TM). old allows the colons that senders write: 10:15:30.
func parseTime(s string, old bool) (interval, bool) {
	if old && len(s) >= 5 && s[2] == ':' {
		s = s[:2] + s[3:]
		if len(s) > 4 {
			if s[4] != ':' {
				return interval{}, false
			}
			s = s[:4] + s[5:]
		}
	}
	whole, fraction, fractional := strings.Cut(s, ".")
	if !isDigits(whole) || !isDigits(fraction) || len(whole) < 2 || len(whole) > 6 || len(whole)%2 != 0 ||
		fractional && (len(whole) != 6 || fraction == "" || len(fraction) > 6) {
		return interval{}, false
	}
	first, precision := int64(number2(whole))*hour, hour
	valid := first < day
	if len(whole) > 2 {
		m := int64(number2(whole[2:]))
		first, precision, valid = first+m*minute, minute, valid && m < 60
	}
	if len(whole) > 4 {
		s := int64(number2(whole[4:])) // 60 is a leap second
		first, precision, valid = first+s*second, second, valid && s <= 60
	}
	for i := range len(fraction) {
		precision /= 10
		first += int64(fraction[i]-'0') * precision
	}
	return interval{first, first + precision - 1}, valid
}

// dateTime is a date-time with its offset from UTC, if it has one. The moments are those of the local time.
type dateTime struct {
	interval
	offset int64
	zoned  bool
}

// parseDateTime parses a date-time (DT).
func parseDateTime(s string) (dateTime, bool) {
	var d dateTime
	if i := strings.LastIndexAny(s, "+-"); i >= 0 {
		if d.offset, d.zoned = parseOffset(s[i:]); !d.zoned {
			return d, false
		}
		s = s[:i]
	}
	whole, _, fractional := strings.Cut(s, ".")
	if len(whole) < 4 || len(whole)%2 != 0 || !isDigits(whole) || fractional && len(whole) != len("20240131101530") {
		return d, false
	}
	var ok bool
	d.interval, ok = parseDateDigits(whole[:min(len(whole), 8)])
	if len(whole) <= 8 || !ok {
		return d, ok
	}
	clock, ok := parseTime(s[8:], false)
	d.last = d.first + clock.last
	d.first += clock.first
	return d, ok
}

// parseOffset parses an offset from UTC, such as -0500.
func parseOffset(s string) (int64, bool) {
	if len(s) != len("+0000") || s[0] != '+' && s[0] != '-' || !isDigits(s[1:]) {
		return 0, false
	}
	hours, minutes := int64(number2(s[1:])), int64(number2(s[3:]))
	offset := hours*hour + minutes*minute
	if s[0] == '-' {
		offset = -offset
	}
	return offset, minutes < 60 && offset >= -maxOffsetWest && offset <= maxOffsetEast
}

// The offsets that PS3.5 table 6.2-1 allows.
const (
	maxOffsetWest = 12 * hour
	maxOffsetEast = 14 * hour
)

// number2 and number4 return the number in the first 2 or 4 digits of s.
func number2(s string) int { return int(s[0]-'0')*10 + int(s[1]-'0') }
func number4(s string) int { return number2(s)*100 + number2(s[2:]) }
