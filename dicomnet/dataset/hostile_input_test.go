package dataset_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

const megabyte = 1 << 20

// allocated returns the number of bytes that f allocates, freed or not. Tests that use it must not
// run in parallel.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestMemoryOfHostileInputIsBounded reads data sets of a megabyte, the longest that a response may
// have. Parsing one may allocate less than a megabyte, and conversion less than ten.
func TestMemoryOfHostileInputIsBounded(t *testing.T) { //nolint:paralleltest // it measures
	fill := func(s string) string { return strings.Repeat(s, megabyte/len(s)) }
	nest := func(levels int) string {
		return strings.Repeat(element(privateSequence, "")[:4]+"\xff\xff\xff\xff"+undefinedItem, levels)
	}
	long := func(t tag.Tag, unit string) string { return element(t, fill(unit)) }
	characterSet := func(b string) string { return element(tag.SpecificCharacterSet, pad(b)) }
	var manyLists, sequences strings.Builder
	for i := range 64 {
		manyLists.WriteString(element(tag.Tag{Group: 0x0010, Element: 0x1000 + uint16(i)}, strings.Repeat(`\`, megabyte/64)))
	}
	for i := range 8 {
		sequences.WriteString(element(tag.Tag{Group: 0x0009, Element: 0x1000 + uint16(i)}, strings.Repeat(item(""), megabyte/64)))
	}
	defined := ""
	for i := 0; i < 40 && len(defined) < megabyte; i++ {
		defined = element(privateSequence, item(defined))
	}
	for _, v := range []struct {
		name string
		ts   dataset.TransferSyntax
		b    string
		err  bool
	}{
		{"a value of 4 GiB", dataset.ImplicitVRLittleEndian, "\x10\x00\x10\x00\xfe\xff\xff\xff", true},
		{"OB of 4 GiB", dataset.ExplicitVRLittleEndian, "\x42\x00\x11\x00OB\x00\x00\xfe\xff\xff\xff", true},
		{"64 levels", dataset.ImplicitVRLittleEndian, nest(64), true},
		{"300 levels", dataset.ImplicitVRLittleEndian, nest(300), true},
		{"3 000 levels", dataset.ImplicitVRLittleEndian, nest(3000), true},
		{"10 000 levels", dataset.ImplicitVRLittleEndian, nest(10_000), true},
		{"600 000 levels", dataset.ImplicitVRLittleEndian, nest(600_000), true},
		{"40 levels of defined length", dataset.ImplicitVRLittleEndian, defined, true},
		{"a sequence without items", dataset.ExplicitVRLittleEndian, explicit(tag.ProcedureCodeSequence, "SQ", element(tag.PatientID, "P1")), false},
		{"a megabyte of empty elements", dataset.ImplicitVRLittleEndian, fill(element(tag.PatientID, "")), true},
		{"a megabyte of empty items", dataset.ImplicitVRLittleEndian, long(privateSequence, item("")), true},
		{"eight sequences of empty items", dataset.ImplicitVRLittleEndian, sequences.String(), true},
		{"a megabyte of group lengths", dataset.ImplicitVRLittleEndian, fill(element(tag.Tag{Group: 8}, "")), true},
		{"a megabyte of delimiters", dataset.ImplicitVRLittleEndian, fill(itemEnd), false},
		{"a megabyte of delimiters in a sequence", dataset.ImplicitVRLittleEndian, long(tag.ProcedureCodeSequence, itemEnd), false},
		{"a megabyte of zeros", dataset.ImplicitVRLittleEndian, fill("\x00"), false},
		{"a megabyte of FF bytes", dataset.ExplicitVRLittleEndian, fill("\xff"), true},
		{"a megabyte of elements with a blank VR", dataset.ExplicitVRLittleEndian, explicit(tag.PatientID, "LO", "P1") + fill(with16BitLength(tag.PatientID, "  ", "")), false},
		{"a megabyte of elements with a VR of letters", dataset.ExplicitVRLittleEndian, fill(with16BitLength(tag.PatientID, "ZZ", "P1")), true},
		{"a megabyte of backslashes", dataset.ImplicitVRLittleEndian, long(tag.OtherPatientIDs, `\`), false},
		{"a megabyte of backslashes in 64 elements", dataset.ImplicitVRLittleEndian, manyLists.String(), false},
		{"half a megabyte of backslashes as character set", dataset.ImplicitVRLittleEndian, characterSet(strings.Repeat(`\`, megabyte/2)) + element(tag.PatientName, "\xe9 "), false},
		{"half a megabyte of character set terms", dataset.ImplicitVRLittleEndian, characterSet(strings.Repeat(`ISO 2022 IR 87\`, megabyte/32)) + element(tag.PatientName, "\xe9 "), false},
		{"a megabyte of integers", dataset.ImplicitVRLittleEndian, long(tag.Rows, "\xff\xff"), false},
		{"a megabyte of undecodable bytes", dataset.ImplicitVRLittleEndian, characterSet("ISO_IR 192") + long(tag.StudyDescription, "\xff"), false},
		{"a megabyte of invalid GB18030", dataset.ImplicitVRLittleEndian, characterSet("GB18030") + long(tag.StudyDescription, "\x80"), false},
		{"a megabyte of bytes without a character set", dataset.ImplicitVRLittleEndian, long(tag.StudyDescription, "\x84"), false},
		{"a megabyte of ESC bytes", dataset.ImplicitVRLittleEndian, characterSet(`\ISO 2022 IR 87`) + long(tag.StudyDescription, "\x1b"), false},
		{"a megabyte of escape sequences", dataset.ImplicitVRLittleEndian, characterSet(`\ISO 2022 IR 87`) + long(tag.StudyDescription, "\x1b$B\x1b(B"), false},
		{"a megabyte of escape sequences without a final byte", dataset.ImplicitVRLittleEndian, characterSet(`\ISO 2022 IR 87`) + long(tag.StudyDescription, "\x1b$$$$$$$"), false},
		{"a megabyte of kanji", dataset.ImplicitVRLittleEndian, characterSet(`\ISO 2022 IR 87`) + element(tag.StudyDescription, "\x1b$B"+fill(";3")+" "), false},
	} {
		t.Run(v.name, func(t *testing.T) { //nolint:paralleltest // it measures
			b := []byte(v.b)
			var set *dataset.Set
			var err error
			parsing := allocated(func() { set, err = dataset.Parse(b, v.ts, dataset.Limits{}) })
			assert.Less(t, parsing, uint64(megabyte), "parsing")
			if v.err {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			assert.Less(t, allocated(func() { _, _ = set.Dataset() }), uint64(10*megabyte), "conversion")
		})
	}
}

func TestStringsReturnsAtMostMaxValues(t *testing.T) {
	t.Parallel()
	set := parse(t, element(tag.OtherPatientIDs, strings.Repeat(`x\`, dataset.MaxValues)))
	assert.Len(t, set.Strings(tag.OtherPatientIDs), dataset.MaxValues)
	assert.Equal(t, dataset.ValueMalformed, set.Warnings())
}
