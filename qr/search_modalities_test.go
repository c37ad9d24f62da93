package qr_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

var (
	studyRelatedSeries     = dataset.Tag{Group: 0x0020, Element: 0x1206}
	studyRelatedInstances  = dataset.Tag{Group: 0x0020, Element: 0x1208}
	seriesRelatedInstances = dataset.Tag{Group: 0x0020, Element: 0x1209}
)

func TestAnyOfTheModalitiesMatches(t *testing.T) {
	rows := []attributes{
		study("P1", "1.1", modalities("CT"), date("20240101")), study("P1", "1.2", modalities(`SR\MR`), date("20240102")),
		study("P1", "1.3", modalities("US"), date("20240103")), study("P1", "1.4", modalities("ct "), date("20240104")),
		study("P1", "1.5", modalities("MRX"), date("20240105")),
	}
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		assert.Equal(t, "STUDY", level)
		assert.True(t, a.Keys().Has(dataset.ModalitiesInStudy))
		assert.Empty(t, a.Keys().String(dataset.ModalitiesInStudy), "PACS disagree about the key, so it is never sent")
		a.Match(rows...)
		a.Finish(dicomnet.StatusSuccess)
	}}
	for _, limit := range []int{0, 10} {
		result, err := search(t, p, qr.Search{Level: qr.LevelStudy, Modalities: []string{"CT", "MR"}, Limit: limit})
		require.NoError(t, err)
		assert.Equal(t, []string{"1.4", "1.2", "1.1"}, uidsOf(result.Matches))
		assert.Equal(t, []string{"SR", "MR"}, result.Matches[1].Modalities)
	}
}

func TestUnknownModalitiesOfAPageAreLearntFromTheSeries(t *testing.T) {
	l := &largeArchive{rows: rowsUntil(1000, 12*60*60*1e9), omits: dataset.ModalitiesInStudy} // every eighth is CT, every eighth CT and SR
	p, g := l.gateway(2000)
	result, err := g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: 20, Offset: 10, Modalities: []string{"CT"}})
	require.NoError(t, err)
	require.Len(t, result.Matches, 20)
	assert.Equal(t, []string{"CT", "SR"}, result.Matches[1].Modalities)
	assert.True(t, result.More)
	assert.Less(t, len(l.queries), 140, "one query a study up to the end of the page")
	want := []string{}
	for i, uid := range newestUIDs(l.rows) {
		if i%8 == 0 || i%8 == 4 {
			want = append(want, uid)
		}
	}
	assert.Equal(t, want[10:30], uidsOf(result.Matches))

	for _, limit := range []int{0, 60} {
		_, err = g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: limit, Modalities: []string{"CT"}})
		var unknown *qr.ModalityUnknownError
		require.ErrorAs(t, err, &unknown)
	}

	l.queries = nil
	result, err = g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: 20})
	require.NoError(t, err)
	require.Len(t, result.Matches, 20)
	for _, m := range result.Matches {
		assert.NotEmpty(t, m.Modalities, "a viewer does not open a study without modalities")
		assert.NotZero(t, m.RelatedSeries)
	}
	assert.Equal(t, 20, seriesQueries(l.queries), "one query for each study of the page")

	l.queries = nil
	for _, limit := range []int{0, 201} {
		result, err = g.Search(t.Context(), qr.Call{}, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Limit: limit})
		require.NoError(t, err)
		for _, m := range result.Matches {
			assert.Nil(t, m.Modalities, "a long list leaves unknown modalities out")
		}
	}
	assert.Zero(t, seriesQueries(l.queries))
	qrtest.Events(t, p, g)
}

func seriesQueries(queries []string) int {
	n := 0
	for _, q := range queries {
		if strings.HasPrefix(q, "SERIES") {
			n++
		}
	}
	return n
}

func TestStudiesWhoseModalitiesStayUnknownAreNeverAnEmptyAnswer(t *testing.T) {
	modality := func(code string) attributes { return attributes{dataset.Modality: code} }
	for name, test := range map[string]struct {
		series  map[string][]attributes
		studies []string
		unknown int
	}{
		"no series":       {map[string][]attributes{}, nil, 3},
		"no modality":     {map[string][]attributes{"1.1": {seriesOf("1.1", "1.1.1")}, "1.2": {seriesOf("1.2", "1.2.1", modality("C T"))}}, nil, 3},
		"other series":    {map[string][]attributes{"1.1": {seriesOf("1.9", "1.1.1", modality("CT"))}}, nil, 3},
		"one is known":    {map[string][]attributes{"1.1": {seriesOf("1.1", "1.1.1", modality("CT"))}}, []string{"1.1"}, 2},
		"one is no match": {map[string][]attributes{"1.1": {seriesOf("1.1", "1.1.1", modality("US"))}}, nil, 2},
		"in spite of others": {
			map[string][]attributes{"1.1": {seriesOf("1.1", "1.1.1"), seriesOf("1.1", "1.1.2", modality("CT"))}}, []string{"1.1"}, 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{
				Studies: []attributes{study("P1", "1.1"), study("P1", "1.2", modalities("")), study("P1", "1.3", modalities("C T"))}, Series: test.series,
			}
			result, err := search(t, p, qr.Search{Level: qr.LevelStudy, Modalities: []string{"CT"}})
			if test.studies == nil {
				var unknown *qr.ModalityUnknownError
				require.ErrorAs(t, err, &unknown)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.studies, uidsOf(result.Matches))
			assert.Contains(t, result.Warnings, qr.Warning{
				Code: qr.WarningModalitiesUnknown, Message: fmt.Sprintf("%d studies were dropped because the PACS does not return their modalities", test.unknown),
			})
		})
	}
}

func TestFailedQueryForModalitiesFailsTheSearch(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		if level == "SERIES" {
			a.Finish(0xC000)
			return
		}
		a.Match(study("P1", "1.1"))
		a.Finish(dicomnet.StatusSuccess)
	}}
	for _, s := range []qr.Search{
		{Level: qr.LevelStudy, Modalities: []string{"CT"}},
		{Level: qr.LevelStudy, Modalities: []string{"CT"}, Limit: 5},
		{Level: qr.LevelSeries, StudyInstanceUID: "1.1", Modalities: []string{"CT"}},
	} {
		_, err := search(t, p, s)
		assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
	}
}

func TestUndecodableSeriesLeavesTheModalitiesOfASearchUnknown(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		if level == "STUDY" {
			a.Match(study("P1", "1.1"), study("P1", "1.2", modalities("CT")))
		} else {
			a.Pending(dicomtest.Undecodable)
			a.Match(seriesOf("1.1", "1.1.1", attributes{dataset.Modality: "MR"}))
		}
		a.Finish(dicomnet.StatusSuccess)
	}}
	result, err := search(t, p, qr.Search{Level: qr.LevelStudy, Modalities: []string{"CT"}})
	require.NoError(t, err)
	assert.Equal(t, []string{"1.2"}, uidsOf(result.Matches))
	assert.Equal(t, []qr.WarningCode{qr.WarningMatchUndecodable, qr.WarningModalitiesUnknown}, codes(result.Warnings))
}

func TestCountsAndModalitiesOfOneStudyAreFilled(t *testing.T) {
	one := qr.Search{Level: qr.LevelStudy, Keys: keysOf(t, dataset.StudyInstanceUID, "1.1")}
	single := func(more ...attributes) *tree {
		r := patient()
		r.studies = []attributes{dicomtest.StudyMatch("P1", "1.1", more...)}
		return r
	}
	t.Run("by series and instances", func(t *testing.T) {
		r := single()
		result, err := r.search(t, qrtest.PACS, one)
		require.NoError(t, err)
		m := result.Matches[0]
		assert.Equal(t, 2, m.RelatedSeries)
		assert.Equal(t, 4, m.RelatedInstances)
		assert.Equal(t, []string{"CT", "SR"}, m.Modalities)
		assert.Equal(t, []string{"STUDY 1.1", "SERIES 1.1", "IMAGE 1.1 1.1.1", "IMAGE 1.1 1.1.2"}, r.queries)
	})
	t.Run("by series with counts", func(t *testing.T) {
		r := single()
		for _, series := range r.series["1.1"] {
			series[seriesRelatedInstances] = "7"
		}
		result, err := r.search(t, qrtest.PACS, one)
		require.NoError(t, err)
		assert.Equal(t, 14, result.Matches[0].RelatedInstances)
		assert.Equal(t, []string{"STUDY 1.1", "SERIES 1.1"}, r.queries)
	})
	t.Run("modalities alone", func(t *testing.T) {
		r := single(attributes{studyRelatedSeries: "2", studyRelatedInstances: "4"})
		result, err := r.search(t, qrtest.PACS, one)
		require.NoError(t, err)
		assert.Equal(t, []string{"CT", "SR"}, result.Matches[0].Modalities)
		assert.Zero(t, result.Matches[0].RelatedSeries)
		assert.Equal(t, []string{"STUDY 1.1", "SERIES 1.1"}, r.queries)
	})
	t.Run("nothing is missing", func(t *testing.T) {
		r := single(attributes{studyRelatedSeries: "2", studyRelatedInstances: "4", dataset.ModalitiesInStudy: "CT"})
		_, err := r.search(t, qrtest.PACS, one)
		require.NoError(t, err)
		assert.Equal(t, []string{"STUDY 1.1"}, r.queries)
	})
	t.Run("series of a study", func(t *testing.T) {
		r := patient()
		r.series["1.1"][0][seriesRelatedInstances] = "2"
		result, err := r.search(t, qrtest.PACS, qr.Search{Level: qr.LevelSeries, StudyInstanceUID: "1.1"})
		require.NoError(t, err)
		assert.Zero(t, result.Matches[0].RelatedInstances)
		assert.Equal(t, 2, result.Matches[1].RelatedInstances)
		assert.Equal(t, []string{"SERIES 1.1", "IMAGE 1.1 1.1.2"}, r.queries)
	})
	t.Run("not in lists", func(t *testing.T) {
		r := patient()
		result, err := r.search(t, qrtest.PACS, qr.Search{Level: qr.LevelStudy, Keys: keysOf(t, dataset.PatientID, "P1")})
		require.NoError(t, err)
		assert.Zero(t, result.Matches[0].RelatedSeries)
		assert.Equal(t, []string{"STUDY P1"}, r.queries)
	})
	t.Run("empty series", func(t *testing.T) {
		r := single()
		delete(r.images, "1.1.2")
		result, err := r.search(t, qrtest.PACS, one)
		require.NoError(t, err)
		assert.Equal(t, 2, result.Matches[0].RelatedSeries)
		assert.Zero(t, result.Matches[0].RelatedInstances, "a PACS that lists no instances does not count them either")
	})
}

func TestCountsThatFailAreLeftOut(t *testing.T) {
	for name, fault := range map[string]func(a *association){
		"failure":     func(a *association) { a.Finish(0xC000) },
		"undecodable": func(a *association) { a.Pending(dicomtest.Undecodable); a.Finish(dicomnet.StatusSuccess) },
		"abort":       func(a *association) { a.Abort() },
	} {
		for _, level := range []string{"SERIES", "IMAGE"} {
			t.Run(name+" "+level, func(t *testing.T) {
				r := patient()
				r.studies = r.studies[:1]
				p := &dicomtest.ScriptedPACS{Find: func(a *association, asked string) {
					if asked == level {
						fault(a)
						return
					}
					r.find(a, asked)
				}}
				result, err := search(t, p, qr.Search{Level: qr.LevelStudy, Keys: keysOf(t, dataset.StudyInstanceUID, "1.1")})
				require.NoError(t, err)
				assert.Equal(t, []string{"1.1"}, uidsOf(result.Matches))
				assert.Zero(t, result.Matches[0].RelatedInstances)
			})
		}
	}
}
