package qr

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func datedStudy(uid, date, clock string) *candidate {
	c := &candidate{Study: Study{StudyInstanceUID: uid, StudyDate: date, StudyTime: clock}}
	c.date, _ = parseDate(date)
	return c
}

func uidsOf(list []*candidate) []string {
	uids := make([]string, 0, len(list))
	for i := range list {
		uids = append(uids, list[i].StudyInstanceUID)
	}
	return uids
}

func TestStudiesAreNewestFirst(t *testing.T) {
	list := []*candidate{
		datedStudy("9", "", "235959"),
		datedStudy("8", "unknown", ""),
		datedStudy("7", "20200101", "120000"),
		datedStudy("6", "20240101", ""),
		datedStudy("5", "20240101", "0800"),
		datedStudy("4", "20240101", "120000"),
		datedStudy("3", "20240101", "12"),
		datedStudy("2", "20240102", "010000"),
		datedStudy("1", "20240101", "120000.5"),
	}
	newestFirst(list)
	assert.Equal(t, []string{"2", "1", "3", "4", "5", "6", "7", "8", "9"}, uidsOf(list))
}

func TestOrderDoesNotDependOnTheOrderOfMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		date := rapid.SampledFrom([]string{"", "x", "20240101", "20240102", "2024.01.01"})
		clock := rapid.SampledFrom([]string{"", "x", "12", "1200", "120000", "130000.1"})
		list := make([]*candidate, rapid.IntRange(0, 40).Draw(t, "studies"))
		for i := range list {
			list[i] = datedStudy(fmt.Sprintf("1.%d", i), date.Draw(t, "date"), clock.Draw(t, "time"))
		}
		shuffled := rapid.Permutation(list).Draw(t, "shuffled")
		newestFirst(list)
		newestFirst(shuffled)
		if !slices.Equal(uidsOf(list), uidsOf(shuffled)) {
			t.Fatalf("%v is not %v", uidsOf(list), uidsOf(shuffled))
		}
		if !slices.IsSortedFunc(list, func(a, b *candidate) int { return cmp.Compare(b.date, a.date) }) {
			t.Fatal("an older study comes before a newer one, or an undated one before a dated one")
		}
	})
}
