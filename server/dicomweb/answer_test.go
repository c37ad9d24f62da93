package dicomweb_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/dicomweb"
)

const base = "https://gateway.example/dicomweb/main"

// searchOf returns the search of a query string.
func searchOf(t testing.TB, level qr.Level, study, series *string, query string) *qr.Search {
	t.Helper()
	p, faults := dicomweb.ParseParameters(dicomweb.Resource{Level: level, Study: study, Series: series}, query)
	require.Empty(t, faults)
	return &p.Search
}

func answerOf(t testing.TB, s *qr.Search, matches ...*qr.Match) []map[string]json.RawMessage {
	t.Helper()
	var out bytes.Buffer
	w := dicomweb.NewJSONWriter(&out)
	dicomweb.NewAnswer(s, matches, base).WriteTo(w)
	require.NoError(t, w.Flush())
	var objects []map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(out.Bytes(), &objects), out.String())
	return objects
}

func matchOf(t testing.TB, parent *qr.Match, elements ...string) *qr.Match {
	t.Helper()
	e := encoder{binary.LittleEndian}
	return qr.NewMatch(e.parse(t, strings.Join(elements, "")), parent)
}

// The required attributes of PS3.18 tables 10.6.3-3 to 10.6.3-5, without ModalitiesInStudy.
var (
	ofStudy = []string{
		"00080020", "00080030", "00080050", "00080090", "00081190", "00100010", "00100020", "00100030", "00100040", "0020000D", "00200010",
		"00201206", "00201208",
	}
	ofSeries   = []string{"00080060", "00081190", "0020000D", "0020000E", "00200011", "00201209"}
	ofInstance = []string{"00080016", "00080018", "00081190", "0020000D", "0020000E", "00200013"}
)

func union(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

func TestRequiredAttributesAreThereEvenIfThePACSLacksThem(t *testing.T) {
	e := encoder{binary.LittleEndian}
	study, series := "1.2", "1.2.3"
	uids := e.element(0x0008, 0x0018, "UI", "1.2.3.4\x00") + e.element(0x0020, 0x000d, "UI", "1.2\x00") + e.element(0x0020, 0x000e, "UI", "1.2.3\x00")
	for name, test := range map[string]struct {
		search *qr.Search
		want   []string
	}{
		"studies":               {searchOf(t, qr.LevelStudy, nil, nil, ""), ofStudy},
		"series of a study":     {searchOf(t, qr.LevelSeries, &study, nil, ""), ofSeries},
		"series":                {searchOf(t, qr.LevelSeries, nil, nil, ""), union(ofSeries, ofStudy)},
		"instances of a series": {searchOf(t, qr.LevelImage, &study, &series, ""), ofInstance},
		"instances of a study":  {searchOf(t, qr.LevelImage, &study, nil, ""), union(ofInstance, ofSeries)},
		"instances":             {searchOf(t, qr.LevelImage, nil, nil, ""), union(ofInstance, ofSeries, ofStudy)},
	} {
		t.Run(name, func(t *testing.T) {
			objects := answerOf(t, test.search, matchOf(t, nil, uids))
			require.Len(t, objects, 1)
			assert.Equal(t, test.want, slices.Sorted(maps.Keys(objects[0])))
		})
	}
}

func TestOnlyWhatWasAskedForIsReturned(t *testing.T) {
	e := encoder{binary.LittleEndian}
	m := matchOf(t, nil, study(e))
	keys := func(query string) []string {
		return slices.Sorted(maps.Keys(answerOf(t, searchOf(t, qr.LevelStudy, nil, nil, query), m)[0]))
	}
	usual := keys("")
	assert.Subset(t, usual, union(ofStudy, []string{"00080056", "00080201"}), "known ones are returned too")
	assert.NotContains(t, usual, "00081030")
	assert.NotContains(t, usual, "00080052")
	assert.NotContains(t, usual, "00080005")
	assert.Equal(t, union(usual, []string{"00081030", "00080080", "00101010"}), keys("includefield=StudyDescription,00080080&PatientAge="))
	assert.Equal(t, usual, keys("includefield=00081032"), "the PACS does not return it")
	assert.Equal(t, union(usual, []string{"00080054", "00080062", "00080080", "00081010", "00081030", "00081040", "00081060", "00100021", "00101010", "00104000"}),
		keys("includefield=all"))
}

func TestAttributesThatAreOptionalAreThereIfKnownOrNamed(t *testing.T) {
	e := encoder{binary.LittleEndian}
	m := matchOf(t, nil, e.element(0x0008, 0x0056, "CS", ""), e.element(0x0008, 0x0201, "SH", "+0100 "), e.element(0x0008, 0x1030, "LO", ""))
	object := answerOf(t, searchOf(t, qr.LevelStudy, nil, nil, ""), m)[0]
	assert.NotContains(t, object, "00080056")
	assert.Contains(t, object, "00080201")
	for _, query := range []string{"includefield=00080056,StudyDescription", "00080056=&00081030=", "includefield=all"} {
		object = answerOf(t, searchOf(t, qr.LevelStudy, nil, nil, query), m)[0]
		assert.JSONEq(t, `{"vr":"CS"}`, string(object["00080056"]), query)
		assert.JSONEq(t, `{"vr":"LO"}`, string(object["00081030"]), query)
	}
}

func TestTheRetrieveURLLeadsToTheMatch(t *testing.T) {
	e := encoder{binary.LittleEndian}
	study := matchOf(t, nil, e.element(0x0020, 0x000d, "UI", "1.2\x00"), e.element(0x0008, 0x1190, "UR", "http://other"))
	series := matchOf(t, study, e.element(0x0020, 0x000e, "UI", "1.2.3\x00"))
	instance := matchOf(t, series, e.element(0x0008, 0x0018, "UI", "1.2.3.4\x00"))
	odd := matchOf(t, nil, e.element(0x0020, 0x000d, "UI", "1/2?"))
	for _, test := range []struct {
		level qr.Level
		match *qr.Match
		want  string
	}{
		{qr.LevelStudy, study, base + "/studies/1.2"},
		{qr.LevelSeries, series, base + "/studies/1.2/series/1.2.3"},
		{qr.LevelImage, instance, base + "/studies/1.2/series/1.2.3/instances/1.2.3.4"},
		{qr.LevelStudy, odd, base + "/studies/1%2F2%3F"},
	} {
		for _, query := range []string{"", "includefield=all"} {
			objects := answerOf(t, searchOf(t, test.level, nil, nil, query), test.match)
			assert.JSONEq(t, `{"vr":"UR","Value":["`+test.want+`"]}`, string(objects[0]["00081190"]))
		}
	}
}

func TestAttributesOfStudyAndSeriesComeFromThem(t *testing.T) {
	e := encoder{binary.LittleEndian}
	study := matchOf(t, nil, e.element(0x0010, 0x0020, "LO", "PID1"), e.element(0x0020, 0x000d, "UI", "1.2\x00"))
	study.Modalities, study.RelatedSeries, study.RelatedInstances = []string{"CT", "SR"}, 2, 30
	series := matchOf(t, study, e.element(0x0008, 0x0060, "CS", "CT"), e.element(0x0020, 0x000e, "UI", "1.2.3\x00"), e.element(0x0020, 0x1209, "IS", "7 "))
	series.RelatedInstances = 8
	instance := matchOf(t, series, e.element(0x0008, 0x0018, "UI", "1.2.3.4\x00"))
	for _, query := range []string{"", "includefield=all"} {
		object := answerOf(t, searchOf(t, qr.LevelImage, nil, nil, query), instance)[0]
		for tag, want := range map[string]string{
			"00080060": `{"vr":"CS","Value":["CT"]}`, "00080061": `{"vr":"CS","Value":["CT","SR"]}`, "00100020": `{"vr":"LO","Value":["PID1"]}`,
			"0020000D": `{"vr":"UI","Value":["1.2"]}`, "0020000E": `{"vr":"UI","Value":["1.2.3"]}`, "00080018": `{"vr":"UI","Value":["1.2.3.4"]}`,
			"00201206": `{"vr":"IS","Value":[2]}`, "00201208": `{"vr":"IS","Value":[30]}`, "00201209": `{"vr":"IS","Value":[8]}`,
			"00200013": `{"vr":"IS"}`,
		} {
			assert.Equal(t, want, string(object[tag]), tag)
		}
	}
}

func TestUnknownModalitiesAreLeftOut(t *testing.T) {
	e := encoder{binary.LittleEndian}
	unknown := matchOf(t, nil, e.element(0x0008, 0x0061, "CS", ""), e.element(0x0020, 0x000d, "UI", "1.2\x00"))
	for _, query := range []string{"", "includefield=all", "ModalitiesInStudy=CT"} {
		assert.NotContains(t, answerOf(t, searchOf(t, qr.LevelStudy, nil, nil, query), unknown)[0], "00080061")
	}
	relational := matchOf(t, nil, e.element(0x0008, 0x0061, "CS", ""))
	assert.NotContains(t, answerOf(t, searchOf(t, qr.LevelSeries, nil, nil, ""), relational)[0], "00080061")
	relational = matchOf(t, nil, e.element(0x0008, 0x0061, "CS", "CT\\MR "))
	assert.Equal(t, `{"vr":"CS","Value":["CT","MR"]}`, string(answerOf(t, searchOf(t, qr.LevelSeries, nil, nil, ""), relational)[0]["00080061"]))
}

func TestNoMatchIsAnEmptyArray(t *testing.T) {
	var out bytes.Buffer
	w := dicomweb.NewJSONWriter(&out)
	dicomweb.NewAnswer(&qr.Search{Level: qr.LevelStudy}, nil, base).WriteTo(w)
	require.NoError(t, w.Flush())
	assert.Equal(t, "[]", out.String())
}

func TestWarningHeadersAreQuoted(t *testing.T) {
	assert.Equal(t, `299 dicom-qr-gateway "a \"b\" \\ c??"`, dicomweb.WarningHeader("a \"b\" \\ c\r\n"))
	assert.Equal(t, `299 dicom-qr-gateway "M??ller"`, dicomweb.WarningHeader("Müller"))
}

func BenchmarkAnswer(b *testing.B) {
	e := encoder{binary.LittleEndian}
	set := e.parse(b, study(e))
	var keeper dataset.Keeper
	m := qr.NewMatch(keeper.Keep(set), nil)
	m.Modalities = []string{"CT", "MR"}
	matches := slices.Repeat([]*qr.Match{m}, 10)
	s := searchOf(b, qr.LevelStudy, nil, nil, "includefield=00080054,00080062,00080080,00081010,00081030,00081040,00081060,00100021,00101010,00104000")
	w := dicomweb.NewJSONWriter(writerFunc(func(p []byte) (int, error) { return len(p), nil }))
	b.ReportAllocs()
	for b.Loop() {
		dicomweb.NewAnswer(s, matches, base).WriteTo(w)
		_ = w.Flush()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(10*b.N), "ns/match")
}
