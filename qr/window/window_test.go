package window_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dicom-qr-gateway/qr/window"
)

var today = time.Date(2024, 6, 15, 23, 59, 0, 0, time.UTC)

// texts returns the keys of the windows when each has this many studies.
func texts(p *window.Planner, found, wanted int) []string {
	var list []string
	for w, ok := p.Next(); ok; w, ok = p.Next() {
		list = append(list, w.Dates())
		p.Found(found, found, wanted)
	}
	return list
}

func TestWindowsOfAnEmptyArchiveGrowUntilTheyReachTheBeginning(t *testing.T) {
	assert.Equal(t, []string{"20240614-", "20240513-20240613", "20221218-20240512", "20000714-20221217", "-20000713"},
		texts(window.New(0, 0, today, 10000), 0, 102))
}

func TestWindowsStayWithinTheRangeOfTheCaller(t *testing.T) {
	for name, test := range map[string]struct {
		earliest, latest int
		want             []string
	}{
		"one day":          {20240101, 20240101, []string{"20240101"}},
		"one day to come":  {20300101, 20300101, []string{"20300101"}},
		"days to come":     {20300101, 0, []string{"20300101-"}},
		"from yesterday":   {20240614, 0, []string{"20240614-"}},
		"from last month":  {20240515, 0, []string{"20240614-", "20240515-20240613"}},
		"until last month": {0, 20240430, []string{"20240429-20240430", "20240328-20240428", "20221102-20240327", "20000529-20221101", "-20000528"}},
		"a month":          {20240401, 20240430, []string{"20240429-20240430", "20240401-20240428"}},
		"a month and more": {20240501, 20240831, []string{"20240614-20240831", "20240513-20240613", "20240501-20240512"}},
		"old":              {18000101, 19001231, []string{"19001230-19001231", "19001128-19001229", "18000101-19001127"}},
		"very old":         {10101, 18991231, []string{"-18991231"}},
		"nothing":          {20240102, 20240101, nil},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, texts(window.New(test.earliest, test.latest, today, 10000), 0, 102))
		})
	}
}

func TestNextWindowIsLargeEnoughForWhatIsMissing(t *testing.T) {
	p := window.New(0, 0, today, 10000)
	w, _ := p.Next()
	require.Equal(t, "20240614-", w.Dates())
	p.Found(10, 10, 92) // five a day
	w, _ = p.Next()
	assert.Equal(t, "20240517-20240613", w.Dates(), "28 days for 92 studies and half as many again")
	p.Found(10000, 1, 1000)
	w, _ = p.Next()
	assert.Equal(t, "20240503-20240516", w.Dates(), "no more days than may have half of the largest number")
}

// archive is a number of studies by their second since 1970.
type archive []int64

func (a archive) count(w window.Window) (n int) {
	for _, s := range a {
		if contains(w, s) {
			n++
		}
	}
	return n
}

func contains(w window.Window, second int64) bool {
	at := time.Unix(second, 0).UTC()
	year, month, day := at.Date()
	micros := int64(at.Hour()*3600+at.Minute()*60+at.Second()) * 1_000_000
	return w.Contains(year*10000+int(month)*100+day) && w.ContainsTime(micros)
}

func TestWindowsCoverEveryMomentOnceWhateverTheArchiveHas(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		most := rapid.IntRange(3, 20).Draw(rt, "most")
		var a archive
		base := today.Unix()
		for range rapid.IntRange(0, 5).Draw(rt, "clusters") {
			from := base + rapid.Int64Range(-40*365*86400, 400*86400).Draw(rt, "cluster")
			spread := rapid.SampledFrom([]int64{100, 86400, 30 * 86400, 3000 * 86400}).Draw(rt, "spread")
			for range rapid.IntRange(1, 60).Draw(rt, "studies") {
				a = append(a, from+rapid.Int64Range(0, spread).Draw(rt, "study"))
			}
		}
		p := window.New(0, 0, today, most)
		seen := make([]int, len(a))
		queries := 0
		previous := int64(1) << 62
		for w, ok := p.Next(); ok; w, ok = p.Next() {
			if queries++; queries > 5000 {
				rt.Fatal("no end")
			}
			n := a.count(w)
			if n > most {
				if !p.Split() {
					return // more in two seconds than one answer may have
				}
				continue
			}
			oldest := previous
			for i, s := range a {
				if contains(w, s) {
					seen[i]++
					oldest = min(oldest, s)
					if s > previous {
						rt.Fatalf("%v is newer than a window before", w)
					}
				}
			}
			previous = oldest
			p.Found(n, rapid.IntRange(0, n).Draw(rt, "kept"), rapid.IntRange(1, 500).Draw(rt, "wanted"))
		}
		if i := slices.Index(seen, 0); i >= 0 {
			rt.Fatalf("study of %v is in no window", time.Unix(a[i], 0).UTC())
		}
		for i, n := range seen {
			if n > 2 { // a second may be in two windows
				rt.Fatalf("study of %v in %d windows", time.Unix(a[i], 0).UTC(), n)
			}
		}
	})
}

func TestWindowWithTooManyStudiesIsSplitDownToSeconds(t *testing.T) {
	p := window.New(20240101, 20240101, today, 10)
	var got []string
	for range 20 {
		w, _ := p.Next()
		got = append(got, w.Dates()+" "+w.Times())
		if !p.Split() {
			break
		}
	}
	assert.Equal(t, []string{
		"20240101 ", "20240101 120000-", "20240101 180000-", "20240101 210000-", "20240101 223000-", "20240101 231500-",
		"20240101 233730-", "20240101 234845-", "20240101 235422-", "20240101 235711-", "20240101 235835-", "20240101 235917-",
		"20240101 235938-", "20240101 235949-", "20240101 235954-", "20240101 235957-", "20240101 235958-", "20240101 235959-",
	}, got)
}

func TestPartsOfADayGrowAgain(t *testing.T) {
	p := window.New(20240101, 20240102, today, 10)
	p.Split()
	p.Split()
	p.Split() // six hours of the second day
	var got []string
	for w, ok := p.Next(); ok; w, ok = p.Next() {
		got = append(got, w.Dates()+" "+w.Times())
		p.Found(5, 5, 5)
	}
	assert.Equal(t, []string{"20240102 180000-", "20240102 060000-180000", "20240102 -060000", "20240101 "}, got)
}

func TestStudiesToComeAreSplitFromThoseOfToday(t *testing.T) {
	p := window.New(0, 0, today, 10)
	p.Split()
	w, _ := p.Next()
	assert.Equal(t, "20240616-", w.Dates())
	p.Found(0, 0, 10)
	w, _ = p.Next()
	assert.Equal(t, "20240614-20240615", w.Dates())
	p = window.New(0, 0, today, 10)
	p.Split()
	p.Split()
	w, _ = p.Next()
	assert.NotZero(t, w.From)
	assert.Greater(t, w.From, 20240616)
	assert.Zero(t, w.To)
}

func TestWindowKnowsItsTimes(t *testing.T) {
	w := window.Window{From: 20240101, To: 20240101, Timed: true, FromSecond: 60, ToSecond: 120}
	assert.Equal(t, "000100-000200", w.Times())
	for micros, want := range map[int64]bool{59_999_999: false, 60_000_000: true, 120_000_000: true, 120_000_001: false} {
		assert.Equal(t, want, w.ContainsTime(micros), "%d µs", micros)
	}
	assert.True(t, window.Window{}.ContainsTime(0))
	assert.Empty(t, window.Window{}.Dates())
}
