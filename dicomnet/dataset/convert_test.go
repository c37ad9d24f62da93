package dataset_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

// parseWithLibrary parses with the library's own parser. It adds a Part 10 header, which that
// parser requires.
func parseWithLibrary(t *testing.T, b string, ts dataset.TransferSyntax) []*dicom.Element {
	t.Helper()
	syntax := string(ts)
	if len(syntax)%2 != 0 {
		syntax += "\x00"
	}
	meta := "\x02\x00\x10\x00UI" + string([]byte{byte(len(syntax)), 0}) + syntax
	file := strings.Repeat("\x00", 128) + "DICM" + "\x02\x00\x00\x00UL\x04\x00" + string([]byte{byte(len(meta)), 0, 0, 0}) + meta + b
	p, err := dicom.NewParser(bytes.NewReader([]byte(file)), int64(len(file)), nil, dicom.SkipProcessingPixelDataValue())
	require.NoError(t, err)
	var elements []*dicom.Element
	for {
		e, err := p.Next()
		if err != nil {
			require.ErrorIs(t, err, dicom.ErrorEndOfDICOM)
			return elements
		}
		elements = append(elements, e)
	}
}

func parseAndConvert(t *testing.T, b string, ts dataset.TransferSyntax) []*dicom.Element {
	t.Helper()
	set, err := dataset.Parse([]byte(b), ts, dataset.Limits{})
	require.NoError(t, err)
	ds, err := set.Dataset()
	require.NoError(t, err)
	return ds.Elements
}

// TestDatasetEqualsWhatTheLibraryReads covers the encodings that the library reads correctly.
func TestDatasetEqualsWhatTheLibraryReads(t *testing.T) {
	t.Parallel()
	explicitSet := strings.Join([]string{
		explicit(tag.SpecificCharacterSet, "CS", "ISO_IR 100"),
		explicit(tag.ImageType, "CS", `ORIGINAL\PRIMARY`),
		explicit(tag.SOPInstanceUID, "UI", "1.2.3\x00"),
		explicit(tag.StudyDate, "DA", "20240315"),
		explicit(tag.AccessionNumber, "SH", ""),
		explicitUndefined(tag.ReferencedStudySequence, "SQ", item(explicit(tag.ReferencedSOPInstanceUID, "UI", "1.2 "))+sequenceEnd),
		explicit(tag.ProcedureCodeSequence, "SQ", item(explicit(tag.CodeValue, "SH", "X "))+item("")),
		explicit(tag.PatientName, "PN", "M\xfcller^A"),
		explicit(tag.PatientWeight, "DS", "80.5"),
		explicit(tag.FrameIncrementPointer, "AT", "\x18\x00\x63\x10"),
		explicit(tag.Rows, "US", "\x02\x00\xff\xff"),
		explicit(tag.SmallestImagePixelValue, "SS", "\xfe\xff"),
		explicit(tag.RegionFlags, "UL", "\xff\xff\xff\xff"),
		explicit(tag.ReferencePixelX0, "SL", "\xfe\xff\xff\xff"),
		explicit(tag.SelectorFDValue, "FD", "\x00\x00\x00\x00\x00\x00\xf0\x3f"),
		explicit(tag.SelectorFLValue, "FL", "\x00\x00\x80\x3f\x00\x00\x00\x40"),
		explicit(tag.EncapsulatedDocument, "OB", "\x01\x02"),
		explicit(tag.RedPaletteColorLookupTableData, "OW", "\x01\x02"),
		explicit(tag.Tag{Group: 0x7fdf, Element: 0x1000}, "UN", "\x01\x02"),
		explicit(tag.PixelData, "OW", "\x01\x02\x03\x04"),
	}, "")
	got, want := parseAndConvert(t, explicitSet, dataset.ExplicitVRLittleEndian), parseWithLibrary(t, explicitSet, dataset.ExplicitVRLittleEndian)
	require.NotEmpty(t, want)
	want = want[len(want)-20:]
	slices.SortFunc(want, func(a, b *dicom.Element) int { return a.Tag.Compare(b.Tag) })
	assert.Empty(t, cmp.Diff(comparableElements(want), comparableElements(got)))

	implicitSet := strings.Join([]string{
		element(tag.SpecificCharacterSet, "ISO_IR 144"),
		element(tag.QueryRetrieveLevel, "STUDY "),
		undefinedSequence(tag.ProcedureCodeSequence, undefinedItem+element(tag.CodeMeaning, "\xbb ")+itemEnd),
		element(tag.PatientName, "\xbb\xee\xdace"+"\xdc"),
		element(tag.Rows, "\x00\x02"),
		element(tag.Tag{Group: 0x7fdf, Element: 0x1001}, "\x01\x02"),
	}, "")
	got, want = parseAndConvert(t, implicitSet, dataset.ImplicitVRLittleEndian), parseWithLibrary(t, implicitSet, dataset.ImplicitVRLittleEndian)
	want = want[len(want)-6:]
	assert.Empty(t, cmp.Diff(comparableElements(want), comparableElements(got)))
}

// comparableElement is an element in a form that cmp.Diff can show.
type comparableElement struct {
	Tag, VR string
	Kind    tag.VRKind
	Length  uint32
	Value   any
}

func comparableElements(elements []*dicom.Element) []comparableElement {
	var list []comparableElement
	for _, e := range elements {
		d := comparableElement{e.Tag.String(), e.RawValueRepresentation, e.ValueRepresentation, e.ValueLength, e.Value.GetValue()}
		if items, ok := d.Value.([]*dicom.SequenceItemValue); ok {
			var inner [][]comparableElement
			for _, item := range items {
				inner = append(inner, comparableElements(item.GetValue().([]*dicom.Element))) //nolint:forcetypeassert // the library's own
			}
			d.Value = inner
		}
		list = append(list, d)
	}
	return list
}

func TestDatasetIsSortedAndKeepsTheFirstOfTwoElements(t *testing.T) {
	t.Parallel()
	got := parseAndConvert(t, element(tag.PatientID, "P1")+element(tag.StudyID, "1 ")+element(tag.PatientID, "P2")+element(tag.PatientName, "A "), dataset.ImplicitVRLittleEndian)
	require.Len(t, got, 3)
	assert.Equal(t, []tag.Tag{tag.PatientName, tag.PatientID, tag.StudyID}, []tag.Tag{got[0].Tag, got[1].Tag, got[2].Tag})
	assert.Equal(t, []string{"P1"}, got[1].Value.GetValue())
}

func TestDatasetConvertsBigEndianToLittleEndian(t *testing.T) {
	t.Parallel()
	got := parseAndConvert(t, ""+
		"\x00\x28\x00\x09AT\x00\x04\x00\x18\x10\x63"+
		"\x00\x28\x00\x10US\x00\x02\x02\x00"+
		"\x00\x28\x12\x01OW\x00\x00\x00\x00\x00\x04\x01\x02\x03\x04"+
		"\x00\x42\x00\x11OB\x00\x00\x00\x00\x00\x02\x01\x02"+
		"\x00\x72\x00\x74FD\x00\x08\x3f\xf0\x00\x00\x00\x00\x00\x00"+
		"\x00\x72\x00\x76FL\x00\x04\x3f\x80\x00\x00"+
		"\x00\x72\x00\x82SV\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x07"+
		"\x7f\xdf\x10\x00OF\x00\x00\x00\x00\x00\x04\x3f\x80\x00\x00"+
		"\x7f\xe0\x00\x10OW\x00\x00\x00\x00\x00\x02\x01\x02", dataset.ExplicitVRBigEndian)
	var values []any
	for _, e := range got {
		values = append(values, e.Value.GetValue())
	}
	assert.Equal(t, []any{
		[]int{0x18, 0x1063},
		[]int{512},
		[]byte{2, 1, 4, 3},
		[]byte{1, 2},
		[]float64{1},
		[]float64{1},
		[]byte{7, 0, 0, 0, 0, 0, 0, 0},
		[]byte{0, 0, 0x80, 0x3f},
		dicom.PixelDataInfo{IntentionallyUnprocessed: true, UnprocessedValueData: []byte{2, 1}},
	}, values)
}

func TestDatasetConvertsMalformedAndEmptyValues(t *testing.T) {
	t.Parallel()
	set := parseExplicit(t,
		explicit(tag.Rows, "US", "\x01\x00\x02"),
		explicit(tag.SelectorFLValue, "FL", "\x00\x00\x80\x3f\x00\x00"),
		explicitUndefined(privateSequence, "UN", item(element(tag.CodeValue, "1 "))+sequenceEnd),
		explicit(tag.TextValue, "UT", ""),
		explicit(tag.EncapsulatedDocument, "OB", ""),
		explicitUndefined(tag.PixelData, "OB", item("")+item("\x01\x02")+sequenceEnd),
	)
	ds, err := set.Dataset()
	require.NoError(t, err)
	got := comparableElements(ds.Elements)
	require.Len(t, got, 6)
	assert.Equal(t, []int{1}, got[1].Value)
	assert.Equal(t, dataset.ValueMalformed, set.Warnings())
	for _, d := range got {
		switch d.Tag {
		case "(0009,1001)":
			assert.Equal(t, "SQ", d.VR)
			assert.Len(t, d.Value, 1)
		case "(0040,a160)":
			assert.Equal(t, []string{""}, d.Value, "the library gives an empty element one empty value")
		case "(0042,0011)":
			assert.Equal(t, []byte{}, d.Value)
		case "(7fe0,0010)":
			assert.Equal(t, dicom.PixelDataInfo{IntentionallySkipped: true, IsEncapsulated: true}, d.Value)
		}
	}
}

func TestEncodeOfAParsedSetGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, v := range roundTripVectors {
		t.Run(v.origin, func(t *testing.T) {
			t.Parallel()
			b := element(tag.SpecificCharacterSet, pad(v.characterSet)) + element(v.tag, pad(v.bytes))
			set := parse(t, b)
			ds, err := set.Dataset()
			require.NoError(t, err)
			again, err := dataset.Encode(ds, dataset.ImplicitVRLittleEndian)
			require.NoError(t, err)
			assert.Equal(t, hex.Dump([]byte(b)), hex.Dump(again))
		})
	}
}
