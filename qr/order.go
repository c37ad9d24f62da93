package qr

import (
	"cmp"
	"slices"
	"strings"
)

const perDay = 1 << 37 // exceeds every result of parseTime; 27 bits are left for the date

// newestFirst sorts by date and time, undated studies last. Studies of the same time are in the order of their Study Instance
// UIDs, so that an archive always gives the same order.
func newestFirst(list []*candidate) {
	for _, study := range list {
		if study.date != 0 {
			first, _, _ := strings.Cut(study.StudyTime, `\`)
			study.time = uint64(study.date)*perDay + uint64(parseTime(trim(first)))
		}
	}
	slices.SortFunc(list, func(a, b *candidate) int {
		if a.time != b.time {
			return cmp.Compare(b.time, a.time)
		}
		return strings.Compare(a.StudyInstanceUID, b.StudyInstanceUID)
	})
}

// sortMatches sorts studies by date and time, newest first and undated last, and series and instances by number. Matches of the
// same time or number are in the order of their UIDs.
func sortMatches(list []*Match) {
	slices.SortFunc(list, func(a, b *Match) int {
		switch {
		case a.late != b.late:
			if b.late {
				return -1
			}
			return 1
		case a.date != b.date:
			return cmp.Compare(b.date, a.date)
		case a.time != b.time:
			return cmp.Compare(b.time, a.time)
		case a.number != b.number:
			return cmp.Compare(a.number, b.number)
		}
		return strings.Compare(a.uid(), b.uid())
	})
}
