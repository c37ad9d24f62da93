package qr_test

import (
	"fmt"
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

// tree is a PACS without relational queries: it answers with what is below the UIDs of the request. It records the queries.
type tree struct {
	studies []attributes
	series  map[string][]attributes // by study
	images  map[string][]attributes // by series
	queries []string
}

func (r *tree) find(a *association, level string) {
	keys := a.Keys()
	study, series := keys.String(dataset.StudyInstanceUID), keys.String(dataset.SeriesInstanceUID)
	query := []string{level}
	for _, tag := range []dataset.Tag{dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID, sopInstanceUID} {
		if value := strings.Join(keys.Strings(tag), ","); value != "" {
			query = append(query, value)
		}
	}
	r.queries = append(r.queries, strings.Join(query, " "))
	switch level {
	case "STUDY":
		a.Match(r.studies...)
	case "SERIES":
		a.Match(r.series[study]...)
	default:
		a.Match(r.images[series]...)
	}
	a.Finish(dicomnet.StatusSuccess)
}

// patient is the tree of a patient with two studies, of two series each, of two instances each.
func patient() *tree {
	r := &tree{series: map[string][]attributes{}, images: map[string][]attributes{}}
	for _, study := range []string{"1.1", "1.2"} {
		r.studies = append(r.studies, dicomtest.StudyMatch("P1", study, attributes{dataset.StudyDescription: "OF " + study}))
		for i, modality := range []string{"CT", "SR"} {
			series := fmt.Sprintf("%s.%d", study, i+1)
			r.series[study] = append(r.series[study], seriesOf(study, series, attributes{
				seriesNumber: strconv.Itoa(i + 1), dataset.Modality: modality, dataset.PatientID: "P1",
			}))
			for j := range 2 {
				r.images[series] = append(r.images[series], instanceOf(study, series, fmt.Sprintf("%s.%d", series, j+1), attributes{instanceNumber: strconv.Itoa(j + 1)}))
			}
		}
	}
	return r
}

func (r *tree) search(t *testing.T, peer qr.Peer, s qr.Search) (*qr.SearchResult, error) {
	t.Helper()
	p := &dicomtest.ScriptedPACS{Find: r.find}
	g := qrtest.For(p, qrtest.Options{MaxMatches: 100})
	r.queries = nil
	result, err := g.Search(t.Context(), qr.Call{}, peer, s)
	qrtest.Events(t, p, g)
	return result, err
}

func TestSearchBelowOnePatientOrStudyWalksFromLevelToLevel(t *testing.T) {
	keys := slices.Concat[[]match.Key]
	ofPatient := keysOf(t, dataset.PatientID, "P1")
	for name, test := range map[string]struct {
		search  qr.Search
		want    []string
		queries []string
	}{
		"series of a patient": {
			qr.Search{Level: qr.LevelSeries, Keys: ofPatient},
			[]string{"1.1.1", "1.2.1", "1.1.2", "1.2.2"},
			[]string{"STUDY P1", "SERIES 1.1", "SERIES 1.2"},
		},
		"CT series of a patient": {
			qr.Search{Level: qr.LevelSeries, Keys: keys(ofPatient, keysOf(t, dataset.Modality, "CT"))},
			[]string{"1.1.1", "1.2.1"},
			[]string{"STUDY P1", "SERIES 1.1", "SERIES 1.2"},
		},
		"series of a study by key": {
			qr.Search{Level: qr.LevelSeries, Keys: keysOf(t, dataset.StudyInstanceUID, "1.2")},
			[]string{"1.2.1", "1.2.2"},
			[]string{"STUDY 1.2", "SERIES 1.2"},
		},
		"series of two studies by key": {
			qr.Search{Level: qr.LevelSeries, Keys: keysOf(t, dataset.StudyInstanceUID, "1.2", "1.1")},
			[]string{"1.1.1", "1.2.1", "1.1.2", "1.2.2"},
			[]string{"STUDY 1.2", "STUDY 1.1", "SERIES 1.1", "SERIES 1.2"},
		},
		"series of a study and a patient": {
			qr.Search{Level: qr.LevelSeries, StudyInstanceUID: "1.2", Keys: ofPatient},
			[]string{"1.2.1", "1.2.2"},
			[]string{"STUDY P1 1.2", "SERIES 1.2"},
		},
		"series of another patient's study": {
			qr.Search{Level: qr.LevelSeries, StudyInstanceUID: "1.2", Keys: keysOf(t, dataset.PatientID, "P2")},
			[]string{},
			[]string{"STUDY P2 1.2"},
		},
		"series of a study of a modality": {
			qr.Search{Level: qr.LevelSeries, StudyInstanceUID: "1.2", Modalities: []string{"SR"}},
			[]string{"1.2.1", "1.2.2"},
			[]string{"STUDY 1.2", "SERIES 1.2", "SERIES 1.2"},
		},
		"instances of a study": {
			qr.Search{Level: qr.LevelImage, StudyInstanceUID: "1.1"},
			[]string{"1.1.1.1", "1.1.2.1", "1.1.1.2", "1.1.2.2"},
			[]string{"SERIES 1.1", "IMAGE 1.1 1.1.1", "IMAGE 1.1 1.1.2"},
		},
		"instances of the CT series of a study": {
			qr.Search{Level: qr.LevelImage, StudyInstanceUID: "1.1", Keys: keysOf(t, dataset.Modality, "CT")},
			[]string{"1.1.1.1", "1.1.1.2"},
			[]string{"SERIES 1.1", "IMAGE 1.1 1.1.1"},
		},
		"instances of a series of another modality": {
			qr.Search{Level: qr.LevelImage, StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.1", Keys: keysOf(t, dataset.Modality, "SR")},
			[]string{},
			[]string{"SERIES 1.1 1.1.1"},
		},
		"instances of a series": {
			qr.Search{Level: qr.LevelImage, StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.2"},
			[]string{"1.1.2.1", "1.1.2.2"},
			[]string{"IMAGE 1.1 1.1.2"},
		},
		"instances of a patient": {
			qr.Search{Level: qr.LevelImage, Keys: keys(ofPatient, keysOf(t, instanceNumber, "2"))},
			[]string{"1.1.1.2", "1.1.2.2", "1.2.1.2", "1.2.2.2"},
			[]string{
				"STUDY P1", "SERIES 1.1", "SERIES 1.2", "IMAGE 1.1 1.1.1", "IMAGE 1.2 1.2.1", "IMAGE 1.1 1.1.2", "IMAGE 1.2 1.2.2",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := patient()
			result, err := r.search(t, qrtest.PACS, test.search)
			require.NoError(t, err)
			assert.Equal(t, test.want, uidsOf(result.Matches))
			assert.Equal(t, test.queries, r.queries[:min(len(r.queries), len(test.queries))])
			for _, q := range r.queries[len(test.queries):] {
				assert.True(t, strings.HasPrefix(q, "IMAGE"), "instances of series are counted: %s", q)
			}
		})
	}
}

func TestMatchesOfAWideSearchHaveTheirParents(t *testing.T) {
	result, err := patient().search(t, qrtest.PACS, qr.Search{
		Level: qr.LevelImage, Keys: keysOf(t, dataset.PatientID, "P1"), Include: []match.Path{{dataset.StudyDescription}},
	})
	require.NoError(t, err)
	require.Len(t, result.Matches, 8)
	series := result.Matches[0].Parent()
	require.NotNil(t, series)
	assert.Equal(t, "CT", series.Set().String(dataset.Modality))
	require.NotNil(t, series.Parent())
	assert.Equal(t, "OF 1.1", series.Parent().Set().String(dataset.StudyDescription))
	assert.Nil(t, series.Parent().Parent())
	assert.Same(t, series, result.Matches[4].Parent(), "the instances of a series share it")

	result, err = patient().search(t, qrtest.PACS, qr.Search{Level: qr.LevelImage, StudyInstanceUID: "1.1"})
	require.NoError(t, err)
	series = result.Matches[0].Parent()
	require.NotNil(t, series)
	assert.Equal(t, "1.1.1", series.SeriesInstanceUID)
	assert.Nil(t, series.Parent(), "the caller named the study")
}

func TestAttributesOfANamedStudyOrSeriesAreFoundIfTheCallerAsksForThem(t *testing.T) {
	r := patient()
	s := qr.Search{
		Level: qr.LevelImage, StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.1",
		Include: []match.Path{{dataset.StudyDescription}, {dataset.Modality}, {dataset.StudyInstanceUID}, {dataset.SeriesInstanceUID}},
	}
	result, err := r.search(t, qrtest.PACS, s)
	require.NoError(t, err)
	require.Len(t, result.Matches, 2)
	series := result.Matches[0].Parent()
	require.NotNil(t, series)
	assert.Equal(t, "CT", series.Set().String(dataset.Modality))
	assert.Equal(t, "OF 1.1", series.Parent().Set().String(dataset.StudyDescription))
	assert.Equal(t, []string{"STUDY 1.1", "SERIES 1.1 1.1.1", "IMAGE 1.1 1.1.1"}, r.queries)

	s.Include = s.Include[2:]
	result, err = r.search(t, qrtest.PACS, s)
	require.NoError(t, err)
	assert.Nil(t, result.Matches[0].Parent())
	assert.Equal(t, []string{"IMAGE 1.1 1.1.1"}, r.queries)
}

func TestSearchWithoutStudyOrPatientNeedsRelationalQueries(t *testing.T) {
	for _, s := range []qr.Search{
		{Level: qr.LevelSeries},
		{Level: qr.LevelImage},
		{Level: qr.LevelSeries, Keys: keysOf(t, dataset.SeriesInstanceUID, "1.1.1")},
		{Level: qr.LevelSeries, Keys: keysOf(t, dataset.PatientID, "P*")},
		{Level: qr.LevelImage, Keys: keysOf(t, sopInstanceUID, "1.1.1.1")},
	} {
		r := patient()
		_, err := r.search(t, qrtest.PACS, s)
		var relational *qr.RelationalQueryError
		require.ErrorAs(t, err, &relational)
		assert.Empty(t, r.queries)
		_, err = r.search(t, with(pool.Profile{ImageLevelFind: true}), s)
		require.ErrorAs(t, err, &relational)
	}
}

func TestRelationalPACSIsAskedOnce(t *testing.T) {
	row := instanceOf("1.1", "1.1.1", "1.1.1.1", attributes{dataset.PatientID: "P1", dataset.Modality: "CT", dataset.StudyDate: "20240101"})
	rows := []attributes{
		row, row.With(sopInstanceUID, "1.1.1.2"), instanceOf("1.2", "1.2.1", "1.2.1.1", attributes{dataset.PatientID: "P2", dataset.Modality: "SR"}),
		{sopInstanceUID: "1.9"},
		instanceOf("1.1", "", "1.8"),
	}
	var sent *dataset.Set
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		if sent = a.Keys(); level == "SERIES" {
			for _, row := range rows {
				delete(row, sopInstanceUID)
			}
		}
		a.Match(rows...)
		a.Finish(dicomnet.StatusSuccess)
	}}
	g := qrtest.For(p, qrtest.Options{})
	peer := with(pool.Profile{RelationalQueries: true, ImageLevelFind: true})
	for _, s := range []qr.Search{
		{Level: qr.LevelImage, Keys: append(keysOf(t, dataset.Modality, "CT"), keysOf(t, dataset.PatientID, "P1")...)},
		{Level: qr.LevelImage, StudyInstanceUID: "1.1"},
		{Level: qr.LevelImage, Keys: append(keysOf(t, dataset.SeriesInstanceUID, "1.1.1"), keysOf(t, dataset.StudyDate, "20240101")...)},
	} {
		result, err := g.Search(t.Context(), qr.Call{}, peer, s)
		require.NoError(t, err)
		assert.Equal(t, []string{"1.1.1.1", "1.1.1.2"}, uidsOf(result.Matches))
		assert.Equal(t, "1.1.1", result.Matches[0].SeriesInstanceUID)
		assert.Nil(t, result.Matches[0].Parent())
		for _, tag := range []dataset.Tag{dataset.StudyDate, dataset.PatientName, seriesNumber, sopInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID} {
			assert.True(t, sent.Has(tag), "%v: attributes of the levels above are part of the answer", tag)
		}
	}
	result, err := g.Search(t.Context(), qr.Call{}, peer, qr.Search{Level: qr.LevelSeries})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1.1", "1.2.1"}, uidsOf(result.Matches))
	finds := slices.DeleteFunc(qrtest.Events(t, p, g), func(e string) bool { return !strings.HasPrefix(e, "find") })
	assert.Equal(t, []string{"find IMAGE", "find IMAGE 1.1", "find IMAGE", "find SERIES"}, finds)
}

func TestRelationalPACSIsAskedForEachOfSeveralParents(t *testing.T) {
	peer := with(pool.Profile{RelationalQueries: true, ImageLevelFind: true})
	r := patient()
	result, err := r.search(t, peer, qr.Search{Level: qr.LevelImage, Keys: keysOf(t, dataset.SeriesInstanceUID, "1.1.1", "1.2.2")})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1.1.1", "1.2.2.1", "1.1.1.2", "1.2.2.2"}, uidsOf(result.Matches))
	assert.Equal(t, []string{"IMAGE 1.1.1", "IMAGE 1.2.2"}, r.queries)
	result, err = r.search(t, peer, qr.Search{Level: qr.LevelSeries, Keys: keysOf(t, dataset.StudyInstanceUID, "1.1", "1.2")})
	require.NoError(t, err)
	assert.Len(t, result.Matches, 4)
	assert.Equal(t, []string{"STUDY 1.1", "STUDY 1.2", "SERIES 1.1", "SERIES 1.2"}, r.queries)
}

func TestRelationalSearchByModalityAsksForTheStudies(t *testing.T) {
	var queries []string
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		uid := a.Keys().String(dataset.StudyInstanceUID)
		queries = append(queries, level+" "+uid)
		if level == "STUDY" {
			a.Match(study("P1", uid, modalities(map[string]string{"1.1": `CT\SR`, "1.2": "MR"}[uid])))
		} else {
			a.Match(seriesOf("1.1", "1.1.2", attributes{dataset.Modality: "SR"}), seriesOf("1.2", "1.2.1"), seriesOf("1.1", "1.1.1"))
		}
		a.Finish(dicomnet.StatusSuccess)
	}}
	g := qrtest.For(p, qrtest.Options{})
	peer := with(pool.Profile{RelationalQueries: true})
	result, err := g.Search(t.Context(), qr.Call{}, peer, qr.Search{Level: qr.LevelSeries, Modalities: []string{"CT"}})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1.1", "1.1.2"}, uidsOf(result.Matches))
	assert.Equal(t, []string{"SERIES ", "STUDY 1.1", "STUDY 1.2"}, queries)
	qrtest.Events(t, p, g)

	p = &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
		for i := range 201 {
			a.Match(seriesOf(fmt.Sprintf("1.%d", i), fmt.Sprintf("1.%d.1", i)))
		}
		a.Finish(dicomnet.StatusSuccess)
	}}
	g = qrtest.For(p, qrtest.Options{})
	_, err = g.Search(t.Context(), qr.Call{}, peer, qr.Search{Level: qr.LevelSeries, Modalities: []string{"CT"}})
	var unknown *qr.ModalityUnknownError
	require.ErrorAs(t, err, &unknown)
	assert.Equal(t, []string{"associate FIND", "find SERIES", "release"}, qrtest.Events(t, p, g))
}

func TestListOfUIDsIsSentOnlyToAPACSThatReadsIt(t *testing.T) {
	r := patient()
	s := qr.Search{Level: qr.LevelStudy, Keys: keysOf(t, dataset.StudyInstanceUID, "1.1", "1.2")}
	result, err := r.search(t, qrtest.PACS, s)
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1", "1.2"}, uidsOf(result.Matches))
	assert.Equal(t, []string{"STUDY 1.1", "STUDY 1.2"}, r.queries)
	_, err = r.search(t, with(pool.Profile{UIDLists: true}), s)
	require.NoError(t, err)
	assert.Equal(t, []string{"STUDY 1.1,1.2"}, r.queries)
	s.Keys = append(s.Keys, keysOf(t, dataset.PatientID, "P1")...)
	_, err = r.search(t, qrtest.PACS, s)
	require.NoError(t, err)
	assert.Equal(t, []string{"STUDY P1"}, r.queries, "a patient has few studies")
}

func TestWalkThroughTooMuchIsTooBroad(t *testing.T) {
	series := func(n int) *tree {
		r := patient()
		for i := range n {
			r.series["1.1"] = append(r.series["1.1"], seriesOf("1.1", fmt.Sprintf("1.1.1%d", i)))
			r.series["1.2"] = append(r.series["1.2"], seriesOf("1.2", fmt.Sprintf("1.2.1%d", i)))
		}
		return r
	}
	var broad *qr.SearchTooBroadError
	_, err := series(60).search(t, qrtest.PACS, qr.Search{Level: qr.LevelSeries, Keys: keysOf(t, dataset.PatientID, "P1")})
	require.ErrorAs(t, err, &broad)
	assert.Equal(t, 100, broad.Max)

	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		for i := range 1001 {
			a.Match(seriesOf("1.1", fmt.Sprintf("1.1.%d", i)), study("P1", fmt.Sprintf("1.%d", i)))
		}
		a.Finish(dicomnet.StatusSuccess)
	}}
	g := qrtest.For(p, qrtest.Options{})
	for _, s := range []qr.Search{{Level: qr.LevelImage, StudyInstanceUID: "1.1"}, {Level: qr.LevelImage, Keys: keysOf(t, dataset.PatientID, "P1")}} {
		_, err = g.Search(t.Context(), qr.Call{}, qrtest.PACS, s)
		require.ErrorAs(t, err, &broad)
		assert.Equal(t, 1000, broad.Max)
	}
	qrtest.Events(t, p, g)
}

func TestPatientRootNeedsThePatient(t *testing.T) {
	root := qrtest.PACS
	root.Settings = &pool.Settings{PatientRoot: true}
	ofPatient := keysOf(t, dataset.PatientID, "P1")
	refuse := func(find string) func(a *association) bool {
		return func(a *association) bool { return a.Refuse(find) }
	}
	for name, test := range map[string]struct {
		peer      qr.Peer
		negotiate func(a *association) bool
		search    qr.Search
		events    []string
		queries   []string
	}{
		"studies of a patient": {
			root, nil, qr.Search{Level: qr.LevelStudy, Keys: ofPatient}, []string{"associate PATIENT-FIND"}, []string{"STUDY P1"},
		},
		"studies of any patient": {
			root, nil, qr.Search{Level: qr.LevelStudy}, []string{"associate FIND"}, []string{"STUDY"},
		},
		"series of a patient": {
			root, nil,
			qr.Search{Level: qr.LevelSeries, Keys: ofPatient, Limit: 101},
			[]string{"associate PATIENT-FIND"},
			[]string{"STUDY P1", "SERIES P1 1.1", "SERIES P1 1.2"},
		},
		"instances of a patient's series": {
			root, nil,
			qr.Search{Level: qr.LevelImage, Keys: ofPatient, StudyInstanceUID: "1.1", SeriesInstanceUID: "1.1.1"},
			[]string{"associate PATIENT-FIND"},
			[]string{"STUDY P1 1.1", "IMAGE P1 1.1 1.1.1"},
		},
		"series of a study, without Study Root": {
			qrtest.PACS, refuse(dicomnet.StudyRoot.Find),
			qr.Search{Level: qr.LevelSeries, StudyInstanceUID: "1.1"},
			[]string{"associate FIND", "associate PATIENT-FIND"},
			[]string{"STUDY 1.1", "SERIES P1 1.1"},
		},
		"instances of a study, without Study Root": {
			qrtest.PACS, refuse(dicomnet.StudyRoot.Find),
			qr.Search{Level: qr.LevelImage, StudyInstanceUID: "1.1"},
			[]string{"associate FIND", "associate PATIENT-FIND"},
			[]string{"STUDY 1.1", "SERIES P1 1.1", "IMAGE P1 1.1 1.1.1", "IMAGE P1 1.1 1.1.2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := patient()
			p := &dicomtest.ScriptedPACS{Find: r.find, Negotiate: test.negotiate}
			g := qrtest.For(p, qrtest.Options{})
			result, err := g.Search(t.Context(), qr.Call{}, test.peer, test.search)
			require.NoError(t, err)
			assert.NotEmpty(t, result.Matches)
			assert.Equal(t, test.queries, r.queries[:len(test.queries)])
			events := slices.DeleteFunc(qrtest.Events(t, p, g), func(e string) bool { return !strings.HasPrefix(e, "associate") })
			assert.Equal(t, test.events, events)
		})
	}
}

func TestSeriesOfAnotherPatientIsDropped(t *testing.T) {
	r := patient()
	r.series["1.1"][1][dataset.PatientID] = "P2"
	result, err := r.search(t, qrtest.PACS, qr.Search{Level: qr.LevelSeries, Keys: keysOf(t, dataset.PatientID, "P1")})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.1.1", "1.2.1", "1.2.2"}, uidsOf(result.Matches))
	assert.Equal(t, []qr.WarningCode{qr.WarningOtherPatientDropped}, codes(result.Warnings))
}
