package qr

import (
	"cmp"
	"slices"
	"strings"
)

// newestFirst sorts by date and time, undated studies last. Studies of the same time are in the order of their Study Instance
// UIDs, so that an archive always gives the same order.
func newestFirst(list []*candidate) {
	for _, study := range list {
		if study.date != 0 {
			first, _, _ := strings.Cut(study.StudyTime, `\`)
			study.time = parseTime(trim(first))
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
