package dataset_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

func encode(t *testing.T, ts dataset.TransferSyntax, elements ...*dicom.Element) string {
	t.Helper()
	b, err := dataset.Encode(&dicom.Dataset{Elements: elements}, ts)
	require.NoError(t, err)
	return string(b)
}

// newElement returns an element with the given VR, which may differ from that of the dictionary.
func newElement(t *testing.T, tg tag.Tag, vr string, data any) *dicom.Element {
	t.Helper()
	value, err := dicom.NewValue(data)
	require.NoError(t, err)
	return &dicom.Element{Tag: tg, RawValueRepresentation: vr, Value: value}
}

// TestEncodeGoldenIdentifiers compares with the identifier of a C-FIND-RQ that is written out byte
// by byte: sorted, padded according to the VR, in ISO_IR 100.
func TestEncodeGoldenIdentifiers(t *testing.T) {
	t.Parallel()
	query := []*dicom.Element{
		dataset.Text(tag.StudyInstanceUID, "1.2.840"),
		dataset.Text(tag.PatientName, "Müller^*"),
		dataset.Text(tag.StudyDate, "20240101-20241231"),
		dataset.Text(tag.SpecificCharacterSet, "ISO_IR 100"),
		dataset.Text(tag.ModalitiesInStudy),
		dataset.Integers(tag.Rows, 512),
		dataset.Sequence(tag.ProcedureCodeSequence, []*dicom.Element{dataset.Text(tag.CodeValue, "X")}),
	}
	assert.Equal(t, ""+
		"\x08\x00\x05\x00"+"\x0a\x00\x00\x00"+"ISO_IR 100"+
		"\x08\x00\x20\x00"+"\x12\x00\x00\x00"+"20240101-20241231 "+ // padded with a space, not a NUL
		"\x08\x00\x61\x00"+"\x00\x00\x00\x00"+ // a return key
		"\x08\x00\x32\x10"+"\x12\x00\x00\x00"+
		"\xfe\xff\x00\xe0"+"\x0a\x00\x00\x00"+
		"\x08\x00\x00\x01"+"\x02\x00\x00\x00"+"X "+
		"\x10\x00\x10\x00"+"\x08\x00\x00\x00"+"M\xfcller^*"+
		"\x20\x00\x0d\x00"+"\x08\x00\x00\x00"+"1.2.840\x00"+ // padded with a NUL
		"\x28\x00\x10\x00"+"\x02\x00\x00\x00"+"\x00\x02",
		encode(t, dataset.ImplicitVRLittleEndian, query...))
	assert.Equal(t, ""+
		"\x08\x00\x05\x00"+"CS"+"\x0a\x00"+"ISO_IR 100"+
		"\x08\x00\x20\x00"+"DA"+"\x12\x00"+"20240101-20241231 "+
		"\x08\x00\x61\x00"+"CS"+"\x00\x00"+
		"\x08\x00\x32\x10"+"SQ"+"\x00\x00"+"\x12\x00\x00\x00"+
		"\xfe\xff\x00\xe0"+"\x0a\x00\x00\x00"+
		"\x08\x00\x00\x01"+"SH"+"\x02\x00"+"X "+
		"\x10\x00\x10\x00"+"PN"+"\x08\x00"+"M\xfcller^*"+
		"\x20\x00\x0d\x00"+"UI"+"\x08\x00"+"1.2.840\x00"+
		"\x28\x00\x10\x00"+"US"+"\x02\x00"+"\x00\x02",
		encode(t, dataset.ExplicitVRLittleEndian, query...))
	assert.Equal(t, tag.StudyInstanceUID, query[0].Tag, "Encode must not sort the caller's elements")
}

func TestEncodeWritesValuesByVR(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		vr    string
		data  any
		bytes string
	}{
		{"AE", []string{"PACS", "B"}, `PACS\B`},
		{"AT", []int{0x0010, 0x0020}, "\x10\x00\x20\x00"},
		{"CS", []string{"A"}, "A "},
		{"DS", []string{"1.5"}, "1.5 "},
		{"FD", []float64{1}, "\x00\x00\x00\x00\x00\x00\xf0\x3f"},
		{"FL", []float64{1}, "\x00\x00\x80\x3f"},
		{"IS", []string{"1", "2"}, `1\2 `},
		{"LO", []string{"A\x00", "B \x00"}, `A\B `},
		{"LT", []string{" a\\b\r\n"}, " a\\b\r\n"},
		{"OB", []byte{1, 2, 3}, "\x01\x02\x03\x00"},
		{"OD", []byte{1, 2, 3, 4, 5, 6, 7, 8}, "\x01\x02\x03\x04\x05\x06\x07\x08"},
		{"OF", []byte{1, 2, 3, 4}, "\x01\x02\x03\x04"},
		{"OW", []byte{1, 2}, "\x01\x02"},
		{"SL", []int{-1, math.MaxInt32}, "\xff\xff\xff\xff\xff\xff\xff\x7f"},
		{"SS", []int{-2, math.MinInt16}, "\xfe\xff\x00\x80"},
		{"SV", []int{-3}, "\xfd\xff\xff\xff\xff\xff\xff\xff"},
		{"UC", []string{"a"}, "a "},
		{"UI", []string{"1.2 "}, "1.2\x00"},
		{"UI", []string{"1.2", "1.3.4"}, "1.2\\1.3.4\x00"},
		{"UL", []int{math.MaxUint32}, "\xff\xff\xff\xff"},
		{"UN", []byte{1}, "\x01\x00"},
		{"UR", []string{"https://x/"}, "https://x/"},
		{"US", []int{0, math.MaxUint16}, "\x00\x00\xff\xff"},
		{"UT", []string{"a\tb"}, "a\tb "},
		{"UV", []int{math.MaxInt}, "\xff\xff\xff\xff\xff\xff\xff\x7f"},
		{"UV", []byte{1, 2, 3, 4, 5, 6, 7, 8}, "\x01\x02\x03\x04\x05\x06\x07\x08"},
		{"UN", []string{}, ""},
		{"OW", dicom.PixelDataInfo{IntentionallyUnprocessed: true, UnprocessedValueData: []byte{1, 2}}, "\x01\x02"},
	} {
		t.Run(v.vr, func(t *testing.T) {
			t.Parallel()
			e := newElement(t, privateText, v.vr, v.data)
			assert.Equal(t, explicitLong(v.vr, v.bytes), encode(t, dataset.ExplicitVRLittleEndian, e))
			assert.Equal(t, element(privateText, v.bytes), encode(t, dataset.ImplicitVRLittleEndian, e))
		})
	}
}

// explicitLong is explicit for the private text element, and supports OD, OL and OV.
func explicitLong(vr, value string) string {
	switch vr {
	case "OD", "OL", "OV":
		head := element(privateText, value)
		return head[:4] + vr + "\x00\x00" + head[4:]
	}
	return explicit(privateText, vr, value)
}

func TestEncodeChoosesTheVRAndOmitsForeignGroups(t *testing.T) {
	t.Parallel()
	for what, v := range map[string]struct {
		e    *dicom.Element
		want string
	}{
		"VR of the dictionary":            {newElement(t, tag.PatientID, "", []string{"P1"}), explicit(tag.PatientID, "LO", "P1")},
		"unknown VR":                      {newElement(t, tag.PatientID, "ZZ", []string{"P1"}), explicit(tag.PatientID, "LO", "P1")},
		"no value":                        {&dicom.Element{Tag: tag.PatientID}, explicit(tag.PatientID, "LO", "")},
		"VR of the element":               {newElement(t, tag.SmallestImagePixelValue, "SS", []int{-1}), explicit(tag.SmallestImagePixelValue, "SS", "\xff\xff")},
		"pixel data":                      {newElement(t, tag.PixelData, "", []byte{1, 2}), explicit(tag.PixelData, "OW", "\x01\x02")},
		"pixel data as bytes":             {newElement(t, tag.PixelData, "OB", []byte{1, 2}), explicit(tag.PixelData, "OB", "\x01\x02")},
		"overlay data":                    {newElement(t, tag.Tag{Group: 0x6002, Element: 0x3000}, "", []byte{1, 2}), explicit(tag.Tag{Group: 0x6002, Element: 0x3000}, "OW", "\x01\x02")},
		"an empty character set":          {newElement(t, tag.SpecificCharacterSet, "CS", []string{""}), explicit(tag.SpecificCharacterSet, "CS", "")},
		"a character set without a value": {&dicom.Element{Tag: tag.SpecificCharacterSet}, explicit(tag.SpecificCharacterSet, "CS", "")},
		"an empty sequence":               {dataset.Sequence(tag.ProcedureCodeSequence), explicit(tag.ProcedureCodeSequence, "SQ", "")},
		"an empty item":                   {dataset.Sequence(tag.ProcedureCodeSequence, nil), explicit(tag.ProcedureCodeSequence, "SQ", item(""))},
		"a group length is omitted":       {newElement(t, tag.Tag{Group: 8}, "UL", []int{4}), ""},
		"a command element is omitted":    {newElement(t, tag.Tag{Element: 2}, "UI", []string{"1.2"}), ""},
		"a file meta element is omitted":  {dataset.Text(tag.TransferSyntaxUID, "1.2"), ""},
		"a nil element is omitted":        {nil, ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, v.want, encode(t, dataset.ExplicitVRLittleEndian, v.e))
		})
	}
}

func TestEncodeUsesTheCharacterSetOfTheItem(t *testing.T) {
	t.Parallel()
	b := encode(t, dataset.ImplicitVRLittleEndian,
		dataset.Text(tag.SpecificCharacterSet, "ISO_IR 144"),
		dataset.Sequence(tag.ProcedureCodeSequence,
			[]*dicom.Element{dataset.Text(tag.CodeMeaning, "Ф")},
			[]*dicom.Element{dataset.Text(tag.CodeMeaning, "Ä"), dataset.Text(tag.SpecificCharacterSet, "ISO_IR 100")}),
		dataset.Text(tag.StudyDescription, "Ф"))
	assert.Equal(t, ""+
		element(tag.SpecificCharacterSet, "ISO_IR 144")+
		element(tag.StudyDescription, "\xc4 ")+
		element(tag.ProcedureCodeSequence,
			item(element(tag.CodeMeaning, "\xc4 "))+
				item(element(tag.SpecificCharacterSet, "ISO_IR 100")+element(tag.CodeMeaning, "\xc4 "))), b)
}

func TestEncodeRejectsInvalidValues(t *testing.T) {
	t.Parallel()
	ring := dataset.Sequence(tag.ProcedureCodeSequence, make([]*dicom.Element, 1))
	ring.Value.GetValue().([]*dicom.SequenceItemValue)[0].GetValue().([]*dicom.Element)[0] = ring //nolint:forcetypeassert // made above
	private := func(vr string, data any) *dicom.Element { return newElement(t, privateText, vr, data) }
	for what, v := range map[string]struct {
		element *dicom.Element
		reason  string
	}{
		"a backslash in a value":                {dataset.Text(tag.PatientID, `A\B`), "value contains a backslash, which separates values"},
		"an escape":                             {dataset.Text(tag.PatientID, "A\x1b(B"), "value contains a control character"},
		"a line feed in LO":                     {dataset.Text(tag.PatientID, "A\nB"), "value contains a control character"},
		"a NUL inside":                          {dataset.Text(tag.PatientID, "A\x00B"), "value contains a control character"},
		"an escape in LT":                       {dataset.Text(tag.AdditionalPatientHistory, "\x1b"), "value contains a control character"},
		"invalid UTF-8":                         {dataset.Text(tag.PatientID, "\xff"), "value is not valid UTF-8"},
		"two values of LT":                      {dataset.Text(tag.AdditionalPatientHistory, "a", "b"), "VR LT allows only one value"},
		"an unknown character set":              {dataset.Text(tag.SpecificCharacterSet, "KLINGON"), "unknown character set"},
		"a character set of numbers":            {newElement(t, tag.SpecificCharacterSet, "US", []int{1}), "value does not match VR CS"},
		"text in US":                            {private("US", []string{"1"}), "value does not match VR US"},
		"numbers in LO":                         {private("LO", []int{1}), "value does not match VR LO"},
		"bytes in LO":                           {private("LO", []byte{1}), "value does not match VR LO"},
		"a float in US":                         {private("US", []float64{1}), "value does not match VR US"},
		"a sequence in LO":                      {private("LO", [][]*dicom.Element{}), "value does not match VR LO"},
		"text in SQ":                            {private("SQ", []string{"1"}), "value does not match VR SQ"},
		"text in UN":                            {private("UN", []string{"1"}), "value does not match VR UN"},
		"AT of one number":                      {private("AT", []int{1}), "value does not match VR AT"},
		"OF of two bytes":                       {private("OF", []byte{1, 2}), "value does not match VR OF"},
		"US too large":                          {private("US", []int{65536}), "number out of range"},
		"US negative":                           {private("US", []int{-1}), "number out of range"},
		"SS too small":                          {private("SS", []int{-32769}), "number out of range"},
		"SL too large":                          {private("SL", []int{1 << 31}), "number out of range"},
		"UV negative":                           {private("UV", []int{-1}), "number out of range"},
		"an item outside a sequence":            {&dicom.Element{Tag: privateText, RawValueRepresentation: "SQ", Value: &dicom.SequenceItemValue{}}, "value does not match VR SQ"},
		"processed pixel data":                  {newElement(t, tag.PixelData, "OW", dicom.PixelDataInfo{}), "pixel data is not unprocessed native bytes"},
		"a value longer than 65534 bytes in LO": {private("LO", []string{strings.Repeat("x", 65535)}), "value is too long for its length field"},
		"a number out of range in an item":      {dataset.Sequence(tag.ProcedureCodeSequence, []*dicom.Element{private("US", []int{-1})}), "number out of range"},
		"a sequence that contains itself":       {ring, "nested too deeply"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, err := dataset.Encode(&dicom.Dataset{Elements: []*dicom.Element{v.element}}, dataset.ExplicitVRLittleEndian)
			var refused *dataset.ValueError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, v.reason, refused.Reason)
			assert.Equal(t, "element "+refused.Tag.String()+": "+v.reason, err.Error())
		})
	}
	_, err := dataset.Encode(&dicom.Dataset{Elements: []*dicom.Element{
		dataset.Text(tag.PatientID, "1"), dataset.Text(tag.PatientName), dataset.Text(tag.PatientID, "2"),
	}}, dataset.ImplicitVRLittleEndian)
	require.EqualError(t, err, "element (0010,0020): occurs twice")
	for _, ts := range []dataset.TransferSyntax{dataset.ExplicitVRBigEndian, "1.2.840.10008.1.2.1.99", ""} {
		var unsupported *dataset.TransferSyntaxError
		_, err := dataset.Encode(&dicom.Dataset{}, ts)
		require.ErrorAs(t, err, &unsupported)
	}
}

// 65534 is the greatest even number that a length field of two bytes can hold.
func TestEncodeUsesTheWholeRangeOfTheLengthField(t *testing.T) {
	t.Parallel()
	b := encode(t, dataset.ExplicitVRLittleEndian, newElement(t, privateText, "LO", []string{strings.Repeat("x", 65534)}))
	assert.Equal(t, "LO\xfe\xff", b[4:8])
	b = encode(t, dataset.ExplicitVRLittleEndian, newElement(t, privateText, "UT", []string{strings.Repeat("x", 70001)}))
	assert.Equal(t, "UT\x00\x00\x72\x11\x01\x00", b[4:12])
	assert.Len(t, b, 12+70002)
	b = encode(t, dataset.ImplicitVRLittleEndian, newElement(t, privateText, "LO", []string{strings.Repeat("x", 70001)}))
	assert.Equal(t, "\x72\x11\x01\x00", b[4:8])
}

func TestEncodeRejectsTextOutsideTheCharacterSet(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ characterSet, text string }{
		{"", "Müller"},
		{"ISO_IR 6", "Müller"},
		{"ISO_IR 100", "Łódź"},
		{"ISO_IR 101", "Ф"},
		{"ISO_IR 144", "ü"},
		{"ISO_IR 13", "山"},
		{"ISO_IR 13", "~"},
		{"ISO_IR 13", "¥"}, // 5C would separate two values
		{`\ISO 2022 IR 87`, "é"},
		{`\ISO 2022 IR 87`, "①"},  // an extension of NEC, not in JIS X 0208
		{`\ISO 2022 IR 149`, "똠"}, // only in the Unified Hangul Code
		{`\ISO 2022 IR 58`, "誠"},
		{`\ISO 2022 IR 58`, "ⅰ"},
		{`\ISO 2022 IR 58`, "€"},
		{`\ISO 2022 IR 58`, "︵"},
		{`\ISO 2022 IR 58`, "ɡ"},
		{"GBK", "€"},
		{"GBK", "𠮷"},
		{"Shift_JIS", "é"},
	} {
		t.Run(v.characterSet+" "+v.text, func(t *testing.T) {
			t.Parallel()
			_, err := dataset.Encode(&dicom.Dataset{Elements: []*dicom.Element{
				dataset.Text(tag.SpecificCharacterSet, strings.Split(v.characterSet, `\`)...),
				dataset.Text(tag.PatientID, v.text),
			}}, dataset.ImplicitVRLittleEndian)
			var misfit *dataset.RepertoireError
			require.ErrorAs(t, err, &misfit)
			assert.Equal(t, tag.PatientID, misfit.Tag)
			assert.NotContains(t, err.Error(), v.text)
		})
	}
	_, err := dataset.Encode(&dicom.Dataset{Elements: []*dicom.Element{
		dataset.Text(tag.SpecificCharacterSet, "ISO_IR 100"), dataset.Text(tag.Modality, "ü"),
	}}, dataset.ImplicitVRLittleEndian)
	require.EqualError(t, err, `element (0008,0060): text cannot be encoded in the character set ""`, "CS is always in the default repertoire")
}

func TestElementConstructorsPanicOnAWrongVR(t *testing.T) {
	t.Parallel()
	assert.Panics(t, func() { dataset.Text(tag.Rows, "1") })
	assert.Panics(t, func() { dataset.Text(privateText, "1") })
	assert.Panics(t, func() { dataset.Integers(tag.PatientID, 1) })
	assert.Panics(t, func() { dataset.Sequence(tag.PatientID) })
}
