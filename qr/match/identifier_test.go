package match_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr/match"
)

var (
	privateCreator = tag.Tag{Group: 0x0009, Element: 0x0010}
	privateText    = tag.Tag{Group: 0x0009, Element: 0x1001}
)

// sent encodes an identifier and parses it as a PACS does.
func sent(t *testing.T, level string, keys []match.Key, include ...match.Path) *dataset.Set {
	t.Helper()
	ds, err := match.Identifier(level, keys, include)
	require.NoError(t, err)
	b, err := dataset.Encode(ds, dataset.ExplicitVRLittleEndian)
	require.NoError(t, err)
	return parse(t, b)
}

func TestIdentifierOfAnyLevel(t *testing.T) {
	t.Parallel()
	set := sent(t, "SERIES",
		[]match.Key{
			key(t, tag.StudyInstanceUID, "1.2", "1.3"), key(t, tag.Modality, "C?"), key(t, tag.StudyDate, "20240101 - 20240131"),
			key(t, tag.PatientName, "Müller*"), key(t, tag.SeriesNumber), key(t, tag.ModalitiesInStudy, "CT", "MR"),
		},
		match.Path{tag.Rows}, match.Path{tag.SeriesNumber}, match.Path{tag.Modality}, match.Path{tag.QueryRetrieveLevel},
		match.Path{tag.SpecificCharacterSet})
	assert.Equal(t, "SERIES", set.String(tag.QueryRetrieveLevel))
	assert.Equal(t, "ISO_IR 192", set.String(tag.SpecificCharacterSet))
	assert.Equal(t, []string{"1.2", "1.3"}, set.Strings(tag.StudyInstanceUID))
	assert.Equal(t, "C?", set.String(tag.Modality))
	assert.Equal(t, "20240101-20240131", set.String(tag.StudyDate))
	assert.Equal(t, "Müller*", set.String(tag.PatientName))
	for _, universal := range []tag.Tag{tag.SeriesNumber, tag.Rows, tag.ModalitiesInStudy} {
		b, ok := set.Bytes(universal)
		assert.True(t, ok, universal)
		assert.Empty(t, b, universal)
	}
	assert.Equal(t, 9, set.Len())
}

func TestIdentifierWithSequences(t *testing.T) {
	t.Parallel()
	sequence := tag.RequestAttributesSequence
	set := sent(t, "SERIES",
		[]match.Key{
			pathKey(t, "S1", sequence, tag.ScheduledProcedureStepID),
			pathKey(t, "T-1", sequence, tag.RequestedProcedureCodeSequence, tag.CodeValue),
		},
		match.Path{sequence}, match.Path{sequence, tag.RequestedProcedureID}, match.Path{tag.ProcedureCodeSequence})
	items := set.Items(sequence)
	require.Len(t, items, 1)
	assert.Equal(t, "S1", items[0].String(tag.ScheduledProcedureStepID))
	assert.True(t, items[0].Has(tag.RequestedProcedureID))
	require.Len(t, items[0].Items(tag.RequestedProcedureCodeSequence), 1)
	assert.Equal(t, "T-1", items[0].Items(tag.RequestedProcedureCodeSequence)[0].String(tag.CodeValue))
	assert.True(t, set.Has(tag.ProcedureCodeSequence))
	assert.Empty(t, set.Items(tag.ProcedureCodeSequence))
}

func TestIdentifierSendsWhatAPACSMayMatch(t *testing.T) {
	t.Parallel()
	empty, err := match.NewEmptyKey(match.Path{tag.StudyDescription}, "")
	require.NoError(t, err)
	combined := match.CombineDateTimes([]match.Key{key(t, tag.StudyDate, "20240101-20240103"), key(t, tag.StudyTime, "1800-2000")})
	set := sent(t, "STUDY", append(combined, empty, key(t, tag.PatientID, "P1").Universal()))
	assert.Equal(t, "20240101-20240103", set.String(tag.StudyDate))
	for _, universal := range []tag.Tag{tag.StudyTime, tag.StudyDescription, tag.PatientID} {
		b, ok := set.Bytes(universal)
		assert.True(t, ok)
		assert.Empty(t, b)
	}
}

func TestPrivateAttributesNeedTheirCreator(t *testing.T) {
	t.Parallel()
	creator := key(t, privateCreator, "ACME")
	set := sent(t, "STUDY", []match.Key{creator}, match.Path{privateText})
	assert.Equal(t, "ACME", set.String(privateCreator))
	assert.True(t, set.Has(privateText))

	private := key(t, privateText, "secret")
	set = sent(t, "STUDY", []match.Key{creator, private})
	b, ok := set.Bytes(privateText)
	assert.True(t, ok)
	assert.Empty(t, b, "the VR is unknown")

	text, err := match.NewKey(match.Path{privateText}, "LO", []string{"x"}, false)
	require.NoError(t, err)
	assert.Equal(t, "x", sent(t, "STUDY", []match.Key{creator, text}).String(privateText))

	nested := match.Path{tag.RequestAttributesSequence, privateText}
	for _, c := range []struct {
		keys    []match.Key
		include []match.Path
		path    string
	}{
		{nil, []match.Path{{privateText}}, "00091001"},
		{[]match.Key{private}, nil, "00091001"},
		{[]match.Key{creator.Universal()}, []match.Path{{privateText}}, "00091001"},
		{[]match.Key{creator}, []match.Path{{tag.Tag{Group: 0x0009, Element: 0x1101}}}, "00091101"},
		{[]match.Key{creator}, []match.Path{nested}, "00400275.00091001"}, // the creator is not in the item
	} {
		_, err := match.Identifier("STUDY", c.keys, c.include)
		var invalid *match.ValueError
		require.ErrorAs(t, err, &invalid)
		assert.Equal(t, c.path, invalid.Path.String())
		assert.Equal(t, "is private and needs its private creator as a key", invalid.Reason)
	}
	inItem := pathKey(t, "ACME", tag.RequestAttributesSequence, privateCreator)
	set = sent(t, "STUDY", []match.Key{inItem}, nested)
	assert.True(t, set.Items(tag.RequestAttributesSequence)[0].Has(privateText))
}

func TestIdentifierRefusesKeysThatContradict(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]match.Key{
		"twice":         {key(t, tag.PatientID, "P1"), key(t, tag.PatientID, "P2")},
		"no path":       {{}},
		"not of the VR": {{Path: match.Path{tag.Rows}, VR: "US", Values: []string{"x"}}},
	} {
		_, err := match.Identifier("STUDY", keys, nil)
		var invalid *match.ValueError
		require.ErrorAs(t, err, &invalid, name)
	}
	_, err := match.Identifier("STUDY", nil, []match.Path{{tag.PatientID, tag.PatientID}})
	assert.Error(t, err)
}
