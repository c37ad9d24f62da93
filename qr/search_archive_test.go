package qr_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/match"
	"dicom-qr-gateway/qr/qrtest"
)

// entity is one row of the oracle: a study, series or instance with the values of its keys.
type entity struct {
	study, series, instance string
	values                  map[string]string
	modalities              []string
	date, time              string
	number                  int
}

func (e *entity) uid() string { return cmp.Or(e.instance, e.series, e.study) }

// entitiesOf returns everything that an archive has at a level.
func entitiesOf(studies []dicomtest.Study, level qr.Level) []entity {
	var list []entity
	for i := range studies {
		s := &studies[i]
		base := entity{
			study: s.UID(), modalities: s.Modalities(), date: s.StudyDate, time: s.StudyTime,
			values: map[string]string{
				"PatientID": s.PatientID, "PatientName": s.PatientName, "AccessionNumber": s.AccessionNumber, "StudyDate": s.StudyDate,
				"StudyDescription": s.StudyDescription,
			},
		}
		if level == qr.LevelStudy {
			if base.date == "" {
				base.time = "" // a time without a date orders nothing
			}
			list = append(list, base)
			continue
		}
		seen := map[string]bool{}
		for _, in := range s.Instances() {
			e := base
			e.date, e.time = "", ""
			e.series = in.Text(dataset.SeriesInstanceUID)
			e.values = map[string]string{"Modality": in.Text(dataset.Modality)}
			maps.Copy(e.values, base.values)
			_, _ = fmt.Sscan(in.Text(dataset.Tag{Group: 0x20, Element: 0x11}), &e.number)
			if level == qr.LevelImage {
				e.instance = in.Text(dataset.Tag{Group: 0x08, Element: 0x18})
				_, _ = fmt.Sscan(in.Text(dataset.Tag{Group: 0x20, Element: 0x13}), &e.number)
			}
			if !seen[e.uid()] {
				seen[e.uid()] = true
				list = append(list, e)
			}
		}
	}
	slices.SortFunc(list, func(a, b entity) int {
		return cmp.Or(cmp.Compare(b.date, a.date), cmp.Compare(b.time, a.time), cmp.Compare(a.number, b.number), cmp.Compare(a.uid(), b.uid()))
	})
	return list
}

// criteria are the keys of a search, as text.
type criteria struct {
	study, series string // of the path
	keys          map[string]string
	modalities    []string
}

// selects reports whether the oracle has the entity in the answer.
func (c *criteria) selects(e *entity) bool {
	if c.study != "" && e.study != c.study || c.series != "" && e.series != c.series {
		return false
	}
	if len(c.modalities) > 0 && !slices.ContainsFunc(e.modalities, func(m string) bool { return slices.Contains(c.modalities, m) }) {
		return false
	}
	for name, want := range c.keys {
		have := e.values[name]
		switch name {
		case "StudyDate":
			from, to, _ := strings.Cut(want, "-")
			if have == "" || have < from || to != "" && have > to {
				return false
			}
		case "PatientName", "StudyDescription":
			if !strings.HasPrefix(strings.ToUpper(have), strings.ToUpper(strings.TrimSuffix(want, "*"))) {
				return false
			}
		default:
			if have != want {
				return false
			}
		}
	}
	return true
}

var keyTags = map[string]dataset.Tag{
	"PatientID": dataset.PatientID, "PatientName": dataset.PatientName, "AccessionNumber": dataset.AccessionNumber,
	"StudyDate": dataset.StudyDate, "StudyDescription": dataset.StudyDescription, "Modality": dataset.Modality,
}

// keyOf returns a key, of the VR of the dictionary.
func keyOf(t require.TestingT, tag dataset.Tag, values ...string) match.Key {
	key, err := match.NewKey(match.Path{tag}, "", values, false)
	require.NoError(t, err)
	return key
}

func (c *criteria) search(t require.TestingT, level qr.Level) qr.Search {
	s := qr.Search{Level: level, StudyInstanceUID: c.study, SeriesInstanceUID: c.series, Modalities: c.modalities}
	for name, value := range c.keys {
		s.Keys = append(s.Keys, keyOf(t, keyTags[name], value))
	}
	return s
}

// uidsOf returns the UIDs of the matches at their own level.
func uidsOf(matches []*qr.Match) []string {
	uids := []string{}
	for _, m := range matches {
		uids = append(uids, cmp.Or(m.SOPInstanceUID, m.SeriesInstanceUID, m.StudyInstanceUID))
	}
	return uids
}

// archiveOf draws the studies of an archive.
func archiveOf(rt *rapid.T) []dicomtest.Study {
	patients := []string{"P1", "P2", "P3"}
	var studies []dicomtest.Study
	for i := range rapid.IntRange(0, 30).Draw(rt, "studies") {
		s := dicomtest.Study{
			PatientID: rapid.SampledFrom(patients).Draw(rt, "patient"), AccessionNumber: fmt.Sprintf("ACC%d", i), StudyInstanceUID: fmt.Sprintf("1.2.3.%d", i),
			StudyDate:        rapid.SampledFrom([]string{"", "20240615", "20240614", "20240614", "20240601", "20230101", "19990101", "20240701"}).Draw(rt, "date"),
			StudyTime:        rapid.SampledFrom([]string{"", "120000", "120000.5", "080000"}).Draw(rt, "time"),
			StudyDescription: rapid.SampledFrom([]string{"", "HEAD", "Thorax"}).Draw(rt, "description"),
		}
		s.PatientName = map[string]string{"P1": "DOE^JOHN", "P2": "Doe^Jane", "P3": "ROE^R"}[s.PatientID]
		for range rapid.IntRange(1, 3).Draw(rt, "series") {
			s.Series = append(s.Series, dicomtest.Series{
				Modality: rapid.SampledFrom([]string{"CT", "MR", "SR", "US"}).Draw(rt, "modality"), Instances: rapid.IntRange(1, 2).Draw(rt, "instances"),
			})
		}
		studies = append(studies, s)
	}
	return studies
}

func TestSearchAgreesWithTheArchivePageByPage(t *testing.T) {
	known := pool.Profile{Known: true, ImageLevelFind: true, UIDLists: true, StudyKeys: []dataset.Tag{dataset.ModalitiesInStudy, dataset.StudyDescription}}
	relational := known
	relational.RelationalQueries = true
	allKeys := []dataset.Tag{
		dataset.PatientID, dataset.PatientName, dataset.AccessionNumber, dataset.StudyDate, dataset.StudyTime, dataset.StudyDescription,
		dataset.Modality, dataset.StudyInstanceUID, dataset.SeriesInstanceUID,
	}
	kinds := []struct {
		config  dicomtest.PACSConfig
		profile pool.Profile
	}{
		{dicomtest.PACSConfig{AETitle: "STRICT"}, pool.Profile{}},
		{dicomtest.PACSConfig{AETitle: "KNOWN"}, known},
		{dicomtest.PACSConfig{AETitle: "RELATIONAL", Relational: true}, relational},
		{dicomtest.PACSConfig{AETitle: "NOMODALITIES", OmitModalitiesInStudy: true}, pool.Profile{}},
		{dicomtest.PACSConfig{AETitle: "ROWS", RowPerInstance: true, OptionalKeysWarning: true}, pool.Profile{}},
		{dicomtest.PACSConfig{AETitle: "IGNORES", IgnoreKeys: allKeys}, pool.Profile{}},
		{dicomtest.PACSConfig{AETitle: "NODATES", IgnoreKeys: []dataset.Tag{dataset.StudyDate}}, pool.Profile{}},
	}
	g := qrtest.New(qrtest.Options{Now: today, MaxMatches: 200})
	rapid.Check(t, func(rt *rapid.T) {
		studies := archiveOf(rt)
		kind := rapid.SampledFrom(kinds).Draw(rt, "PACS")
		p := dicomtest.NewPACS(kind.config)
		require.NoError(rt, p.AddStudies(studies...))
		require.NoError(rt, p.Listen("127.0.0.1:0"))
		defer func() { require.NoError(rt, p.Close()) }()
		peer := qrtest.At(t, p.Addr())
		peer.CalledAETitle = kind.config.AETitle
		peer.Settings = &pool.Settings{Profile: kind.profile}

		level := rapid.SampledFrom([]qr.Level{qr.LevelStudy, qr.LevelSeries, qr.LevelImage}).Draw(rt, "level")
		entities := entitiesOf(studies, level)
		c := criteria{keys: map[string]string{}}
		sometimes := func(name string, values ...string) {
			if v := rapid.SampledFrom(append(make([]string, 2*len(values)), values...)).Draw(rt, name); v != "" {
				c.keys[name] = v
			}
		}
		switch {
		case level == qr.LevelStudy || rapid.Bool().Draw(rt, "wide"):
			sometimes("PatientName", "doe*", "DOE^JOHN", "ZZ*")
			sometimes("StudyDate", "20230101-20240614", "20240614-", "20240701-20240701")
			sometimes("AccessionNumber", "ACC1", "ACC3")
			sometimes("StudyDescription", "Tho*", "HEAD")
			if level != qr.LevelStudy || rapid.Bool().Draw(rt, "one patient") {
				c.keys["PatientID"] = rapid.SampledFrom([]string{"P1", "P2", "P4"}).Draw(rt, "PatientID")
			}
			c.modalities = rapid.SampledFrom([][]string{nil, nil, {"CT"}, {"MR", "US"}, {"XX"}}).Draw(rt, "modalities")
		case len(entities) > 0:
			named := rapid.SampledFrom(entities).Draw(rt, "parent")
			c.study = named.study
			if level == qr.LevelImage && rapid.Bool().Draw(rt, "one series") {
				c.series = named.series
			}
		default:
			c.study = "1.2.9"
		}
		if level != qr.LevelStudy {
			sometimes("Modality", "CT", "SR")
		}
		want := []string{}
		for i := range entities {
			if c.selects(&entities[i]) {
				want = append(want, entities[i].uid())
			}
		}
		search := c.search(rt, level)
		all, err := g.Search(t.Context(), qr.Call{}, peer, search)
		if err != nil {
			rt.Fatalf("%+v: %v", c, err)
		}
		if got := uidsOf(all.Matches); !slices.Equal(got, want) {
			rt.Fatalf("%s %s %+v: %v, want %v; %v", kind.config.AETitle, level, c, got, want, all.Warnings)
		}
		if all.More {
			rt.Fatal("more than all")
		}
		got := []string{}
		search.Limit = 7
		for more := true; more; search.Offset += 7 {
			page, err := g.Search(t.Context(), qr.Call{}, peer, search)
			if err != nil {
				rt.Fatalf("%+v from %d: %v", c, search.Offset, err)
			}
			got = append(got, uidsOf(page.Matches)...)
			if more = page.More; more != (len(got) < len(want)) {
				rt.Fatalf("%+v from %d: more %v, %v of %v", c, search.Offset, more, got, want)
			}
			for _, m := range page.Matches {
				if m.Set() == nil {
					rt.Fatal("a match without attributes")
				}
			}
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("%+v, pages: %v, want %v", c, got, want)
		}
	})
	require.NoError(t, g.Wait(t.Context()))
}
