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

var (
	privateSequence = tag.Tag{Group: 0x0009, Element: 0x1001}
	privateText     = tag.Tag{Group: 0x0009, Element: 0x1002}
	itemTag         = tag.Tag{Group: 0xfffe, Element: 0xe000}
)

const (
	undefinedItem = "\xfe\xff\x00\xe0\xff\xff\xff\xff"
	itemEnd       = "\xfe\xff\x0d\xe0\x00\x00\x00\x00"
	sequenceEnd   = "\xfe\xff\xdd\xe0\x00\x00\x00\x00"
)

// undefinedSequence is a sequence of undefined length in implicit VR.
func undefinedSequence(t tag.Tag, content string) string {
	return element(t, "")[:4] + "\xff\xff\xff\xff" + content + sequenceEnd
}

func explicit(t tag.Tag, vr, value string) string {
	head := element(t, value)
	switch vr {
	case "OB", "OW", "OF", "SQ", "UN", "UT", "UC", "UR", "SV", "UV":
		return head[:4] + vr + "\x00\x00" + head[4:]
	}
	return head[:4] + vr + head[4:6] + value
}

func explicitUndefined(t tag.Tag, vr, content string) string {
	return element(t, "")[:4] + vr + "\x00\x00\xff\xff\xff\xff" + content
}

func parseExplicit(t *testing.T, elements ...string) *dataset.Set {
	t.Helper()
	set, err := dataset.Parse([]byte(strings.Join(elements, "")), dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	return set
}

// The same identifier in the three transfer syntaxes, byte for byte (PS3.5 section 7.1 and annex A).
func TestParseGolden(t *testing.T) {
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

func TestParseUnknownTransferSyntax(t *testing.T) {
	t.Parallel()
	_, err := dataset.Parse(nil, "1.2.840.10008.1.2.1.99", dataset.Limits{})
	var unsupported *dataset.TransferSyntaxError
	require.ErrorAs(t, err, &unsupported)
	assert.EqualError(t, err, `transfer syntax "1.2.840.10008.1.2.1.99" is not supported`)
}

func TestParseTolerates(t *testing.T) {
	t.Parallel()
	id, name := element(tag.PatientID, "P1"), element(tag.PatientName, "A^B ")
	for what, b := range map[string]string{
		"nothing":                  id + name,
		"group lengths":            element(tag.Tag{Group: 8}, "\x04\x00\x00\x00") + id + element(tag.Tag{Group: 0x10}, "\x00\x00\x00\x00") + name,
		"elements out of order":    name + id,
		"an element twice":         id + name + element(tag.PatientID, "P2"),
		"one twice in a row":       id + element(tag.PatientID, "P2") + name,
		"zeros behind it":          id + name + strings.Repeat("\x00", 21),
		"zeros, less than a tag":   id + name + "\x00\x00\x00",
		"stray delimiters":         itemEnd + id + sequenceEnd + name + itemEnd,
		"an empty element":         id + name + element(tag.StudyDate, ""),
		"a delimiter with length":  id + "\xfe\xff\x0d\xe0\x02\x00\x00\x00" + name,
		"a NUL instead of a space": element(tag.PatientID, "P1") + element(tag.PatientName, "A^B\x00"),
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

func TestParseEmpty(t *testing.T) {
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

func TestSequences(t *testing.T) {
	t.Parallel()
	one, two := element(tag.CodeValue, "1 "), element(tag.CodeValue, "2 ")
	code := tag.ProcedureCodeSequence
	for what, b := range map[string]string{
		"defined, items defined":                    element(code, item(one)+item(two)),
		"defined, items undefined":                  element(code, undefinedItem+one+itemEnd+undefinedItem+two+itemEnd),
		"undefined, items defined":                  undefinedSequence(code, item(one)+item(two)),
		"undefined, items undefined":                undefinedSequence(code, undefinedItem+one+itemEnd+undefinedItem+two+itemEnd),
		"delimiters behind items of defined length": undefinedSequence(code, item(one)+itemEnd+item(two)+itemEnd),
		"stray delimiters inside":                   element(code, sequenceEnd+item(itemEnd+one)+itemEnd+item(two+sequenceEnd)),
		"the last item lacks its delimiter":         undefinedSequence(code, item(one)+undefinedItem+two),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			set := parse(t, b, element(tag.PatientID, "P1"))
			items := set.Items(code)
			require.Len(t, items, 2)
			assert.Equal(t, "1", items[0].String(tag.CodeValue))
			assert.Equal(t, "2", items[1].String(tag.CodeValue))
			assert.Equal(t, "P1", set.String(tag.PatientID))
			assert.Zero(t, set.Warnings())
		})
	}
}

func TestSequencesNested(t *testing.T) {
	t.Parallel()
	b := element(tag.CodeValue, "1 ")
	for range 8 {
		b = undefinedSequence(privateSequence, undefinedItem+b+itemEnd)
	}
	set := parse(t, b)
	for range 8 {
		items := set.Items(privateSequence)
		require.Len(t, items, 1)
		set = items[0]
	}
	assert.Equal(t, "1", set.String(tag.CodeValue))

	_, err := dataset.Parse([]byte(undefinedSequence(privateSequence, undefinedItem+b+itemEnd)), dataset.ImplicitVRLittleEndian, dataset.Limits{})
	var limit *dataset.LimitError
	require.ErrorAs(t, err, &limit)
	assert.Equal(t, &dataset.LimitError{What: "depth", Limit: 8}, limit)
}

func TestSequencesEmpty(t *testing.T) {
	t.Parallel()
	set := parse(t, element(tag.ProcedureCodeSequence, ""), undefinedSequence(privateSequence, ""))
	assert.True(t, set.Has(tag.ProcedureCodeSequence))
	assert.Nil(t, set.Items(tag.ProcedureCodeSequence))
	assert.Nil(t, set.Items(privateSequence))
	b, ok := set.Bytes(privateSequence)
	assert.True(t, ok)
	assert.Empty(t, b)
	assert.Zero(t, set.Warnings())
}

// CP-246 and PS3.5 section 6.2.2: the content of UN is implicit VR little endian, whatever is around it.
func TestUNSequence(t *testing.T) {
	t.Parallel()
	content := undefinedItem + element(tag.CodeValue, "1 ") + itemEnd
	for what, b := range map[string]string{
		"private, undefined length":        explicitUndefined(privateSequence, "UN", content+sequenceEnd),
		"private, defined length":          explicit(privateSequence, "UN", content),
		"nested":                           explicitUndefined(privateSequence, "UN", undefinedItem+undefinedSequence(privateSequence, content)+element(tag.CodeValue, "1 ")+itemEnd+sequenceEnd),
		"SQ explicit":                      explicit(privateSequence, "SQ", item(explicit(tag.CodeValue, "SH", "1 "))),
		"SQ explicit, undefined":           explicitUndefined(privateSequence, "SQ", item(explicit(tag.CodeValue, "SH", "1 "))+sequenceEnd),
		"a VR that the standard lacks":     explicitUndefined(privateSequence, "XQ", item(explicit(tag.CodeValue, "SH", "1 "))+sequenceEnd),
		"a VR that the standard lacks too": element(privateSequence, "")[:4] + "XQ\x00\x00\x16\x00\x00\x00" + item(explicit(tag.CodeValue, "SH", "\x31     ")),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			set := parseExplicit(t, b, explicit(tag.PatientID, "LO", "P1"))
			items := set.Items(privateSequence)
			require.Len(t, items, 1)
			assert.Equal(t, "1", items[0].String(tag.CodeValue))
			assert.Equal(t, "P1", set.String(tag.PatientID))
			assert.Zero(t, set.Warnings())
		})
	}
}

// UN where the dictionary knows better: binary values are little endian also in a big endian set.
func TestUNOfKnownTag(t *testing.T) {
	t.Parallel()
	set, err := dataset.Parse([]byte(
		"\x00\x10\x00\x10UN\x00\x00\x00\x00\x00\x04A^B "+
			"\x00\x28\x00\x10UN\x00\x00\x00\x00\x00\x02\x00\x02"+
			"\x00\x28\x00\x11US\x00\x02\x02\x00"), dataset.ExplicitVRBigEndian, dataset.Limits{})
	require.NoError(t, err)
	assert.Equal(t, "A^B", set.String(tag.PatientName))
	rows, _ := set.Uint16(tag.Rows)
	columns, _ := set.Uint16(tag.Columns)
	assert.Equal(t, []uint16{512, 512}, []uint16{rows, columns})
}

func TestFragments(t *testing.T) {
	t.Parallel()
	content := item("") + item("\xff\xd8\xff\xd9")
	set := parseExplicit(t, explicitUndefined(tag.PixelData, "OB", content+sequenceEnd), explicit(tag.Tag{Group: 0xfffc, Element: 0xfffc}, "OB", "\x00\x00"))
	b, ok := set.Bytes(tag.PixelData)
	assert.True(t, ok)
	assert.Equal(t, content, string(b))
	assert.Nil(t, set.Items(tag.PixelData), "fragments are no data sets")
	assert.Equal(t, dataset.ValueMalformed, set.Warnings())
}

// A malformed value costs itself, not what is around it.
func TestMalformedValues(t *testing.T) {
	t.Parallel()
	id := element(tag.PatientID, "P1")
	for what, b := range map[string]string{
		"US of one byte":              element(tag.Rows, "\x01"),
		"US of three bytes":           element(tag.Rows, "\x01\x00\x02"),
		"text of odd length":          element(tag.StudyID, "123"),
		"UID of 65 characters":        element(tag.StudyInstanceUID, strings.Repeat("1", 65)+"\x00"),
		"LO of 66 characters":         element(tag.StudyDescription, strings.Repeat("x", 66)),
		"PN with a group too long":    element(tag.PatientName, "A=B="+strings.Repeat("x", 66)),
		"letters in a UID":            element(tag.StudyInstanceUID, "1.2.x\x00"),
		"letters in a date":           element(tag.StudyDate, "15MAR024"),
		"letters in a time":           element(tag.StudyTime, "10 o'clock"),
		"letters in IS":               element(tag.NumberOfStudyRelatedInstances, "many"),
		"IS that is no integer":       element(tag.NumberOfStudyRelatedInstances, "1.5 "),
		"an item outside a sequence":  element(itemTag, "\x01\x02"),
		"a sequence without items":    element(tag.ProcedureCodeSequence, "\x08\x00\x00\x01\x02\x00\x00\x00ab"),
		"a sequence of odd things":    element(tag.ProcedureCodeSequence, item("")+id),
		"a sequence cut off":          element(tag.ProcedureCodeSequence, item(id)[:14]),
		"an item cut off":             element(tag.ProcedureCodeSequence, item("")+"\xfe\xff\x00\xe0"),
		"an item broken inside":       element(tag.ProcedureCodeSequence, item("\x10\x00\x10\x00\xff\x00\x00\x00")),
		"an item without an end":      element(tag.ProcedureCodeSequence, undefinedItem+id),
		"an undefined one, item bad":  undefinedSequence(tag.ProcedureCodeSequence, item("\x10\x00\x10\x00\xff\x00\x00\x00")),
		"a sequence that is no such":  element(tag.ProcedureCodeSequence, "gibberish!"),
		"a control character in text": element(tag.StudyDescription, "a\x01"),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			set := parse(t, b, element(tag.Columns, "\x07\x00"), element(tag.Tag{Group: 0x7fff, Element: 0x1000}, "P1"))
			for n := range set.Tags() {
				_ = set.Strings(n)
				_, _ = set.Int(n)
			}
			set.Items(tag.ProcedureCodeSequence)
			columns, ok := set.Uint16(tag.Columns)
			assert.True(t, ok)
			assert.Equal(t, uint16(7), columns)
			assert.Equal(t, dataset.ValueMalformed, set.Warnings())
		})
	}
}

func TestMalformedValuesAreGivenAsTheyAre(t *testing.T) {
	t.Parallel()
	uid := strings.Repeat("1", 65)
	set := parse(t,
		element(tag.StudyDate, "2024-03-15"), element(tag.StudyInstanceUID, uid+"\x00"), element(tag.StudyID, "123"),
		element(tag.Rows, "\x01\x00\x02"), element(tag.Columns, "\x01"))
	assert.Equal(t, uid, set.String(tag.StudyInstanceUID))
	assert.Equal(t, "2024-03-15", set.String(tag.StudyDate))
	assert.Equal(t, "123", set.String(tag.StudyID))
	rows, ok := set.Uint16(tag.Rows)
	assert.True(t, ok, "the first value is whole")
	assert.Equal(t, uint16(1), rows)
	assert.Equal(t, []string{"1"}, set.Strings(tag.Rows))
	_, ok = set.Uint16(tag.Columns)
	assert.False(t, ok)
	assert.Empty(t, set.String(tag.Columns))
}

func TestItemsBeforeAFault(t *testing.T) {
	t.Parallel()
	set := parse(t, element(tag.ProcedureCodeSequence, item(element(tag.CodeValue, "1 "))+element(tag.CodeValue, "2 ")), element(tag.PatientID, "P1"))
	items := set.Items(tag.ProcedureCodeSequence)
	require.Len(t, items, 1)
	assert.Equal(t, "1", items[0].String(tag.CodeValue))
	assert.Equal(t, dataset.ValueMalformed, items[0].Warnings(), "an item speaks for the whole")
}

// What has no end inside an item of defined length is not there, and what stood before it is.
func TestItemThatEndsInside(t *testing.T) {
	t.Parallel()
	set := parse(t, element(tag.ProcedureCodeSequence, item(element(tag.CodeValue, "1 ")+element(privateSequence, "")[:4]+"\xff\xff\xff\xff")))
	items := set.Items(tag.ProcedureCodeSequence)
	require.Len(t, items, 1)
	assert.Equal(t, "1", items[0].String(tag.CodeValue))
	assert.Equal(t, 1, items[0].Len())
	assert.Equal(t, dataset.ValueMalformed, set.Warnings())
}

func TestBrokenStructure(t *testing.T) {
	t.Parallel()
	id := element(tag.PatientID, "P1")
	for what, v := range map[string]struct {
		b      string
		offset int
		reason string
	}{
		"a header cut off":          {id + "\x10\x00\x10", 10, "an element is cut off"},
		"a value cut off":           {id + element(tag.PatientName, "A^B ")[:10], 10, "a value is longer than what is left"},
		"4 GiB claimed":             {id + "\x10\x00\x10\x00\xfe\xff\xff\xff", 10, "a value is longer than what is left"},
		"no end of a sequence":      {id + "\x40\x00\x75\x02\xff\xff\xff\xff" + item(""), 26, "a sequence of undefined length does not end"},
		"no end of an item":         {id + "\x40\x00\x75\x02\xff\xff\xff\xff" + undefinedItem + id, 36, "an item of undefined length does not end"},
		"no items":                  {id + undefinedSequence(tag.ProcedureCodeSequence, id), 18, "a sequence holds something else than items"},
		"an item of undefined":      {id + undefinedItem + itemEnd, 18, "an item outside a sequence has an undefined length"},
		"an item too long":          {id + undefinedSequence(tag.ProcedureCodeSequence, "\xfe\xff\x00\xe0\x40\x00\x00\x00"), 26, "an item is longer than what is left"},
		"a sequence's item cut off": {id + "\x40\x00\x75\x02\xff\xff\xff\xff\xfe\xff", 18, "an item is cut off"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, err := dataset.Parse([]byte(v.b), dataset.ImplicitVRLittleEndian, dataset.Limits{})
			var broken *dataset.FormatError
			require.ErrorAs(t, err, &broken)
			assert.Equal(t, dataset.FormatError{Offset: v.offset, Reason: v.reason}, *broken)
			assert.NotContains(t, err.Error(), "P1")
		})
	}
	_, err := dataset.Parse([]byte(explicit(tag.PatientID, "LO", "P1")+"\x42\x00\x11\x00OB\x00\x00\x02\x00"), dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.EqualError(t, err, "data set broken at offset 10: an element is cut off")
	_, err = dataset.Parse([]byte(explicitUndefined(tag.PixelData, "OB", undefinedItem+itemEnd+sequenceEnd)), dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.EqualError(t, err, "data set broken at offset 20: an item is longer than what is left")
}

// PS3.5 section 7.1.2: new VRs have the long form; what else stands for a VR cannot be one.
func TestUnknownVR(t *testing.T) {
	t.Parallel()
	set := parseExplicit(t,
		element(tag.PatientName, "")[:4]+"XX\x00\x00\x04\x00\x00\x00A^B ",
		element(tag.PatientID, "")[:4]+"YY\x02\x00P1",
		explicit(tag.PatientSex, "CS", "F "))
	assert.Equal(t, "A^B", set.String(tag.PatientName))
	assert.Equal(t, "P1", set.String(tag.PatientID))
	assert.Equal(t, "F", set.String(tag.PatientSex))
	assert.Zero(t, set.Warnings())

	set = parseExplicit(t,
		explicit(tag.PatientName, "PN", "A^B "), element(tag.PatientID, "P1"), element(tag.Rows, "\x00\x02"),
		explicit(tag.Columns, "US", "\x00\x02"))
	assert.Equal(t, "P1", set.String(tag.PatientID), "an element of implicit VR among explicit ones")
	rows, _ := set.Uint16(tag.Rows)
	assert.Equal(t, uint16(512), rows)
	assert.True(t, set.Has(tag.Columns))
	assert.Equal(t, dataset.ValueMalformed, set.Warnings())
}

func TestOtherTransferSyntaxThanNegotiated(t *testing.T) {
	t.Parallel()
	implicit := element(tag.SpecificCharacterSet, "ISO_IR 100") + element(tag.PatientID, "P1")
	explicitVR := explicit(tag.SpecificCharacterSet, "CS", "ISO_IR 100") + explicit(tag.PatientID, "LO", "P1")
	for what, v := range map[string]struct {
		b                  string
		negotiated, really dataset.TransferSyntax
	}{
		"implicit for explicit":    {implicit, dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian},
		"explicit for implicit":    {explicitVR, dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian},
		"explicit, long, sequence": {explicitUndefined(tag.ProcedureCodeSequence, "SQ", sequenceEnd) + explicitVR, dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian},
		// The first length is plausible in implicit VR as well, 5343H: only the walk tells.
		"explicit, first element empty": {
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
		"neither":                 "\x10\x00\x20\x00??\xff\x7f12345678",
		"neither, long form":      "\x42\x00\x11\x00OB\x00\x00\xff\x00\x00\x00ab",
		"less than a header":      "\x10\x00\x20\x00",
		"neither, though letters": "\x10\x00\x20\x00LO\xff\x7f12345678",
	} {
		_, err := dataset.Parse([]byte(b), dataset.ExplicitVRLittleEndian, dataset.Limits{})
		require.Error(t, err, what)
		_, err = dataset.Parse([]byte(b), dataset.ImplicitVRLittleEndian, dataset.Limits{})
		require.Error(t, err, what)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	lim := dataset.Limits{MaxDepth: 1, MaxElements: 4}
	id := element(tag.PatientID, "P1")
	for what, b := range map[string]string{
		"elements":                 strings.Repeat(id, 5),
		"group lengths count":      strings.Repeat(element(tag.Tag{Group: 8}, "\x01\x00"), 5),
		"items count":              element(tag.ProcedureCodeSequence, strings.Repeat(item(""), 4)),
		"elements of items count":  element(tag.ProcedureCodeSequence, item(strings.Repeat(id, 3))),
		"in sequences without end": undefinedSequence(tag.ProcedureCodeSequence, strings.Repeat(item(""), 4)),
	} {
		_, err := dataset.Parse([]byte(b), dataset.ImplicitVRLittleEndian, lim)
		require.EqualError(t, err, "data set exceeds the limit of 4 elements", what)
	}
	_, err := dataset.Parse([]byte(strings.Repeat(id, 4)), dataset.ImplicitVRLittleEndian, lim)
	require.NoError(t, err)
	_, err = dataset.Parse([]byte(element(privateSequence, item(element(privateSequence, item(""))))), dataset.ImplicitVRLittleEndian, lim)
	require.EqualError(t, err, "data set exceeds the limit of 1 depth")
}

func TestBytesAliasTheBuffer(t *testing.T) {
	t.Parallel()
	b := []byte(element(tag.PatientID, "P1"))
	set, err := dataset.Parse(b, dataset.ImplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	value, _ := set.Bytes(tag.PatientID)
	b[9] = '2'
	assert.Equal(t, "P2", string(value))
	assert.Equal(t, 2, cap(value), "appending does not overwrite what follows")
}
