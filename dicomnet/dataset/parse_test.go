package dataset_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

// TestParseGoldenIdentifiers parses the same identifier in three transfer syntaxes, written out
// byte by byte (PS3.5 section 7.1 and annex A).
func TestParseGoldenIdentifiers(t *testing.T) {
	t.Parallel()
	for ts, b := range map[dataset.TransferSyntax]string{
		dataset.ImplicitVRLittleEndian: "" +
			"\x08\x00\x05\x00" + "\x0a\x00\x00\x00" + "ISO_IR 100" + // Specific Character Set
			"\x08\x00\x52\x00" + "\x06\x00\x00\x00" + "STUDY " + // Query/Retrieve Level
			"\x10\x00\x10\x00" + "\x08\x00\x00\x00" + "M\xfcller^A" + // Patient's Name
			"\x20\x00\x0d\x00" + "\x08\x00\x00\x00" + "1.2.840\x00" + // Study Instance UID
			"\x20\x00\x08\x12" + "\x02\x00\x00\x00" + "42" + // Number of Study Related Instances
			"\x28\x00\x10\x00" + "\x02\x00\x00\x00" + "\x00\x02", // Rows
		dataset.ExplicitVRLittleEndian: "" +
			"\x08\x00\x05\x00" + "CS" + "\x0a\x00" + "ISO_IR 100" +
			"\x08\x00\x52\x00" + "CS" + "\x06\x00" + "STUDY " +
			"\x10\x00\x10\x00" + "PN" + "\x08\x00" + "M\xfcller^A" +
			"\x20\x00\x0d\x00" + "UI" + "\x08\x00" + "1.2.840\x00" +
			"\x20\x00\x08\x12" + "IS" + "\x02\x00" + "42" +
			"\x28\x00\x10\x00" + "US" + "\x02\x00" + "\x00\x02",
		dataset.ExplicitVRBigEndian: "" +
			"\x00\x08\x00\x05" + "CS" + "\x00\x0a" + "ISO_IR 100" +
			"\x00\x08\x00\x52" + "CS" + "\x00\x06" + "STUDY " +
			"\x00\x10\x00\x10" + "PN" + "\x00\x08" + "M\xfcller^A" +
			"\x00\x20\x00\x0d" + "UI" + "\x00\x08" + "1.2.840\x00" +
			"\x00\x20\x12\x08" + "IS" + "\x00\x02" + "42" +
			"\x00\x28\x00\x10" + "US" + "\x00\x02" + "\x02\x00",
	} {
		t.Run(string(ts), func(t *testing.T) {
			t.Parallel()
			set, err := dataset.Parse([]byte(b), ts, dataset.Limits{})
			require.NoError(t, err)
			assert.Equal(t, 6, set.Len())
			assert.Equal(t, ts, set.TransferSyntax())
			assert.Equal(t, "STUDY", set.String(tag.QueryRetrieveLevel))
			assert.Equal(t, "Müller^A", set.String(tag.PatientName))
			assert.Equal(t, "1.2.840", set.String(tag.StudyInstanceUID))
			count, ok := set.Int(tag.NumberOfStudyRelatedInstances)
			assert.True(t, ok)
			assert.Equal(t, int64(42), count)
			rows, ok := set.Uint16(tag.Rows)
			assert.True(t, ok)
			assert.Equal(t, uint16(512), rows)
			assert.Equal(t, "512", set.String(tag.Rows))
			assert.Zero(t, set.Warnings())
			assert.Equal(t, []tag.Tag{
				tag.SpecificCharacterSet, tag.QueryRetrieveLevel, tag.PatientName, tag.StudyInstanceUID,
				tag.NumberOfStudyRelatedInstances, tag.Rows,
			}, slices.Collect(set.Tags()))
			for range set.Tags() {
				break
			}
		})
	}
}

func TestParseRejectsUnknownTransferSyntaxes(t *testing.T) {
	t.Parallel()
	_, err := dataset.Parse(nil, "1.2.840.10008.1.2.1.99", dataset.Limits{})
	var unsupported *dataset.TransferSyntaxError
	require.ErrorAs(t, err, &unsupported)
	assert.EqualError(t, err, `transfer syntax "1.2.840.10008.1.2.1.99" is not supported`)
}

func TestParseAcceptsHarmlessDeviations(t *testing.T) {
	t.Parallel()
	id, name := element(tag.PatientID, "P1"), element(tag.PatientName, "A^B ")
	for what, b := range map[string]string{
		"no deviation":                     id + name,
		"group lengths":                    element(tag.Tag{Group: 8}, "\x04\x00\x00\x00") + id + element(tag.Tag{Group: 0x10}, "\x00\x00\x00\x00") + name,
		"elements out of order":            name + id,
		"an element twice":                 id + name + element(tag.PatientID, "P2"),
		"an element twice in a row":        id + element(tag.PatientID, "P2") + name,
		"trailing zeros":                   id + name + strings.Repeat("\x00", 21),
		"trailing zeros, fewer than a tag": id + name + "\x00\x00\x00",
		"stray delimiters":                 itemEnd + id + sequenceEnd + name + itemEnd,
		"an empty element":                 id + name + element(tag.StudyDate, ""),
		"a delimiter with a length":        id + "\xfe\xff\x0d\xe0\x02\x00\x00\x00" + name,
		"a NUL instead of a space":         element(tag.PatientID, "P1") + element(tag.PatientName, "A^B\x00"),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			set := parse(t, b)
			assert.Equal(t, "P1", set.String(tag.PatientID))
			assert.Equal(t, "A^B", set.String(tag.PatientName))
			assert.False(t, set.Has(tag.Tag{Group: 8}), "group length")
			assert.Zero(t, set.Warnings())
		})
	}
}

func TestParseOfZerosGivesAnEmptySet(t *testing.T) {
	t.Parallel()
	for _, b := range []string{"", "\x00\x00", strings.Repeat("\x00", 64)} {
		for _, ts := range []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian, dataset.ExplicitVRBigEndian} {
			set, err := dataset.Parse([]byte(b), ts, dataset.Limits{})
			require.NoError(t, err)
			assert.Zero(t, set.Len())
			assert.Empty(t, set.String(tag.PatientID))
			assert.Nil(t, set.Strings(tag.PatientID))
			assert.Nil(t, set.Items(tag.PatientID))
			_, ok := set.Bytes(tag.PatientID)
			assert.False(t, ok)
			_, ok = set.Int(tag.Rows)
			assert.False(t, ok)
			assert.Zero(t, set.Warnings())
		}
	}
}

func TestParseDetectsTheOtherLittleEndianTransferSyntax(t *testing.T) {
	t.Parallel()
	implicit := element(tag.SpecificCharacterSet, "ISO_IR 100") + element(tag.PatientID, "P1")
	explicitVR := explicit(tag.SpecificCharacterSet, "CS", "ISO_IR 100") + explicit(tag.PatientID, "LO", "P1")
	for what, v := range map[string]struct {
		b                  string
		negotiated, really dataset.TransferSyntax
	}{
		"implicit for explicit":                 {implicit, dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian},
		"explicit for implicit":                 {explicitVR, dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian},
		"explicit for implicit, sequence first": {explicitUndefined(tag.ProcedureCodeSequence, "SQ", sequenceEnd) + explicitVR, dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian},
		// The first length, 5343H, is plausible in implicit VR as well. Only parsing the whole set
		// shows the error.
		"explicit for implicit, empty element first": {
			explicit(tag.SpecificCharacterSet, "CS", "") + explicitVR[18:] + explicit(tag.ImageComments, "UT", strings.Repeat("x", 0x6000)),
			dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian,
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			set, err := dataset.Parse([]byte(v.b), v.negotiated, dataset.Limits{})
			require.NoError(t, err)
			assert.Equal(t, "P1", set.String(tag.PatientID))
			assert.Equal(t, v.really, set.TransferSyntax())
			assert.Equal(t, dataset.TransferSyntaxAssumed, set.Warnings())
		})
	}
	for what, b := range map[string]string{
		"neither":                  "\x10\x00\x20\x00??\xff\x7f12345678",
		"neither, long form":       "\x42\x00\x11\x00OB\x00\x00\xff\x00\x00\x00ab",
		"less than a header":       "\x10\x00\x20\x00",
		"neither, letters of a VR": "\x10\x00\x20\x00LO\xff\x7f12345678",
	} {
		_, err := dataset.Parse([]byte(b), dataset.ExplicitVRLittleEndian, dataset.Limits{})
		require.Error(t, err, what)
		_, err = dataset.Parse([]byte(b), dataset.ImplicitVRLittleEndian, dataset.Limits{})
		require.Error(t, err, what)
	}
}

func TestParseEnforcesLimits(t *testing.T) {
	t.Parallel()
	lim := dataset.Limits{MaxDepth: 1, MaxElements: 4}
	id := element(tag.PatientID, "P1")
	for what, b := range map[string]string{
		"elements":                strings.Repeat(id, 5),
		"group lengths count":     strings.Repeat(element(tag.Tag{Group: 8}, "\x01\x00"), 5),
		"items count":             element(tag.ProcedureCodeSequence, strings.Repeat(item(""), 4)),
		"elements of items count": element(tag.ProcedureCodeSequence, item(strings.Repeat(id, 3))),
		"items of sequences of undefined length count": undefinedSequence(tag.ProcedureCodeSequence, strings.Repeat(item(""), 4)),
	} {
		_, err := dataset.Parse([]byte(b), dataset.ImplicitVRLittleEndian, lim)
		require.EqualError(t, err, "data set exceeds the limit of 4 elements", what)
	}
	_, err := dataset.Parse([]byte(strings.Repeat(id, 4)), dataset.ImplicitVRLittleEndian, lim)
	require.NoError(t, err)
	_, err = dataset.Parse([]byte(element(privateSequence, item(element(privateSequence, item(""))))), dataset.ImplicitVRLittleEndian, lim)
	require.EqualError(t, err, "data set exceeds the limit of 1 levels")
}
