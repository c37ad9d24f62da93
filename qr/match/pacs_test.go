package match_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/qr/match"
)

// archive is what the PACS of the tests have.
func archive() []dicomtest.Study {
	series := func(modality, step, procedure string, instances int) dicomtest.Series {
		return dicomtest.Series{Modality: modality, Instances: instances, Attributes: []*dicom.Element{
			dataset.Sequence(tag.RequestAttributesSequence, request(step, procedure), request("X", "R9")),
		}}
	}
	return []dicomtest.Study{
		{
			PatientID: "P1", PatientName: "Müller^Jürgen", CharacterSet: []string{"ISO_IR 100"}, StudyInstanceUID: "1.2.1", StudyDate: "20240131",
			StudyTime: "101530", AccessionNumber: "A1", Series: []dicomtest.Series{series("CT", "S1", "R1", 3), series("SR", "S2", "R2", 1)},
		},
		{
			PatientID: "P1", PatientName: "Müller^Jürgen", CharacterSet: []string{"ISO_IR 192"}, StudyInstanceUID: "1.2.2", StudyDate: "20240201",
			StudyTime: "235959", AccessionNumber: "A2", Series: []dicomtest.Series{series("MR", "S1", "R1", 1)},
		},
		{
			PatientID: "P2", PatientName: "Yamada^Tarou=山田^太郎", CharacterSet: []string{"", "ISO 2022 IR 87"}, StudyInstanceUID: "1.2.3",
			StudyDate: "20230101", StudyTime: "08", AccessionNumber: "A3", Series: []dicomtest.Series{series("US", "S3", "R1", 2)},
		},
	}
}

// connect runs a PACS and opens an association to it, both until the end of the test.
func connect(t *testing.T, cfg dicomtest.PACSConfig) *dicomnet.Association {
	t.Helper()
	cfg.AETitle = "PACS"
	pacs := dicomtest.NewPACS(cfg)
	require.NoError(t, pacs.Listen("127.0.0.1:0"))
	t.Cleanup(func() { assert.NoError(t, pacs.Close()) })
	require.NoError(t, pacs.AddStudies(archive()...))
	const d = 5 * time.Second
	a, err := dicomnet.Dial(t.Context(), pacs.Addr(), dicomnet.Config{
		CalledAETitle: "PACS", CallingAETitle: "TEST",
		Timeouts: dicomnet.Timeouts{Connection: d, ACSE: d, DIMSE: d, Move: d, Network: d},
		Contexts: []dicomnet.Context{
			{AbstractSyntax: dicomnet.StudyRoot.Find, TransferSyntaxes: []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian}},
			{AbstractSyntax: dicomnet.PatientRoot.Find, TransferSyntaxes: []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian}},
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, a.Close()) })
	return a
}

// found returns the values of an attribute of the matches that the filter accepts, and how many matches the PACS returned.
func found(
	t *testing.T, a *dicomnet.Association, model dicomnet.Model, level string, keys []match.Key, unique tag.Tag,
) (uids []string, returned int) {
	t.Helper()
	query, err := match.Identifier(level, keys, []match.Path{{unique}, {tag.RequestAttributesSequence}})
	require.NoError(t, err)
	filter := match.NewFilter(keys)
	for m, err := range a.Find(t.Context(), model, query) {
		require.NoError(t, err)
		returned++
		if verdict, _ := filter.Judge(m.Set, nil); verdict == match.Matches {
			uids = append(uids, m.String(unique))
		}
	}
	slices.Sort(uids)
	return uids, returned
}

// TestAPACSReturnsWhatTheFilterAccepts sends keys at each level of both models. One PACS applies them: the filter accepts all that it
// returns. Another ignores them: the filter finds the same among all that it returns.
func TestAPACSReturnsWhatTheFilterAccepts(t *testing.T) {
	t.Parallel()
	key1 := func(of tag.Tag, values ...string) []match.Key { return []match.Key{key(t, of, values...)} }
	inItem := func(of tag.Tag, value string) match.Key { return pathKey(t, value, tag.RequestAttributesSequence, of) }
	study := key(t, tag.StudyInstanceUID, "1.2.1")
	for _, c := range []struct {
		name    string
		level   string
		patient string      // of all that is wanted
		above   []match.Key // unique keys
		keys    []match.Key
		want    []string // the UIDs, modalities or numbers of the matches
		of      tag.Tag
	}{
		{"a Patient ID", "STUDY", "P1", nil, key1(tag.PatientID, "P1"), []string{"1.2.1", "1.2.2"}, tag.StudyInstanceUID},
		{"a name", "STUDY", "P1", nil, key1(tag.PatientName, "Müller*"), []string{"1.2.1", "1.2.2"}, tag.StudyInstanceUID},
		{"an ideographic name", "STUDY", "P2", nil, key1(tag.PatientName, "*=山田*"), []string{"1.2.3"}, tag.StudyInstanceUID},
		{"a range of dates", "STUDY", "P1", nil, key1(tag.StudyDate, "20240101-20240131"), []string{"1.2.1"}, tag.StudyInstanceUID},
		{"an open range of times", "STUDY", "P1", nil, key1(tag.StudyTime, "1000-"), []string{"1.2.1", "1.2.2"}, tag.StudyInstanceUID},
		{"a list of UIDs", "STUDY", "P1", nil, key1(tag.StudyInstanceUID, "1.2.2", "1.2.4"), []string{"1.2.2"}, tag.StudyInstanceUID},
		{"a wildcard", "STUDY", "P2", nil, key1(tag.AccessionNumber, "?3"), []string{"1.2.3"}, tag.StudyInstanceUID},
		{"a modality", "SERIES", "P1", []match.Key{study}, key1(tag.Modality, "CT"), []string{"CT"}, tag.Modality},
		{
			"attributes in one item", "SERIES", "P1",
			[]match.Key{study},
			[]match.Key{inItem(tag.ScheduledProcedureStepID, "S2"), inItem(tag.RequestedProcedureID, "R2")},
			[]string{"SR"},
			tag.Modality,
		},
		{
			"attributes of two items", "SERIES", "P1",
			[]match.Key{study},
			[]match.Key{inItem(tag.ScheduledProcedureStepID, "S2"), inItem(tag.RequestedProcedureID, "R9")},
			nil, tag.Modality,
		},
		{
			"a number", "IMAGE", "P1",
			[]match.Key{study, key(t, tag.SeriesInstanceUID, archive()[0].Instances()[0].Text(tag.SeriesInstanceUID))},
			key1(tag.InstanceNumber, "2"),
			[]string{"2"},
			tag.InstanceNumber,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var ignored []tag.Tag
			for _, k := range c.keys {
				ignored = append(ignored, k.Path[0])
			}
			right := connect(t, dicomtest.PACSConfig{})
			careless := connect(t, dicomtest.PACSConfig{IgnoreKeys: ignored})
			for _, model := range []dicomnet.Model{dicomnet.StudyRoot, dicomnet.PatientRoot} {
				keys := slices.Concat(c.keys, c.above)
				if model == dicomnet.PatientRoot && c.name != "a Patient ID" {
					keys = append(keys, key(t, tag.PatientID, c.patient))
				}
				got, returned := found(t, right, model, c.level, keys, c.of)
				assert.Equal(t, c.want, got)
				assert.Len(t, got, returned, "the filter accepts all")
				got, returned = found(t, careless, model, c.level, keys, c.of)
				assert.Equal(t, c.want, got)
				if model == dicomnet.StudyRoot {
					assert.Greater(t, returned, len(got), "the PACS ignores the keys")
				}
			}
		})
	}
}
