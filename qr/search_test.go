package qr_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/match"
	"dicom-qr-gateway/qr/qrtest"
)

// today is the day on which a search of a test runs.
func today() time.Time { return qrtest.Today }

// keysOf returns one key, of the VR of the dictionary.
func keysOf(t *testing.T, tag dataset.Tag, values ...string) []match.Key {
	t.Helper()
	return []match.Key{keyOf(t, tag, values...)}
}

var (
	sopInstanceUID = dataset.Tag{Group: 0x0008, Element: 0x0018}
	seriesNumber   = dataset.Tag{Group: 0x0020, Element: 0x0011}
	instanceNumber = dataset.Tag{Group: 0x0020, Element: 0x0013}
)

type attributes = dicomtest.Attributes

// seriesOf and instanceOf return matches at SERIES and IMAGE level.
func seriesOf(study, series string, more ...attributes) attributes {
	return dicomtest.StudyMatch("", study, append([]attributes{{dataset.SeriesInstanceUID: series}}, more...)...)
}

func instanceOf(study, series, instance string, more ...attributes) attributes {
	return seriesOf(study, series, append([]attributes{{sopInstanceUID: instance}}, more...)...)
}

// listing returns a PACS that gives each query the matches of its level.
func listing(rows map[string][]attributes) *dicomtest.ScriptedPACS {
	return &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		a.Match(rows[level]...)
		a.Finish(dicomnet.StatusSuccess)
	}}
}

// search runs a search on PACS p.
func search(t *testing.T, p *dicomtest.ScriptedPACS, s qr.Search) (*qr.SearchResult, error) {
	t.Helper()
	g := qrtest.For(p, qrtest.Options{MaxMatches: 100})
	result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, s)
	qrtest.Events(t, p, g)
	return result, err
}

// with returns PACS with a profile.
func with(profile pool.Profile) qr.Peer {
	peer := qrtest.PACS
	profile.Known = true
	peer.Settings = &pool.Settings{Profile: profile}
	return peer
}

func TestSearchSendsTheKeysOfItsLevel(t *testing.T) {
	for name, test := range map[string]struct {
		search qr.Search
		level  string
		values map[dataset.Tag]string // of the identifier; those of others are empty
		has    []dataset.Tag
		lacks  []dataset.Tag
	}{
		"studies": {
			search: qr.Search{
				Level: qr.LevelStudy, Keys: append(keysOf(t, dataset.PatientName, "DOE*"), keysOf(t, dataset.PatientID, "P1")...),
				Include: []match.Path{{dataset.StudyDescription}, {dataset.Modality}, {dataset.SpecificCharacterSet}, {{Group: 0x0008, Element: 0x1190}}, {}},
			},
			level:  "STUDY",
			values: map[dataset.Tag]string{dataset.PatientName: "DOE*", dataset.PatientID: "P1"},
			has:    []dataset.Tag{dataset.StudyInstanceUID, dataset.StudyDescription, dataset.ModalitiesInStudy, {Group: 0x0020, Element: 0x1208}},
			lacks:  []dataset.Tag{dataset.Modality, dataset.SeriesInstanceUID, {Group: 0x0008, Element: 0x1190}, dataset.InstitutionName},
		},
		"all attributes of studies": {
			search: qr.Search{Level: qr.LevelStudy, Keys: keysOf(t, dataset.StudyInstanceUID, "1.1"), IncludeAll: true},
			level:  "STUDY",
			values: map[dataset.Tag]string{dataset.StudyInstanceUID: "1.1"},
			has:    []dataset.Tag{dataset.InstitutionName, dataset.StudyDescription},
		},
		"series of a study": {
			search: qr.Search{Level: qr.LevelSeries, StudyInstanceUID: "1.1", Keys: keysOf(t, dataset.Modality, "CT")},
			level:  "SERIES",
			values: map[dataset.Tag]string{dataset.StudyInstanceUID: "1.1", dataset.Modality: "CT"},
			has:    []dataset.Tag{dataset.SeriesInstanceUID, seriesNumber, {Group: 0x0040, Element: 0x0275}},
			lacks:  []dataset.Tag{dataset.PatientID, dataset.StudyDate},
		},
		"instances of a series": {
			search: qr.Search{
				Level: qr.LevelImage, StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.1", Keys: keysOf(t, sopInstanceUID, "1.1.1.1", "1.1.1.2"),
			},
			level:  "IMAGE",
			values: map[dataset.Tag]string{dataset.StudyInstanceUID: "1.1", dataset.SeriesInstanceUID: "1.1.1"},
			has:    []dataset.Tag{sopInstanceUID, instanceNumber, {Group: 0x0028, Element: 0x0010}},
			lacks:  []dataset.Tag{dataset.PatientID, dataset.Modality},
		},
		"one instance": {
			search: qr.Search{Level: qr.LevelImage, StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.1", Keys: keysOf(t, sopInstanceUID, "1.1.1.1")},
			level:  "IMAGE",
			values: map[dataset.Tag]string{dataset.StudyInstanceUID: "1.1", dataset.SeriesInstanceUID: "1.1.1", sopInstanceUID: "1.1.1.1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var sent *dataset.Set
			p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
				assert.Equal(t, test.level, level)
				if sent == nil {
					sent = a.Keys()
				}
				a.Finish(dicomnet.StatusSuccess)
			}}
			_, err := search(t, p, test.search)
			require.NoError(t, err)
			for tag := range sent.Tags() {
				if want, ok := test.values[tag]; ok || tag != dataset.SpecificCharacterSet && tag != dataset.QueryRetrieveLevel {
					assert.Equal(t, want, sent.String(tag), tag)
				}
			}
			assert.Equal(t, "ISO_IR 192", sent.String(dataset.SpecificCharacterSet))
			for _, tag := range test.has {
				assert.True(t, sent.Has(tag), tag)
			}
			for _, tag := range test.lacks {
				assert.False(t, sent.Has(tag), tag)
			}
		})
	}
}

func TestMatchesThatWereNotAskedForNeverReachTheAnswer(t *testing.T) {
	patient := func(id string) attributes { return attributes{dataset.PatientID: id} }
	level := func(s string) attributes { return attributes{dataset.QueryRetrieveLevel: s} }
	for name, test := range map[string]struct {
		search qr.Search
		rows   []attributes
		want   []string
		codes  []qr.WarningCode
	}{
		"studies of other patients": {
			search: qr.Search{Level: qr.LevelStudy, Keys: keysOf(t, dataset.PatientID, "P1")},
			rows: []attributes{
				study("P1", "1.1"), study("P2", "1.2"), study("", "1.3"), {dataset.StudyInstanceUID: "1.4"}, study("P1", "1.5"), study("P2", "1.5"),
			},
			want:  []string{"1.1"},
			codes: []qr.WarningCode{qr.WarningOtherPatientDropped, qr.WarningOtherPatientDropped, qr.WarningOtherPatientDropped},
		},
		"studies with other values": {
			search: qr.Search{Level: qr.LevelStudy, Keys: append(keysOf(t, dataset.PatientName, "DOE*"), keysOf(t, dataset.StudyDate, "20240101-")...)},
			rows: []attributes{
				study("P1", "1.1", attributes{dataset.PatientName: "Doe^J", dataset.StudyDate: "20240101"}),
				study("P1", "1.2", attributes{dataset.PatientName: "ROE^J", dataset.StudyDate: "20240101"}),
				study("P1", "1.3", attributes{dataset.PatientName: "DOE^J", dataset.StudyDate: "20231231"}),
				study("P1", "1.4", attributes{dataset.PatientName: "DOE^J", dataset.StudyDate: ""}),
			},
			want: []string{"1.1"},
		},
		"studies without a UID, or of another level": {
			search: qr.Search{Level: qr.LevelStudy},
			rows: []attributes{
				study("P1", "1.1", level("STUDY")), study("P1", ""), study("P1", "1.x"), study("P1", `1.2\1.3`),
				{dataset.PatientID: "P1"},
				study("P1", "1.4", level("SERIES")), study("P1", "1.5", level("PATIENT")),
			},
			want:  []string{"1.1"},
			codes: []qr.WarningCode{qr.WarningValueMalformed, qr.WarningOtherEntityDropped, qr.WarningOtherEntityDropped},
		},
		"studies with another UID": {
			search: qr.Search{Level: qr.LevelStudy, Keys: keysOf(t, dataset.StudyInstanceUID, "1.1")},
			rows:   []attributes{study("P1", "1.1"), study("P1", "1.2")},
			want:   []string{"1.1"},
		},
		"series": {
			search: qr.Search{Level: qr.LevelSeries, StudyInstanceUID: "1.1"},
			rows: []attributes{
				seriesOf("1.1", "1.1.1", patient("P1")), seriesOf("1.2", "1.2.1"),
				{dataset.SeriesInstanceUID: "1.1.2"},
				seriesOf("", "1.1.3"),
				seriesOf("1.1", ""), study("P1", "1.1"), seriesOf("1.1", "1.1.4", level("IMAGE")),
			},
			want:  []string{"1.1.1", "1.1.2"},
			codes: []qr.WarningCode{qr.WarningOtherEntityDropped, qr.WarningOtherEntityDropped, qr.WarningOtherEntityDropped},
		},
		"one series": {
			search: qr.Search{Level: qr.LevelSeries, StudyInstanceUID: "1.1", Keys: keysOf(t, dataset.SeriesInstanceUID, "1.1.1", "1.1.3")},
			rows:   []attributes{seriesOf("1.1", "1.1.1"), seriesOf("1.1", "1.1.2")},
			want:   []string{"1.1.1"},
		},
		"instances": {
			search: qr.Search{Level: qr.LevelImage, StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.1"},
			rows: []attributes{
				instanceOf("1.1", "1.1.1", "1.1.1.1"), instanceOf("1.1", "1.1.2", "1.1.2.1"), instanceOf("1.2", "1.1.1", "1.1.1.2"),
				{sopInstanceUID: "1.1.1.3"},
				seriesOf("1.1", "1.1.1"),
			},
			want:  []string{"1.1.1.1", "1.1.1.3"},
			codes: []qr.WarningCode{qr.WarningOtherEntityDropped, qr.WarningOtherEntityDropped},
		},
		"one instance": {
			search: qr.Search{Level: qr.LevelImage, StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.1", Keys: keysOf(t, sopInstanceUID, "1.1.1.2")},
			rows:   []attributes{instanceOf("1.1", "1.1.1", "1.1.1.1"), instanceOf("1.1", "1.1.1", "1.1.1.2")},
			want:   []string{"1.1.1.2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := search(t, listing(map[string][]attributes{string(test.search.Level): test.rows}), test.search)
			require.NoError(t, err)
			assert.Equal(t, test.want, uidsOf(result.Matches))
			assert.Equal(t, append([]qr.WarningCode{}, test.codes...), codes(result.Warnings), result.Warnings)
		})
	}
}

func TestMatchHasTheUIDsOfItsParents(t *testing.T) {
	p := listing(map[string][]attributes{"IMAGE": {{sopInstanceUID: "1.1.1.1"}}})
	result, err := search(t, p, qr.Search{Level: qr.LevelImage, StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.1"})
	require.NoError(t, err)
	require.Len(t, result.Matches, 1)
	m := result.Matches[0]
	assert.Equal(t, []string{"1.1", "1.1.1", "1.1.1.1"}, []string{m.StudyInstanceUID, m.SeriesInstanceUID, m.SOPInstanceUID})
	assert.Nil(t, m.Parent())
	assert.False(t, m.Set().Has(dataset.StudyInstanceUID), "nothing is invented")
}

func TestKeyThatTheAnswerLacksIsKeptOnlyIfTheProfileHasIt(t *testing.T) {
	p := listing(map[string][]attributes{"STUDY": {study("P1", "1.1"), study("P1", "1.2", attributes{dataset.StudyDescription: "HEAD"})}})
	s := qr.Search{Level: qr.LevelStudy, Keys: keysOf(t, dataset.StudyDescription, "HEAD")}
	result, err := search(t, p, s)
	require.NoError(t, err)
	assert.Equal(t, []string{"1.2"}, uidsOf(result.Matches))
	assert.Equal(t, []qr.Warning{{qr.WarningKeyUnchecked, "1 match was dropped because the PACS does not return StudyDescription"}}, result.Warnings)

	g := qrtest.For(p, qrtest.Options{})
	result, err = g.Search(t.Context(), qr.Call{}, with(pool.Profile{StudyKeys: []dataset.Tag{dataset.StudyDescription}}), s)
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1", "1.2"}, uidsOf(result.Matches))
	assert.Equal(t, []qr.Warning{{
		qr.WarningKeyUnchecked, "1 match was kept without being checked, because the PACS does not return StudyDescription",
	}}, result.Warnings)

	s.Keys = append(s.Keys, keysOf(t, dataset.PatientBirthDate, "19700101")...)
	result, err = g.Search(t.Context(), qr.Call{}, with(pool.Profile{StudyKeys: []dataset.Tag{dataset.StudyDescription}}), s)
	require.NoError(t, err)
	assert.Empty(t, result.Matches)
	assert.Equal(t, []qr.Warning{{
		qr.WarningKeyUnchecked, "2 matches were dropped because the PACS does not return PatientBirthDate",
	}}, result.Warnings)
	qrtest.Events(t, p, g)
}

func TestMatchesOfOneUIDAreMerged(t *testing.T) {
	p := listing(map[string][]attributes{"STUDY": {
		study("P1", "1.1", attributes{dataset.ModalitiesInStudy: "CT", dataset.PatientName: "", dataset.SpecificCharacterSet: "ISO_IR 100", dataset.AccessionNumber: "A1"}),
		study("P1", "1.1", attributes{dataset.ModalitiesInStudy: "MR", dataset.PatientName: "M\xfcller", dataset.SpecificCharacterSet: "ISO_IR 100"}),
		study("P1", "1.1", attributes{dataset.ModalitiesInStudy: "MR", dataset.PatientName: "OTHER", dataset.StudyDate: "20240101", dataset.StudyTime: "1200"}),
		study("P1", "1.1", attributes{dataset.ModalitiesInStudy: "MR"}),
		study("P1", "1.2", attributes{dataset.StudyDate: "20231231"}),
	}})
	result, err := search(t, p, qr.Search{Level: qr.LevelStudy, Limit: 1, Keys: keysOf(t, dataset.PatientID, "P1")})
	require.NoError(t, err)
	require.Equal(t, []string{"1.1"}, uidsOf(result.Matches), "the limit counts after duplicates are merged")
	assert.True(t, result.More)
	m := result.Matches[0]
	assert.Equal(t, []string{"CT", "MR"}, m.Modalities)
	assert.Equal(t, "Müller", m.Set().String(dataset.PatientName))
	assert.Equal(t, "A1", m.Set().String(dataset.AccessionNumber))
	assert.Equal(t, "20240101", m.Set().String(dataset.StudyDate))
	assert.Equal(t, []qr.Warning{{qr.WarningDuplicatesMerged, "3 matches that repeat others were merged"}}, result.Warnings)
}

func TestStudyOfTwoPatientsIsThatOfTheFirstID(t *testing.T) {
	for _, rows := range [][]attributes{
		{study("P1", "1.1", date("20200101")), study("P2", "1.1", date("20210101"))},
		{study("P2", "1.1", date("20210101")), study("P1", "1.1", date("20200101"))},
	} {
		result, err := search(t, listing(map[string][]attributes{"STUDY": rows}), qr.Search{Level: qr.LevelStudy})
		require.NoError(t, err)
		require.Len(t, result.Matches, 1)
		assert.Equal(t, "P1", result.Matches[0].Set().String(dataset.PatientID))
		assert.Equal(t, "20200101", result.Matches[0].Set().String(dataset.StudyDate))
		assert.Contains(t, codes(result.Warnings), qr.WarningPatientAmbiguous)
	}
}

func TestSeriesAndInstancesAreInTheOrderOfTheirNumbers(t *testing.T) {
	number := func(tag dataset.Tag, n string) attributes { return attributes{tag: n} }
	p := listing(map[string][]attributes{
		"SERIES": {
			seriesOf("1.1", "1.5", number(seriesNumber, "10")), seriesOf("1.1", "1.4", number(seriesNumber, "9")), seriesOf("1.1", "1.3"),
			seriesOf("1.1", "1.2", number(seriesNumber, "9")), seriesOf("1.1", "1.1", number(seriesNumber, "x")), seriesOf("1.1", "1.6", number(seriesNumber, "-1")),
		},
		"IMAGE": {
			instanceOf("1.1", "1.2", "1.2.3", number(instanceNumber, "+2")), instanceOf("1.1", "1.2", "1.2.2", number(instanceNumber, "1")), instanceOf("1.1", "1.2", "1.2.1"),
		},
	})
	result, err := search(t, p, qr.Search{Level: qr.LevelSeries, StudyInstanceUID: "1.1"})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.6", "1.2", "1.4", "1.5", "1.1", "1.3"}, uidsOf(result.Matches))
	result, err = search(t, p, qr.Search{Level: qr.LevelImage, StudyInstanceUID: "1.1", SeriesInstanceUID: "1.2", Offset: 1, Limit: 5})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.2.3", "1.2.1"}, uidsOf(result.Matches))
	assert.False(t, result.More)
	result, err = search(t, p, qr.Search{Level: qr.LevelImage, StudyInstanceUID: "1.1", SeriesInstanceUID: "1.2", Offset: 4, Limit: 5})
	require.NoError(t, err)
	assert.Equal(t, []*qr.Match{}, result.Matches)
}

func TestWhatThePACSReportsBecomesAWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a data set that was announced is waited for
		p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
			row := study("P1", "1.1", attributes{dataset.PatientName: "M\xfcller"}).Encode(dataset.ImplicitVRLittleEndian)
			a.SendMessage(dicomtest.Response(a.Request, dicomnet.StatusPendingWarning, row))
			a.Pending(dicomtest.Undecodable)
			a.AnnouncedFinish(dicomnet.StatusSuccess)
		}}
		result, err := search(t, p, qr.Search{Level: qr.LevelStudy})
		require.NoError(t, err)
		assert.Equal(t, []string{"1.1"}, uidsOf(result.Matches))
		assert.Equal(t, []qr.WarningCode{
			qr.WarningMatchUndecodable, qr.WarningOptionalKeysUnsupported, qr.WarningDataSetMissing,
		}, codes(result.Warnings))
	})
}

func TestIdentifierWithTheFinalSuccessIsAMatchIfItHasAUID(t *testing.T) {
	for uid, want := range map[string][]string{"": {}, "1.1": {"1.1"}} {
		p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
			a.SendMessage(dicomtest.Response(a.Request, dicomnet.StatusSuccess, study("P1", uid).Encode(dataset.ImplicitVRLittleEndian)))
		}}
		result, err := search(t, p, qr.Search{Level: qr.LevelStudy})
		require.NoError(t, err)
		assert.Equal(t, want, uidsOf(result.Matches))
		assert.Empty(t, result.Warnings)
	}
}

func TestSearchFailsAsAQueryDoes(t *testing.T) {
	one := func(a *association) { a.Match(study("P1", "1.1")) }
	for name, find := range map[string]func(a *association){
		"failure after a match": func(a *association) { one(a); a.Finish(0xC000) },
		"out of resources":      func(a *association) { a.Finish(0xA700) },
		"warning":               func(a *association) { a.Finish(0xB000) },
		"abort":                 func(a *association) { one(a); a.Abort() },
		"close":                 func(a *association) { one(a); a.Close() },
		"nothing readable":      func(a *association) { a.Pending(dicomtest.Undecodable); a.Finish(dicomnet.StatusSuccess) },
	} {
		for _, s := range []qr.Search{
			{Level: qr.LevelStudy},
			{Level: qr.LevelStudy, Limit: 5},
			{Level: qr.LevelSeries, StudyInstanceUID: "1.1"},
			{Level: qr.LevelImage, StudyInstanceUID: "1.1"},
		} {
			t.Run(name+" "+string(s.Level), func(t *testing.T) {
				p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) { find(a) }}
				result, err := search(t, p, s)
				assert.Nil(t, result)
				assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
			})
		}
	}
}

func TestSearchWithTooManyMatchesIsTooBroad(t *testing.T) {
	for _, s := range []qr.Search{
		{Level: qr.LevelStudy},
		{Level: qr.LevelStudy, Limit: 10, Keys: keysOf(t, dataset.PatientID, "P1")},
		{Level: qr.LevelStudy, Limit: 10, Keys: keysOf(t, dataset.AccessionNumber, "A1")},
		{Level: qr.LevelSeries, StudyInstanceUID: "1.1"},
		{Level: qr.LevelImage, StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.1"},
	} {
		p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
			for i := range 101 {
				a.Match(instanceOf("1.1", "1.1.1", fmt.Sprintf("1.1.1.%d", i), attributes{dataset.PatientID: "P1"}))
			}
			a.AwaitCancel()
			a.Finish(dicomnet.StatusCancel)
		}}
		result, err := search(t, p, s)
		assert.Nil(t, result)
		var broad *qr.SearchTooBroadError
		require.ErrorAs(t, err, &broad)
		assert.Equal(t, 100, broad.Max)
	}
}

func TestMatchesThatHoldTooMuchMemoryAreTooBroad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		description := strings.Repeat("x", 900<<10)
		p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
			for i := 0; ; i++ {
				row := study("P1", fmt.Sprintf("1.%d", i), attributes{dataset.StudyDescription: description})
				m := dicomtest.Response(a.Request, dicomnet.StatusPending, row.Encode(dataset.ImplicitVRLittleEndian))
				if _, err := a.Conn.Write(m.Append(nil)); err != nil {
					return
				}
				dicomtest.Wait(100 * time.Millisecond)
			}
		}}
		g := qrtest.For(p, qrtest.Options{})
		memory := budget.New(0, 0).Account("caller")
		defer memory.Close()
		result, err := g.Search(t.Context(), qr.Call{Memory: memory}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, IncludeAll: true})
		assert.Nil(t, result)
		var broad *qr.SearchTooBroadError
		assert.ErrorAs(t, err, &broad)
		require.NoError(t, g.Wait(t.Context()))
		_ = p.Err() // the PACS writes to an association that is closed
	})
}

func TestSearchIsCancelledWhenItsCallerLeaves(t *testing.T) {
	cause := errors.New("caller disconnected")
	for _, s := range []qr.Search{{Level: qr.LevelStudy}, {Level: qr.LevelStudy, Limit: 5}, {Level: qr.LevelSeries, StudyInstanceUID: "1.1"}} {
		ctx, cancel := context.WithCancelCause(t.Context())
		p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
			a.Match(study("P1", "1.1"))
			cancel(cause)
			a.AwaitCancel()
			a.Finish(dicomnet.StatusCancel)
		}}
		g := qrtest.For(p, qrtest.Options{OperationTimeout: time.Hour})
		_, err := g.Search(ctx, qr.Call{}, qrtest.PACS, s)
		assert.ErrorIs(t, err, cause)
		assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
		assert.Equal(t, []string{"cancel", "release"}, qrtest.Events(t, p, g)[2:])
	}
}

func TestSearchThatCannotMatchSendsNothing(t *testing.T) {
	g := qrtest.New(qrtest.Options{DialContext: qrtest.NoDial})
	for _, s := range []qr.Search{
		{Level: qr.LevelSeries, StudyInstanceUID: "1.1", Keys: keysOf(t, dataset.StudyInstanceUID, "1.2")},
		{Level: qr.LevelImage, StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.1", Keys: keysOf(t, dataset.SeriesInstanceUID, "1.1.2")},
	} {
		result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, s)
		require.NoError(t, err)
		assert.Equal(t, &qr.SearchResult{Matches: []*qr.Match{}, Warnings: []qr.Warning{}}, result)
	}
}

func TestSearchThatCannotBeSentIsAFilterError(t *testing.T) {
	uids := make([]string, 1001)
	for i := range uids {
		uids[i] = fmt.Sprintf("1.%d", i)
	}
	g := qrtest.New(qrtest.Options{DialContext: qrtest.NoDial})
	for field, s := range map[string]qr.Search{
		"level":      {Level: qr.LevelPatient},
		"level ":     {Level: qr.LevelStudy, StudyInstanceUID: "1.1"},
		"level  ":    {Level: qr.LevelImage, SeriesInstanceUID: "1.1"},
		"limit":      {Level: qr.LevelStudy, Limit: -1},
		"offset":     {Level: qr.LevelStudy, Offset: -1},
		"UID":        {Level: qr.LevelSeries, StudyInstanceUID: "1.*"},
		"modalities": {Level: qr.LevelStudy, Modalities: []string{`CT\MR`}},
		"00080060":   {Level: qr.LevelStudy, Keys: keysOf(t, dataset.Modality, "CT")},
		"00080061":   {Level: qr.LevelStudy, Keys: keysOf(t, dataset.ModalitiesInStudy, "CT")},
		"0020000D":   {Level: qr.LevelStudy, Keys: keysOf(t, dataset.StudyInstanceUID, uids...)},
		"0020000D ":  {Level: qr.LevelStudy, Keys: []match.Key{{Path: match.Path{dataset.StudyInstanceUID}, VR: "UI", Values: []string{"1.*"}}}},
		"key":        {Level: qr.LevelStudy, Keys: []match.Key{{}}},
	} {
		_, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, s)
		var fault *qr.FilterError
		require.ErrorAs(t, err, &fault, field)
		assert.Equal(t, strings.TrimSpace(field), fault.Field)
	}
	p := &dicomtest.ScriptedPACS{}
	_, err := search(t, p, qr.Search{Level: qr.LevelStudy, Keys: append(keysOf(t, dataset.PatientName, "A*"), keysOf(t, dataset.PatientName, "B*")...)})
	var fault *qr.FilterError
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, "00100010", fault.Field)
}
