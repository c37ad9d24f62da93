package qr

import (
	"strings"
	"time"
)

// parseDate parses a DA value, or one of the forms 2024.01.31, 2024-01-31 and 2024/01/31, as the number 20240131; it returns false if the
// value is no day of the calendar.
func parseDate(s string) (int, bool) {
	if len(s) == 10 && (s[4] == '.' || s[4] == '-' || s[4] == '/') && s[7] == s[4] {
		s = s[:4] + s[5:7] + s[8:]
	}
	if len(s) != 8 {
		return 0, false
	}
	n, ok := digits(s)
	if !ok {
		return 0, false
	}
	year, month, day := n/10000, time.Month(n/100%100), n%100
	if year < 1 || month < time.January || month > time.December || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	return n, true
}

// parseTime parses a TM value, or one of the old form 12:00:00, as microseconds since midnight plus one; it returns zero if
// the value is no time.
func parseTime(s string) int64 {
	whole, fraction, _ := strings.Cut(strings.ReplaceAll(s, ":", ""), ".")
	if n := len(whole); n < 2 || n > 6 || n%2 != 0 || len(fraction) > 6 {
		return 0
	}
	n, ok := digits((whole + "0000")[:6])
	micros, alsoOK := digits((fraction + "000000")[:6])
	hour, minute, second := n/10000, n/100%100, n%100
	// Second 60 is a leap second.
	if !ok || !alsoOK || hour > 23 || minute > 59 || second > 60 {
		return 0
	}
	return int64((hour*60+minute)*60+second)*1_000_000 + int64(micros) + 1
}

// firstDate returns the first day of the calendar among the values of a date; zero if there is none.
func firstDate(s string) int {
	if day, ok := parseDate(s); ok || !strings.Contains(s, `\`) {
		return day
	}
	for value := range strings.SplitSeq(s, `\`) {
		if day, ok := parseDate(trim(value)); ok {
			return day
		}
	}
	return 0
}

// normalDate removes the separators of a date such as 2024.01.31 and returns any other value unchanged.
func normalDate(s string) string {
	const separated = len("2024.01.31")
	if len(s) != separated {
		return s
	}
	if _, ok := parseDate(s); ok {
		return s[:4] + s[5:7] + s[8:]
	}
	return s
}

// normalTime removes the separators of a time in the old form and returns any other value unchanged.
func normalTime(s string) string {
	if strings.Contains(s, ":") && parseTime(s) != 0 {
		return strings.ReplaceAll(s, ":", "")
	}
	return s
}

// yearsBefore returns the same day n years before t as 20240131; for February 29, the last day of February. It returns zero
// if there is no such year.
func yearsBefore(t time.Time, n int) int {
	year, month, day := t.Date()
	year -= n
	if year < 1 {
		return 0
	}
	return year*10000 + int(month)*100 + min(day, daysIn(year, month))
}

func daysIn(year int, month time.Month) int {
	switch month {
	case time.April, time.June, time.September, time.November:
		return 30
	case time.February:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	default:
		return 31
	}
}

func digits(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}
