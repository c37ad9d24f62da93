package qr

import (
	"cmp"
	"slices"
)

// newestFirst sorts by date and time, undated studies last. The Study Instance
// UID settles the rest, so that one archive always gives one order.
func newestFirst(list []candidate) {
	type place struct {
		at   int
		date int
		time int64
	}
	// The parsed times are of use here alone, and moving places is cheaper than moving studies.
	places := make([]place, len(list))
	for i := range list {
		places[i] = place{at: i, date: list[i].date}
		if list[i].date != 0 {
			places[i].time = parseTime(list[i].StudyTime)
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(
			cmp.Compare(b.date, a.date),
			cmp.Compare(b.time, a.time),
			cmp.Compare(list[a.at].StudyInstanceUID, list[b.at].StudyInstanceUID),
		)
	})
	sorted := make([]candidate, len(list))
	for i, p := range places {
		sorted[i] = list[p.at]
	}
	copy(list, sorted)
}
