package qr_test

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// row is a study of a large archive.
type row struct {
	uid, date, time, modality string
}

// largeArchive is a PACS whose studies are too many to be stored as instances. It is asked for ranges of date and time.
type largeArchive struct {
	rows         []row // in the order in which it lists them
	sorted       bool  // they are, newest first
	ignoresDates bool
	ignoresTimes bool
	omits        dataset.Tag // is not returned
	most         int         // MaxMatches of the gateway, after which it expects a C-CANCEL
	refuses      func(dates string) dicomnet.Status
	queries      []string // the keys Study Date and Study Time of each query
	sent         int
}

func (l *largeArchive) find(a *association, level string) {
	keys := a.Keys()
	dates, times := keys.String(dataset.StudyDate), keys.String(dataset.StudyTime)
	if level != "STUDY" {
		l.queries = append(l.queries, level+" "+keys.String(dataset.StudyInstanceUID))
		for _, r := range l.rows {
			if r.uid == keys.String(dataset.StudyInstanceUID) {
				a.Match(dicomtest.Attributes{
					dataset.StudyInstanceUID: r.uid, dataset.SeriesInstanceUID: r.uid + ".1", dataset.Modality: r.modality,
				})
			}
		}
		a.Finish(dicomnet.StatusSuccess)
		return
	}
	l.queries = append(l.queries, strings.TrimSpace(dates+" "+times))
	if l.refuses != nil {
		if status := l.refuses(dates); status != dicomnet.StatusSuccess {
			a.Finish(status)
			return
		}
	}
	sent := 0
	for _, r := range l.of(dates) {
		if !l.ignoresTimes && !inRange(r.time, times) {
			continue
		}
		m := dicomtest.Attributes{
			dataset.StudyInstanceUID: r.uid, dataset.StudyDate: r.date, dataset.StudyTime: r.time, dataset.PatientID: "P" + r.uid,
			dataset.ModalitiesInStudy: r.modality,
		}
		delete(m, l.omits)
		a.Match(m)
		l.sent++
		if sent++; sent > l.most {
			a.AwaitCancel()
			a.Finish(dicomnet.StatusCancel)
			return
		}
	}
	a.Finish(dicomnet.StatusSuccess)
}

// of returns the studies of a range of dates, in the order of the rows.
func (l *largeArchive) of(dates string) []row {
	if l.ignoresDates || dates == "" {
		return l.rows
	}
	if l.sorted {
		first := sort.Search(len(l.rows), func(i int) bool { return inRange(l.rows[i].date, dates) || l.rows[i].date < dates[:8] })
		end := first + sort.Search(len(l.rows)-first, func(i int) bool { return !inRange(l.rows[first+i].date, dates) })
		return l.rows[first:end]
	}
	return slices.DeleteFunc(slices.Clone(l.rows), func(r row) bool { return !inRange(r.date, dates) })
}

// inRange compares as text does, as many archives do.
func inRange(value, key string) bool {
	if key == "" {
		return true
	}
	from, to, isRange := strings.Cut(key, "-")
	if !isRange {
		to = from
	}
	return value != "" && value >= from && (to == "" || value <= to)
}

// gateway returns a gateway for the archive.
func (l *largeArchive) gateway(most int) (*dicomtest.ScriptedPACS, *qrtest.Gateway) {
	l.most = most
	p := &dicomtest.ScriptedPACS{Find: l.find}
	return p, qrtest.For(p, qrtest.Options{MaxMatches: most})
}

// newestUIDs returns the UIDs of the rows in the order of an answer.
func newestUIDs(rows []row) []string {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b row) int {
		if a.date == "" {
			a.time = ""
		}
		if b.date == "" {
			b.time = ""
		}
		if a.date+a.time != b.date+b.time {
			return -strings.Compare(a.date+" "+a.time, b.date+" "+b.time)
		}
		return strings.Compare(a.uid, b.uid)
	})
	uids := make([]string, 0, len(rows))
	for _, r := range rows {
		uids = append(uids, r.uid)
	}
	return uids
}

// rowsUntil returns studies at equal distances, the newest on the day of the tests.
func rowsUntil(n int, distance time.Duration) []row {
	rows := make([]row, 0, n)
	modalities := [...]string{"CT", "MR", "US", "CR", `CT\SR`, "MG", "XA", "NM"}
	for i := range n {
		at := qrtest.Today.Add(-time.Duration(i) * distance)
		rows = append(rows, row{fmt.Sprintf("1.2.%d", (i*7919)%n), at.Format("20060102"), at.Format("150405"), modalities[i%len(modalities)]})
	}
	return rows
}

func TestNewestStudiesOfALargeArchiveNeedFewQueries(t *testing.T) {
	const most = 10000
	l := &largeArchive{rows: rowsUntil(500_000, 12*time.Minute), sorted: true} // 120 a day for eleven years
	p, g := l.gateway(most)
	want := newestUIDs(l.rows)
	for _, page := range []struct{ offset, limit, queries int }{
		{0, 101, 1}, {101, 101, 1}, {202, 101, 2}, {303, 25, 2}, {9_000, 101, 5}, {40_000, 10, 15},
	} {
		l.queries, l.sent = nil, 0
		result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: page.limit, Offset: page.offset})
		require.NoError(t, err)
		assert.Equal(t, want[page.offset:page.offset+page.limit], uidsOf(result.Matches))
		assert.True(t, result.More)
		assert.Empty(t, result.Warnings)
		assert.LessOrEqual(t, len(l.queries), page.queries, l.queries)
		assert.Less(t, l.sent, 2*(page.offset+page.limit)+1000, "few matches beyond those that are needed")
	}
	qrtest.Events(t, p, g)
}

func TestStudiesOfAModalityAreFoundInALargeArchive(t *testing.T) {
	l := &largeArchive{rows: rowsUntil(50_000, 12*time.Minute)}
	rare := []int{3_000, 20_000, 49_000}
	for _, i := range rare {
		l.rows[i].modality = "PT"
	}
	p, g := l.gateway(10000)
	result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: 2, Modalities: []string{"PT", "OPT"}})
	require.NoError(t, err)
	assert.Equal(t, []string{l.rows[rare[0]].uid, l.rows[rare[1]].uid}, uidsOf(result.Matches))
	assert.True(t, result.More)
	assert.Less(t, len(l.queries), 20, l.queries)
	qrtest.Events(t, p, g)
}

func TestEveryStudyIsOnOnePageWhateverItsDate(t *testing.T) {
	rows := rowsUntil(200, 31*time.Hour)
	for i := range rows {
		switch {
		case i%20 == 3:
			rows[i].date = ""
		case i%20 == 4:
			rows[i].date = "20991231"
		case i%20 == 5:
			rows[i].date = "18950101"
		case i%20 == 6:
			rows[i].time = ""
		case i%20 > 15:
			rows[i].date, rows[i].time = "20240601", fmt.Sprintf("12%02d00.%d", i%60, i%10)
		}
	}
	want := newestUIDs(rows)
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.uid, b.uid) })
	for name, l := range map[string]*largeArchive{
		"every key":   {},
		"no dates":    {ignoresDates: true},
		"no times":    {ignoresTimes: true},
		"no ranges":   {refuses: func(dates string) dicomnet.Status { return map[bool]dicomnet.Status{true: 0xA900}[dates != ""] }},
		"unable":      {refuses: func(dates string) dicomnet.Status { return map[bool]dicomnet.Status{true: 0xC001}[dates != ""] }},
		"no modality": {omits: dataset.ModalitiesInStudy},
	} {
		t.Run(name, func(t *testing.T) {
			l.rows = rows
			p, g := l.gateway(1000)
			for _, limit := range []int{7, 60, 200, 201} {
				var got []string
				for offset, more := 0, true; more; offset += limit {
					result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: limit, Offset: offset})
					require.NoError(t, err)
					assert.Empty(t, result.Warnings)
					got = append(got, uidsOf(result.Matches)...)
					more = result.More
				}
				assert.Equal(t, want, got, "pages of %d", limit)
			}
			qrtest.Events(t, p, g)
		})
	}
}

func TestPACSThatFindsNothingInARangeIsAskedWithoutOne(t *testing.T) {
	l := &largeArchive{rows: rowsUntil(20, 100*time.Hour)}
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		if a.Keys().String(dataset.StudyDate) != "" {
			a.Finish(dicomnet.StatusSuccess)
			return
		}
		l.find(a, level)
	}}
	l.most = 1000
	g := qrtest.For(p, qrtest.Options{MaxMatches: 1000})
	result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: 7, Offset: 7})
	require.NoError(t, err)
	assert.Equal(t, newestUIDs(l.rows)[7:14], uidsOf(result.Matches))
	assert.True(t, result.More)
	g = qrtest.For(p, qrtest.Options{MaxMatches: 19})
	l.most = 19
	_, err = g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: 7})
	var broad *qr.SearchTooBroadError
	require.ErrorAs(t, err, &broad, "an archive that finds nothing by date and has too many studies")
	qrtest.Events(t, p, g)
}

func TestStudyThatAPACSHidesInItsWindowIsOnTheLastPage(t *testing.T) {
	rows := rowsUntil(20, 24*time.Hour)
	hidden := []row{rows[3], rows[12]}
	rows[19].date = ""
	l := &largeArchive{rows: rows}
	l.most = 1000
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		l.rows = rows
		if a.Keys().String(dataset.StudyDate) != "" {
			l.rows = slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return slices.Contains(hidden, r) })
		}
		l.find(a, level)
	}}
	g := qrtest.For(p, qrtest.Options{MaxMatches: 1000})
	want := slices.DeleteFunc(newestUIDs(rows), func(uid string) bool { return uid == hidden[0].uid || uid == hidden[1].uid })
	want = append(want, hidden[0].uid, hidden[1].uid)
	got := []string{}
	for offset, more := 0, true; more; offset += 7 {
		result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: 7, Offset: offset})
		require.NoError(t, err)
		got = append(got, uidsOf(result.Matches)...)
		more = result.More
	}
	assert.Equal(t, want, got, "each study once")
	qrtest.Events(t, p, g)
}

func TestFailureOfTheLastQueryFailsTheSearch(t *testing.T) {
	for name, l := range map[string]*largeArchive{
		"without dates": {refuses: func(dates string) dicomnet.Status { return map[bool]dicomnet.Status{true: 0xA801}[dates == ""] }},
		"without windows": {refuses: func(dates string) dicomnet.Status {
			return map[bool]dicomnet.Status{true: 0xA801, false: 0xA900}[dates == ""]
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l.rows = rowsUntil(5, time.Hour)
			p, g := l.gateway(100)
			_, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: 7})
			var status *dicomnet.StatusError
			require.ErrorAs(t, err, &status)
			assert.Equal(t, dicomnet.Status(0xA801), status.Status)
			qrtest.Events(t, p, g)
		})
	}
}

func TestWindowsStayWithinTheDatesOfTheCaller(t *testing.T) {
	l := &largeArchive{rows: rowsUntil(300, 24*time.Hour)}
	p, g := l.gateway(1000)
	search := qr.Search{Level: qr.LevelStudy, Limit: 50, Offset: 0, Keys: keysOf(t, dataset.StudyDate, "20240101-20240331")}
	result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, search)
	require.NoError(t, err)
	require.Len(t, result.Matches, 50)
	assert.Equal(t, "20240331", result.Matches[0].Set().String(dataset.StudyDate))
	assert.Equal(t, "20240211", result.Matches[49].Set().String(dataset.StudyDate))
	search.Offset = 50
	result, err = g.Search(t.Context(), qr.Call{}, qrtest.PACS, search)
	require.NoError(t, err)
	assert.Len(t, result.Matches, 41)
	assert.False(t, result.More)
	for _, q := range l.queries {
		from, to, _ := strings.Cut(q, "-")
		assert.GreaterOrEqual(t, from, "20240101")
		assert.LessOrEqual(t, to, "20240331")
		assert.NotEmpty(t, to)
	}
	qrtest.Events(t, p, g)
}

func TestDayWithTooManyStudiesIsSplitByTime(t *testing.T) {
	rows := rowsUntil(250, 24*time.Hour)
	for i := range 950 {
		rows = append(rows, row{fmt.Sprintf("1.3.%d", i), "20240614", fmt.Sprintf("%02d%02d%02d", 6+i%12, i%60, i%7), "CT"})
	}
	l := &largeArchive{rows: rows}
	p, g := l.gateway(100)
	want := newestUIDs(rows)
	var got []string
	for offset, more := 0, true; more; offset += 300 {
		result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: 300, Offset: offset})
		require.NoError(t, err)
		got = append(got, uidsOf(result.Matches)...)
		more = result.More
		if !more {
			assert.Equal(t, []qr.WarningCode{qr.WarningIncomplete}, codes(result.Warnings), "studies without a date cannot be found")
		}
	}
	assert.Equal(t, want, got)
	assert.Less(t, len(l.queries), 250)
	qrtest.Events(t, p, g)
}

func TestStudiesWithoutATimeOnACrowdedDayAreReported(t *testing.T) {
	var rows []row
	for i := range 150 {
		r := row{fmt.Sprintf("1.3.%d", i), "20240614", fmt.Sprintf("%02d0000", i%24), "CT"}
		if i%50 == 0 {
			r.time = ""
		}
		rows = append(rows, r)
	}
	l := &largeArchive{rows: rows, ignoresTimes: false}
	l.most = 100
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		if times := a.Keys().String(dataset.StudyTime); times != "" { // this one returns studies without a time too
			for _, r := range rows {
				if r.time == "" || inRange(r.time, times) {
					a.Match(dicomtest.StudyMatch("P1", r.uid, dicomtest.Attributes{dataset.StudyDate: r.date, dataset.StudyTime: r.time}))
				}
			}
			a.Finish(dicomnet.StatusSuccess)
			return
		}
		l.find(a, level)
	}}
	g := qrtest.For(p, qrtest.Options{MaxMatches: 100})
	result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: 20})
	require.NoError(t, err)
	assert.Len(t, result.Matches, 20)
	require.Equal(t, []qr.WarningCode{qr.WarningIncomplete}, codes(result.Warnings))
	assert.Equal(t, "3 studies of a day with too many studies have no time and may be missing", result.Warnings[0].Message)
	qrtest.Events(t, p, g)
}

func TestArchiveThatIgnoresDatesAndHasTooManyStudiesIsTooBroad(t *testing.T) {
	for name, l := range map[string]*largeArchive{
		"dates":      {rows: rowsUntil(2_000, time.Hour), ignoresDates: true},
		"times":      {rows: rowsUntil(2_000, time.Second), ignoresTimes: true},
		"one second": {rows: rowsUntil(2_000, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			p, g := l.gateway(1000)
			result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: 5})
			assert.Nil(t, result)
			var broad *qr.SearchTooBroadError
			require.ErrorAs(t, err, &broad)
			assert.Equal(t, 1000, broad.Max)
			assert.Less(t, len(l.queries), 40, l.queries)
			qrtest.Events(t, p, g)
		})
	}
}

func TestArchiveOutOfResourcesIsAskedForLess(t *testing.T) {
	l := &largeArchive{rows: rowsUntil(2_000, 2*time.Hour)}
	l.refuses = func(dates string) dicomnet.Status {
		n := 0
		for _, r := range l.rows {
			if inRange(r.date, dates) {
				n++
			}
		}
		return map[bool]dicomnet.Status{true: 0xA700}[n > 50]
	}
	p, g := l.gateway(1000)
	result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: 300, Keys: keysOf(t, dataset.StudyDate, "-20240610")})
	require.NoError(t, err)
	assert.Equal(t, newestUIDs(slices.DeleteFunc(l.rows, func(r row) bool { return r.date > "20240610" }))[:300], uidsOf(result.Matches))
	qrtest.Events(t, p, g)

	l.refuses = func(string) dicomnet.Status { return 0xA700 }
	_, err = g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: 5})
	var status *dicomnet.StatusError
	require.ErrorAs(t, err, &status)
	assert.Equal(t, dicomnet.Status(0xA700), status.Status)
	qrtest.Events(t, p, g)
}

func TestTooManyUndatedStudiesAreReported(t *testing.T) {
	rows := rowsUntil(10, 24*time.Hour)
	for i := range 150 {
		rows = append(rows, row{fmt.Sprintf("1.3.%d", i), "", "", "CT"})
	}
	l := &largeArchive{rows: rows}
	p, g := l.gateway(100)
	result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: 20})
	require.NoError(t, err)
	require.Len(t, result.Matches, 20)
	assert.Equal(t, newestUIDs(rows[:10]), uidsOf(result.Matches[:10]))
	assert.Empty(t, result.Matches[10].Set().String(dataset.StudyDate))
	assert.Equal(t, []qr.WarningCode{qr.WarningIncomplete}, codes(result.Warnings))
	qrtest.Events(t, p, g)
}

func TestFailureInAWindowFailsTheSearch(t *testing.T) {
	l := &largeArchive{rows: rowsUntil(10, 24*time.Hour)}
	l.refuses = func(dates string) dicomnet.Status {
		return map[bool]dicomnet.Status{true: 0xA801}[!strings.HasSuffix(dates, "-")]
	}
	p, g := l.gateway(100)
	result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: 20})
	assert.Nil(t, result)
	assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
	assert.False(t, errors.Is(err, dicomnet.ErrConnectionLost))
	qrtest.Events(t, p, g)
}

func TestLimitBeyondWhatASearchCanGoThroughIsMetByFewStudies(t *testing.T) {
	for _, search := range []qr.Search{
		{Level: qr.LevelStudy, Limit: 1 << 40}, {Level: qr.LevelStudy, Limit: 1 << 62, Offset: 1 << 62},
	} {
		p := &dicomtest.ScriptedPACS{Studies: threeStudies()}
		g := qrtest.For(p, qrtest.Options{})
		result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, search)
		require.NoError(t, err)
		assert.Len(t, result.Matches, map[bool]int{true: 3}[search.Offset == 0])
		qrtest.Events(t, p, g)
	}
}
