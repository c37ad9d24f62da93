package dicomtest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// values returns an attribute of each answer.
func values(answers []answer, t tag.Tag) []string {
	var list []string
	for _, a := range answers {
		list = append(list, a.first(t))
	}
	return list
}

func TestRelationalFindNeedsNoKeysOfHigherLevels(t *testing.T) {
	pacs := listenWithStudies(t, dicomtest.PACSConfig{Relational: true})
	series, err := find(t.Context(), dial(t, pacs), dicomnet.StudyRoot, identifier(
		"SERIES", want(tag.PatientID, "4445556666"), want(tag.Modality), want(tag.StudyInstanceUID),
	))
	require.NoError(t, err)
	assert.Equal(t, []string{"MR", "OT"}, values(series, tag.Modality))
	assert.Equal(t, study(t, "ACC-3001").UID(), series[0].first(tag.StudyInstanceUID))

	instances, err := find(t.Context(), dial(t, pacs), dicomnet.PatientRoot, identifier("IMAGE", want(tag.Modality, "OT")))
	require.NoError(t, err)
	assert.Len(t, instances, 1)
}

func TestRelationalPACSStillMovesHierarchically(t *testing.T) {
	pacs := listenWithStudies(t, dicomtest.PACSConfig{Relational: true})
	reports := move(t, dial(t, pacs), dicomnet.StudyRoot, aeTitle, identifier("SERIES", want(tag.SeriesInstanceUID, "1.2")))
	assert.Equal(t, dicomnet.StatusIdentifierMismatch, reports[0].Status)
}

func TestFindSendsARowForEachInstance(t *testing.T) {
	pacs := listenWithStudies(t, dicomtest.PACSConfig{RowPerInstance: true})
	s := study(t, "ACC-1005")
	for level, rows := range map[string]int{"STUDY": 5, "SERIES": 5} {
		answers, err := find(t.Context(), dial(t, pacs), dicomnet.StudyRoot, identifier(level, want(tag.StudyInstanceUID, s.UID())))
		require.NoError(t, err)
		assert.Len(t, answers, rows, level)
		assert.Equal(t, answers[0], answers[1], level)
	}
}

func TestFindAnswersAtAnotherLevel(t *testing.T) {
	pacs := listenWithStudies(t, dicomtest.PACSConfig{AnswerLevel: "STUDY"})
	s := study(t, "ACC-1005")
	answers, err := find(t.Context(), dial(t, pacs), dicomnet.StudyRoot, identifier(
		"SERIES", want(tag.StudyInstanceUID, s.UID()), want(tag.SeriesInstanceUID), want(tag.Modality, "SR"),
	))
	require.NoError(t, err)
	assert.Equal(t, []answer{{
		tag.QueryRetrieveLevel: {"STUDY"}, tag.RetrieveAETitle: {aeTitle}, tag.StudyInstanceUID: {s.UID()},
	}}, answers)
}

func TestFindLacksConfiguredKeys(t *testing.T) {
	pacs := listenWithStudies(t, dicomtest.PACSConfig{
		UnsupportedKeys: []tag.Tag{tag.SeriesDescription}, HiddenKeys: []tag.Tag{tag.Modality, tag.SeriesInstanceUID},
	})
	answers, err := find(t.Context(), dial(t, pacs), dicomnet.StudyRoot, identifier(
		"SERIES", want(tag.StudyInstanceUID, study(t, "ACC-1005").UID()), want(tag.SeriesInstanceUID),
		want(tag.Modality, "SR"), want(tag.SeriesDescription, "no series has this"), want(tag.SeriesNumber),
	))
	require.NoError(t, err)
	require.Len(t, answers, 1)
	assert.Equal(t, "2", answers[0].first(tag.SeriesNumber), "Modality is matched, Series Description is not")
	for _, tg := range []tag.Tag{tag.Modality, tag.SeriesDescription, tag.SeriesInstanceUID} {
		assert.NotContains(t, answers[0], tg)
	}
}

func TestFindWarnsAboutOptionalKeys(t *testing.T) {
	for _, warns := range []bool{false, true} {
		pacs := listenWithStudies(t, dicomtest.PACSConfig{OptionalKeysWarning: warns})
		matches := 0
		for match, err := range dial(t, pacs).Find(t.Context(), dicomnet.StudyRoot, identifier("STUDY")) {
			require.NoError(t, err)
			assert.Equal(t, warns, match.OptionalKeysUnsupported)
			matches++
		}
		assert.Equal(t, 10, matches)
	}
}

// procedure returns an item with the code of a procedure.
func procedure(value, meaning string) []*dicom.Element {
	return []*dicom.Element{
		dataset.Text(tag.CodeValue, value), dataset.Text(tag.CodingSchemeDesignator, "99TEST"), dataset.Text(tag.CodeMeaning, meaning),
	}
}

// request returns an item of the Request Attributes Sequence.
func request(id string, codes ...[]*dicom.Element) []*dicom.Element {
	return []*dicom.Element{
		dataset.Text(tag.ScheduledProcedureStepID, "STEP-"+id), dataset.Text(tag.RequestedProcedureID, id),
		dataset.Sequence(tag.ScheduledProtocolCodeSequence, codes...),
	}
}

func TestFindMatchesSequences(t *testing.T) {
	pacs := listen(t, dicomtest.PACSConfig{})
	s := dicomtest.Study{
		PatientID: "P", AccessionNumber: "A",
		Attributes: []*dicom.Element{dataset.Sequence(tag.ProcedureCodeSequence, procedure("CT1", "Computed Tomography"))},
		Series: []dicomtest.Series{
			{Modality: "CT", SeriesDescription: "one", Attributes: []*dicom.Element{
				dataset.Sequence(tag.RequestAttributesSequence, request("R1", procedure("X", "ten")), request("R2", procedure("Y", "eleven"))),
			}},
			{Modality: "CT", SeriesDescription: "two", Attributes: []*dicom.Element{
				dataset.Sequence(tag.RequestAttributesSequence, request("R3")),
			}},
			{Modality: "CT", SeriesDescription: "three"},
		},
	}
	require.NoError(t, pacs.AddStudies(s))
	key := func(elements ...*dicom.Element) *dicom.Element {
		return dataset.Sequence(tag.RequestAttributesSequence, elements)
	}
	inner := func(value string) *dicom.Element {
		return dataset.Sequence(tag.ScheduledProtocolCodeSequence, []*dicom.Element{dataset.Text(tag.CodeValue, value)})
	}
	for name, tt := range map[string]struct {
		key      *dicom.Element
		series   []string
		items    []int // of the sequence in each answer
		elements int   // of the first item
	}{
		"no item":                  {dataset.Sequence(tag.RequestAttributesSequence), []string{"one", "two", "three"}, []int{2, 1, 0}, 3},
		"an empty item":            {key(), []string{"one", "two", "three"}, []int{2, 1, 0}, 3},
		"an empty key":             {key(dataset.Text(tag.RequestedProcedureID)), []string{"one", "two", "three"}, []int{2, 1, 0}, 1},
		"a value of a second item": {key(dataset.Text(tag.RequestedProcedureID, "R2")), []string{"one"}, []int{1}, 1},
		"a wildcard":               {key(dataset.Text(tag.RequestedProcedureID, "R?")), []string{"one", "two"}, []int{2, 1}, 1},
		"values of two items":      {key(dataset.Text(tag.RequestedProcedureID, "R1"), dataset.Text(tag.ScheduledProcedureStepID, "STEP-R2")), nil, nil, 0},
		"a nested value":           {key(dataset.Text(tag.RequestedProcedureID), inner("Y")), []string{"one"}, []int{1}, 2},
		"an empty nested value":    {key(inner("")), []string{"one", "two", "three"}, []int{2, 1, 0}, 1},
		"an absent attribute":      {key(dataset.Text(tag.AccessionNumber, "A")), nil, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			query := identifier("SERIES", want(tag.StudyInstanceUID, s.UID()), want(tag.SeriesDescription))
			query.Elements = append(query.Elements, tt.key)
			var series []string
			var items []int
			for match, err := range dial(t, pacs).Find(t.Context(), dicomnet.StudyRoot, query) {
				require.NoError(t, err)
				series = append(series, match.String(tag.SeriesDescription))
				list := match.Items(tag.RequestAttributesSequence)
				items = append(items, len(list))
				if len(series) == 1 {
					elements := 0
					for range list[0].Tags() {
						elements++
					}
					assert.Equal(t, tt.elements, elements)
				}
			}
			assert.Equal(t, tt.series, series)
			assert.Equal(t, tt.items, items)
		})
	}

	query := identifier("STUDY")
	query.Elements = append(query.Elements, dataset.Sequence(tag.ProcedureCodeSequence, []*dicom.Element{dataset.Text(tag.CodeValue, "CT2")}))
	answers, err := find(t.Context(), dial(t, pacs), dicomnet.StudyRoot, query)
	require.NoError(t, err)
	assert.Empty(t, answers, "sequences are matched at STUDY level too")

	query.Elements[1] = dataset.Sequence(tag.ProcedureCodeSequence, procedure("CT1", ""), procedure("CT2", ""))
	_, err = find(t.Context(), dial(t, pacs), dicomnet.StudyRoot, query)
	requireStatus(t, dicomnet.StatusIdentifierMismatch, err)
}

func TestFindMatchesNumbersAndDateTimes(t *testing.T) {
	pacs := listen(t, dicomtest.PACSConfig{})
	diffusion, err := dicom.NewElement(tag.DiffusionBValue, []float64{1000})
	require.NoError(t, err)
	require.NoError(t, pacs.AddStudies(dicomtest.Study{
		PatientID: "P", AccessionNumber: "A",
		Series: []dicomtest.Series{{Modality: "MR", Attributes: []*dicom.Element{
			diffusion, dataset.Text(tag.FrameAcquisitionDateTime, "20240102101500.5"),
		}}},
	}))
	assoc := func() *dicomnet.Association { return dial(t, pacs) }
	s := dicomtest.Study{PatientID: "P", AccessionNumber: "A"}
	series, err := find(t.Context(), assoc(), dicomnet.StudyRoot, identifier("SERIES", want(tag.StudyInstanceUID, s.UID()), want(tag.SeriesInstanceUID)))
	require.NoError(t, err)
	in := []key{want(tag.StudyInstanceUID, s.UID()), want(tag.SeriesInstanceUID, series[0].first(tag.SeriesInstanceUID))}
	for _, tt := range []struct {
		dateTime string
		b        float64
		matches  int
	}{
		{"20240102", 1000, 1}, {"202401021015-", 1000, 1}, {"-2024010210", 1000, 1}, {"20240103", 1000, 0}, {"-202401021014", 1000, 0}, {"2024", 900, 0},
	} {
		query := identifier("IMAGE", append(in, want(tag.FrameAcquisitionDateTime, tt.dateTime))...)
		e, err := dicom.NewElement(tag.DiffusionBValue, []float64{tt.b})
		require.NoError(t, err)
		query.Elements = append(query.Elements, e)
		n := 0
		for match, err := range assoc().Find(t.Context(), dicomnet.StudyRoot, query) {
			require.NoError(t, err)
			b, _ := match.Bytes(tag.DiffusionBValue)
			assert.Equal(t, []byte{0, 0, 0, 0, 0, 0x40, 0x8F, 0x40}, b, "1000 as FD")
			n++
		}
		assert.Equal(t, tt.matches, n, "%s %v", tt.dateTime, tt.b)
	}
}
