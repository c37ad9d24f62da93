package qr

import (
	"cmp"
	"slices"
	"strings"
)

// newestFirst sorts by date and time, undated studies last. The Study Instance
// UID settles the rest, so that one archive always gives one order.
func newestFirst(list []*candidate) {
	for _, study := range list {
		if study.date != 0 {
			study.time = parseTime(study.StudyTime)
		}
	}
	slices.SortFunc(list, func(a, b *candidate) int {
		switch {
		case a.date != b.date:
			return cmp.Compare(b.date, a.date)
		case a.time != b.time:
			return cmp.Compare(b.time, a.time)
		}
		return strings.Compare(a.StudyInstanceUID, b.StudyInstanceUID)
	})
}
