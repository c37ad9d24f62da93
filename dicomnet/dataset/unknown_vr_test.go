package dataset_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet/dataset"
)

// with16BitLength and with32BitLength encode an element in explicit VR little endian with any two bytes
// as VR, with a length of 16 and of 32 bits.
func with16BitLength(t tag.Tag, vr, value string) string {
	return element(t, "")[:4] + vr + string(binary.LittleEndian.AppendUint16(nil, uint16(len(value)))) + value
}

func with32BitLength(t tag.Tag, vr, value string) string {
	return element(t, "")[:4] + vr + "\x00\x00" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(value)))) + value
}

// undefinedVRs are two bytes in place of a VR that archives write, and others that the standard
// does not allow.
var undefinedVRs = []string{"  ", "\x00\x00", "??", "pn", "Pn", "--", "-\x00", "\x00 ", "\xff\xff", "1A"}

// TestElementsWithoutADefinedVRAreRead checks that such an element does not change what is read of
// the others, and is itself read by the dictionary.
func TestElementsWithoutADefinedVRAreRead(t *testing.T) {
	t.Parallel()
	forms := map[string]func(t tag.Tag, vr, value string) string{
		"16-bit length": with16BitLength,
		"32-bit length": with32BitLength,
		"implicit VR":   func(t tag.Tag, _, value string) string { return element(t, value) },
	}
	for form, encode := range forms {
		for _, vr := range undefinedVRs {
			t.Run(fmt.Sprintf("%s, %q", form, vr), func(t *testing.T) {
				t.Parallel()
				rows := encode(tag.Rows, vr, "\x00\x02")
				name := encode(tag.PatientName, vr, "M\xc3\xbcller^AB")
				first := encode(tag.SpecificCharacterSet, vr, "ISO_IR 192")
				id, columns := explicit(tag.PatientID, "LO", "P1"), explicit(tag.Columns, "US", "\x07\x00")
				characterSet := explicit(tag.SpecificCharacterSet, "CS", "ISO_IR 192")
				for where, encoded := range map[string]string{
					"in the middle":           characterSet + name + id + rows + columns,
					"first":                   first + explicit(tag.PatientName, "PN", "M\xc3\xbcller^AB") + id + rows + columns,
					"all but one":             first + name + encode(tag.PatientID, vr, "P1") + rows + columns,
					"last":                    characterSet + explicit(tag.PatientName, "PN", "M\xc3\xbcller^AB") + id + columns + rows,
					"out of order":            rows + columns + name + characterSet + id,
					"an empty one":            characterSet + encode(tag.StudyDate, vr, "") + name + id + columns + rows,
					"before zeros at the end": characterSet + name + id + columns + encode(tag.StudyID, vr, "1 ") + rows + strings.Repeat("\x00", 11),
					"before a sequence":       characterSet + name + explicit(tag.ProcedureCodeSequence, "SQ", item("")) + id + columns + rows,
					"before a sequence of undefined length": characterSet + name +
						explicitUndefined(tag.ProcedureCodeSequence, "SQ", undefinedItem+itemEnd+sequenceEnd) + id + columns + rows,
				} {
					set, err := dataset.Parse([]byte(encoded), dataset.ExplicitVRLittleEndian, dataset.Limits{})
					require.NoError(t, err, where)
					assert.Equal(t, "Müller^AB", set.String(tag.PatientName), where)
					assert.Equal(t, "P1", set.String(tag.PatientID), where)
					n, _ := set.Uint16(tag.Columns)
					assert.Equal(t, uint16(7), n, where)
					n, ok := set.Uint16(tag.Rows)
					assert.True(t, ok, where)
					assert.Equal(t, uint16(512), n, where)
					assert.Equal(t, dataset.ValueMalformed, set.Warnings(), where)
					assert.Equal(t, dataset.ExplicitVRLittleEndian, set.TransferSyntax(), where)
				}
			})
		}
	}
}

// TestNewVRsAreReadWithoutAWarning covers PS3.5 section 7.1.2: VRs of later editions have the long
// form. Two capital letters in the short form are a mistake of the sender.
func TestNewVRsAreReadWithoutAWarning(t *testing.T) {
	t.Parallel()
	sex := explicit(tag.PatientSex, "CS", "F ")
	set := parseExplicit(t, with32BitLength(tag.PatientName, "XX", "A^B "), with32BitLength(tag.PatientID, "YY", ""), sex)
	assert.Equal(t, "A^B", set.String(tag.PatientName))
	assert.True(t, set.Has(tag.PatientID))
	assert.Equal(t, "F", set.String(tag.PatientSex))
	assert.Zero(t, set.Warnings())

	set = parseExplicit(t, with16BitLength(tag.PatientName, "RE", "A^B "), with16BitLength(tag.PatientID, "RE", ""), sex)
	assert.Equal(t, "A^B", set.String(tag.PatientName))
	assert.True(t, set.Has(tag.PatientID))
	assert.Equal(t, "F", set.String(tag.PatientSex))
	assert.Equal(t, dataset.ValueMalformed, set.Warnings())
}

// TestLongImplicitElementAmongExplicitOnes covers lengths whose low half looks like a VR.
func TestLongImplicitElementAmongExplicitOnes(t *testing.T) {
	t.Parallel()
	for _, length := range []int{0x200a, 0x2020, 0x3f3e, 0x4958, 0x12020} { // 4958H: the letters XI
		text := strings.Repeat("x", length)
		set := parseExplicit(t, explicit(tag.PatientName, "PN", "A^B "), element(tag.AdditionalPatientHistory, text), explicit(tag.Columns, "US", "\x07\x00"))
		assert.Equal(t, []string{text}, set.Strings(tag.AdditionalPatientHistory), "%x", length)
		n, _ := set.Uint16(tag.Columns)
		assert.Equal(t, uint16(7), n)
	}
}

func TestSequencesWithoutADefinedVRAreRead(t *testing.T) {
	t.Parallel()
	code := explicit(tag.CodeValue, "SH", "1 ")
	blank := with16BitLength(tag.CodeValue, "  ", "1 ")
	content := undefinedItem + code + itemEnd
	for what, encoded := range map[string]string{
		"32-bit undefined length":                explicitUndefined(tag.ProcedureCodeSequence, "  ", content+sequenceEnd),
		"32-bit defined length":                  with32BitLength(tag.ProcedureCodeSequence, "  ", item(code)),
		"16-bit length":                          with16BitLength(tag.ProcedureCodeSequence, "  ", item(code)),
		"implicit VR, undefined length":          undefinedSequence(tag.ProcedureCodeSequence, undefinedItem+element(tag.CodeValue, "1 ")+itemEnd),
		"implicit VR, private, undefined length": undefinedSequence(privateSequence, content) + explicit(tag.ProcedureCodeSequence, "SQ", content),
		"implicit items":                         explicitUndefined(tag.ProcedureCodeSequence, "  ", undefinedItem+element(tag.CodeValue, "1 ")+itemEnd+sequenceEnd),
		"an element inside":                      explicit(tag.ProcedureCodeSequence, "SQ", item(blank)),
		"an element inside, undefined length":    explicitUndefined(tag.ProcedureCodeSequence, "SQ", undefinedItem+blank+itemEnd+sequenceEnd),
	} {
		set := parseExplicit(t, explicit(tag.PatientName, "PN", "A^B "), encoded, explicit(tag.Columns, "US", "\x07\x00"))
		items := set.Items(tag.ProcedureCodeSequence)
		require.Len(t, items, 1, what)
		assert.Equal(t, "1", items[0].String(tag.CodeValue), what)
		n, _ := set.Uint16(tag.Columns)
		assert.Equal(t, uint16(7), n, what)
		assert.Equal(t, dataset.ValueMalformed, set.Warnings(), what)
	}
}

func TestElementsWithoutADefinedVRAreReadInBigEndian(t *testing.T) {
	t.Parallel()
	set, err := dataset.Parse([]byte(
		"\x00\x10\x00\x10PN\x00\x04A^B "+
			"\x00\x28\x00\x10  \x00\x02\x02\x00"+
			"\x00\x28\x00\x11US\x00\x02\x02\x00"), dataset.ExplicitVRBigEndian, dataset.Limits{})
	require.NoError(t, err)
	rows, _ := set.Uint16(tag.Rows)
	columns, _ := set.Uint16(tag.Columns)
	assert.Equal(t, []uint16{512, 512}, []uint16{rows, columns})
	assert.Equal(t, dataset.ValueMalformed, set.Warnings())
}

// TestAValueThatFitsInNoFormIsAnError keeps a truncated data set from passing for a complete one.
func TestAValueThatFitsInNoFormIsAnError(t *testing.T) {
	t.Parallel()
	_, err := dataset.Parse([]byte(explicit(tag.PatientID, "LO", "P1")+with16BitLength(tag.PatientComments, "  ", "truncated value")[:14]),
		dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.EqualError(t, err, "invalid data set at offset 10: value length exceeds the remaining bytes")
}

// TestOneElementWithoutADefinedVRChangesNoOther inserts such an element anywhere among elements of
// any VR.
func TestOneElementWithoutADefinedVRChangesNoOther(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := generateElements(2).Filter(func(list []*dicom.Element) bool { return len(list) > 0 }).Draw(t, "elements")
		at := rapid.IntRange(0, len(list)).Draw(t, "position")
		odd := tag.Tag{Group: 0x0009, Element: 0x0fff}
		if at > 0 {
			odd = tag.Tag{Group: 0x0009, Element: list[at-1].Tag.Element}
			for i := range list[at:] {
				list[at+i].Tag.Element++
			}
			odd.Element++
			for i := range list[at:] {
				list[at+i].Tag.Element++
			}
		}
		value := pad(rapid.OneOf(
			rapid.StringMatching(`[ -~]{0,20}`),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) }),
		).Draw(t, "value"))
		vr := rapid.SampledFrom(undefinedVRs).Draw(t, "VR")
		var inserted string
		switch rapid.SampledFrom([]string{"short", "long", "implicit"}).Draw(t, "form") {
		case "short":
			inserted = with16BitLength(odd, vr, value)
		case "long":
			inserted = with32BitLength(odd, vr, value)
		default:
			inserted = element(odd, value)
		}
		encode := func(elements []*dicom.Element) string {
			b, err := dataset.Encode(&dicom.Dataset{Elements: elements}, dataset.ExplicitVRLittleEndian)
			require.NoError(t, err)
			return string(b)
		}
		before, after := encode(list[:at]), encode(list[at:])
		want, err := dataset.Parse([]byte(before+after), dataset.ExplicitVRLittleEndian, dataset.Limits{})
		require.NoError(t, err)
		got, err := dataset.Parse([]byte(before+inserted+after), dataset.ExplicitVRLittleEndian, dataset.Limits{})
		require.NoError(t, err)
		raw, ok := got.Bytes(odd)
		assert.True(t, ok)
		assert.Equal(t, value, string(raw))
		assert.NotZero(t, got.Warnings()&(dataset.ValueMalformed|dataset.TransferSyntaxAssumed))
		others := slices.DeleteFunc(slices.Collect(got.Tags()), func(t tag.Tag) bool { return t == odd })
		assert.True(t, slices.Equal(slices.Collect(want.Tags()), others), "%v", others)
		for tg := range want.Tags() {
			wantBytes, _ := want.Bytes(tg)
			gotBytes, _ := got.Bytes(tg)
			assert.Equal(t, wantBytes, gotBytes, "%v", tg)
			assert.Equal(t, want.Strings(tg), got.Strings(tg), "%v", tg)
			assert.Len(t, got.Items(tg), len(want.Items(tg)), "%v", tg)
		}
	})
}
