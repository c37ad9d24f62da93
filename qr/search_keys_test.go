package qr_test

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/match"
	"dicom-qr-gateway/qr/qrtest"
)

func TestPlainerFormFindsWhatThePACSMisreads(t *testing.T) {
	rows := []attributes{
		study("P1", "1.1", attributes{dataset.PatientName: "MÜLLER^A", dataset.SpecificCharacterSet: "ISO_IR 192", dataset.StudyDescription: "HEAD"}),
		study("P1", "1.2", attributes{dataset.PatientName: "MULLER^B", dataset.StudyDescription: "CHEST"}),
	}
	for name, test := range map[string]struct {
		keys    []match.Key
		find    func(keys *dataset.Set) (ok bool, status dicomnet.Status)
		peer    qr.Peer
		want    []string
		queries int
		codes   []qr.WarningCode
	}{
		"an optional key gives nothing": {
			keys: keysOf(t, dataset.StudyDescription, "HEAD"), peer: qrtest.PACS, want: []string{"1.1"}, queries: 2,
			find: func(keys *dataset.Set) (bool, dicomnet.Status) { return keys.String(dataset.StudyDescription) == "", 0 },
		},
		"a known key gives nothing": {
			keys: keysOf(t, dataset.StudyDescription, "HEAD"), peer: with(pool.Profile{StudyKeys: []dataset.Tag{dataset.StudyDescription}}), queries: 1,
			find: func(keys *dataset.Set) (bool, dicomnet.Status) { return keys.String(dataset.StudyDescription) == "", 0 },
		},
		"an optional key is refused": {
			keys: keysOf(t, dataset.StudyDescription, "HEAD"), peer: qrtest.PACS, want: []string{"1.1"}, queries: 2,
			find: func(keys *dataset.Set) (bool, dicomnet.Status) {
				return true, map[bool]dicomnet.Status{true: 0xA900}[keys.String(dataset.StudyDescription) != ""]
			},
			codes: []qr.WarningCode{qr.WarningOptionalKeysUnsupported},
		},
		"bytes are compared": {
			keys: keysOf(t, dataset.PatientName, "müller*"), peer: qrtest.PACS, want: []string{"1.1", "1.2"}, queries: 2,
			find: func(keys *dataset.Set) (bool, dicomnet.Status) {
				return keys.String(dataset.PatientName) == "M*LLER*", 0
			},
		},
		"any name": {
			keys: keysOf(t, dataset.PatientName, "ü*"), peer: qrtest.PACS, queries: 2,
			find: func(keys *dataset.Set) (bool, dicomnet.Status) { return keys.String(dataset.PatientName) == "", 0 },
		},
		"nothing matches": {
			keys: keysOf(t, dataset.PatientName, "MÜLLER^C"), peer: qrtest.PACS, queries: 2,
			find: func(*dataset.Set) (bool, dicomnet.Status) { return false, 0 },
		},
		"nothing plainer": {
			keys: keysOf(t, dataset.PatientID, "p1"), peer: qrtest.PACS, queries: 1,
			find: func(*dataset.Set) (bool, dicomnet.Status) { return false, 0 },
		},
		"the plainer form fails": {
			keys: keysOf(t, dataset.StudyDescription, "HEAD"), peer: qrtest.PACS, queries: 2,
			find: func(keys *dataset.Set) (bool, dicomnet.Status) {
				return false, map[bool]dicomnet.Status{true: 0xA700}[keys.String(dataset.StudyDescription) == ""]
			},
			codes: []qr.WarningCode{qr.WarningIncomplete},
		},
	} {
		t.Run(name, func(t *testing.T) {
			queries := 0
			p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
				queries++
				ok, status := test.find(a.Keys())
				if ok && status == dicomnet.StatusSuccess {
					a.Match(rows...)
				}
				a.Finish(status)
			}}
			g := qrtest.For(p, qrtest.Options{})
			result, err := g.Search(t.Context(), qr.Call{}, test.peer, qr.Search{Level: qr.LevelStudy, Keys: test.keys})
			require.NoError(t, err)
			assert.Equal(t, append([]string{}, test.want...), uidsOf(result.Matches))
			assert.Equal(t, append([]qr.WarningCode{}, test.codes...), codes(result.Warnings))
			assert.Equal(t, test.queries, queries)
			qrtest.Events(t, p, g)
		})
	}
}

func TestRefusedQueryIsRepeatedWithRequiredReturnKeysOnly(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
		if keys := a.Keys(); keys.String(dataset.StudyDescription) != "" || keys.Has(dataset.PatientBirthDate) {
			a.Finish(0xC000)
			return
		}
		a.Match(study("P1", "1.1", attributes{dataset.StudyDescription: "HEAD"}))
		a.Finish(dicomnet.StatusSuccess)
	}}
	result, err := search(t, p, qr.Search{Level: qr.LevelStudy, Limit: 5, Keys: keysOf(t, dataset.StudyDescription, "HEAD")})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1"}, uidsOf(result.Matches))
	_, err = search(t, p, qr.Search{Level: qr.LevelStudy})
	assert.NoError(t, err, "return keys alone may be refused too")
}

func TestFuzzyNameIsSentAsItsLongestWord(t *testing.T) {
	for value, want := range map[string]string{"john maria": "*maria*", "^,": ""} {
		key, err := match.NewKey(match.Path{dataset.PatientName}, "PN", []string{value}, true)
		require.NoError(t, err)
		var sent string
		p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
			sent = a.Keys().String(dataset.PatientName)
			a.Match(study("P1", "1.1", attributes{dataset.PatientName: "DOE^MARIA^JOHNSON"}), study("P1", "1.2", attributes{dataset.PatientName: "DOE^MARIA"}))
			a.Finish(dicomnet.StatusSuccess)
		}}
		result, err := search(t, p, qr.Search{Level: qr.LevelStudy, Keys: []match.Key{key}})
		require.NoError(t, err)
		assert.Equal(t, want, sent)
		if want != "" {
			assert.Equal(t, []string{"1.1"}, uidsOf(result.Matches))
		}
	}
}

func TestIdentifiersThatThePACSReturnsAreSentAsTheyAre(t *testing.T) {
	root := qrtest.PACS
	for _, id := range []string{"P*", strings.Repeat("9", 70), "P1"} {
		var sent []string
		p := &dicomtest.ScriptedPACS{
			Negotiate: func(a *association) bool { return a.Refuse(dicomnet.StudyRoot.Find) },
			Find: func(a *association, level string) {
				switch level {
				case "STUDY":
					a.Match(study(id, "1..1"), study(id, "."), study(id, "01.1"))
				case "SERIES":
					sent = append(sent, a.Keys().String(dataset.StudyInstanceUID)+" "+a.Keys().String(dataset.PatientID))
				}
				a.Finish(dicomnet.StatusSuccess)
			},
		}
		g := qrtest.For(p, qrtest.Options{})
		_, err := g.Search(t.Context(), qr.Call{}, root, qr.Search{Level: qr.LevelSeries, Keys: append(
			keysOf(t, dataset.StudyInstanceUID, "01.1"), keysOf(t, dataset.PatientName, "*")...)})
		require.NoError(t, err)
		want := "01.1 "
		if id == "P1" {
			want += id // the others would be wildcards or too long
		}
		assert.Equal(t, []string{want}, sent)
		qrtest.Events(t, p, g)
	}
	p := listing(map[string][]attributes{"STUDY": {study("P1", "1..1"), study("P1", ".")}})
	result, err := search(t, p, qr.Search{Level: qr.LevelSeries, Keys: keysOf(t, dataset.PatientID, "P1")})
	require.NoError(t, err)
	assert.Empty(t, result.Matches)
}

func TestTenThousandInstancesHoldLittleMemory(t *testing.T) {
	const n = 10_000
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
		for i := range n {
			a.Match(instanceOf("1.2.840.113619.2.55.3.1", "1.2.840.113619.2.55.3.1.1", fmt.Sprintf("1.2.840.113619.2.55.3.1.1.%d", i), attributes{
				instanceNumber: strconv.Itoa(i), dataset.QueryRetrieveLevel: "IMAGE", dataset.StudyDescription: strings.Repeat("x", 60),
				{Group: 0x0008, Element: 0x0016}: "1.2.840.10008.5.1.4.1.1.2", {Group: 0x0028, Element: 0x0010}: "\x00\x02", {Group: 0x0028, Element: 0x0011}: "\x00\x02",
			}))
		}
		a.Finish(dicomnet.StatusSuccess)
	}}
	g := qrtest.For(p, qrtest.Options{MaxMatches: n})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{
		Level: qr.LevelImage, StudyInstanceUID: "1.2.840.113619.2.55.3.1", SeriesInstanceUID: "1.2.840.113619.2.55.3.1.1",
	})
	require.NoError(t, err)
	require.Len(t, result.Matches, n)
	qrtest.Events(t, p, g)
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	assert.Less(t, held, int64(16<<20), "%d bytes a match", held/n)
	t.Logf("%d bytes a match, %d bytes allocated for each", held/n, (after.TotalAlloc-before.TotalAlloc)/n)
	runtime.KeepAlive(result)
}

func TestPrivateCreatorIsNoCondition(t *testing.T) {
	creator := dataset.Tag{Group: 0x0009, Element: 0x0010}
	key, err := match.NewKey(match.Path{creator}, "LO", []string{"VENDOR"}, false)
	require.NoError(t, err)
	var sent *dataset.Set
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
		sent = a.Keys()
		a.Match(study("P1", "1.1"), study("P1", "1.2", attributes{creator: "OTHER"}))
		a.Finish(dicomnet.StatusSuccess)
	}}
	result, err := search(t, p, qr.Search{
		Level: qr.LevelStudy, Keys: []match.Key{key}, Include: []match.Path{{{Group: 0x0009, Element: 0x1001}}},
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1"}, uidsOf(result.Matches))
	assert.Equal(t, []qr.WarningCode{qr.WarningKeyUnchecked}, codes(result.Warnings))
	assert.Equal(t, "VENDOR", sent.String(creator))
	assert.True(t, sent.Has(dataset.Tag{Group: 0x0009, Element: 0x1001}))
}

func TestEveryIdentifierOfASearchIsObserved(t *testing.T) {
	p := listing(map[string][]attributes{"STUDY": {study("P1", "1.1")}, "SERIES": {seriesOf("1.1", "1.1.1")}})
	o := &identifiers{}
	g := qrtest.For(p, qrtest.Options{})
	_, err := g.Search(t.Context(), qr.Call{Observer: o}, qrtest.PACS, qr.Search{Level: qr.LevelSeries, Keys: keysOf(t, dataset.PatientID, "P1")})
	require.NoError(t, err)
	levels := []qr.Level{}
	for _, i := range o.sent {
		levels = append(levels, i.Level)
	}
	assert.Equal(t, []qr.Level{qr.LevelStudy, qr.LevelSeries}, slices.Compact(levels))
	qrtest.Events(t, p, g)
}
