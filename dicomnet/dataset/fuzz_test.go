package dataset_test

import (
	"bytes"
	"iter"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

// FuzzParse checks that the reader neither panics, nor writes to the buffer, nor returns invalid
// UTF-8, and that Parse accepts what Encode writes of a parsed set.
func FuzzParse(f *testing.F) {
	content := undefinedItem + element(tag.CodeValue, "1 ") + itemEnd
	for _, seed := range []string{
		"",
		element(tag.SpecificCharacterSet, "ISO_IR 100") + element(tag.PatientName, "M\xfcller^A") + element(tag.Rows, "\x00\x02"),
		explicit(tag.SpecificCharacterSet, "CS", "ISO_IR 192") + explicit(tag.PatientName, "PN", "M\xc3\xbcller^") + explicit(tag.Rows, "US", "\x00\x02"),
		"\x00\x08\x00\x05CS\x00\x0aISO_IR 100\x00\x28\x00\x10US\x00\x02\x02\x00",
		undefinedSequence(tag.ProcedureCodeSequence, content+content),
		element(tag.ProcedureCodeSequence, item(element(tag.CodeValue, "1 "))+item("")),
		explicitUndefined(privateSequence, "UN", content+sequenceEnd) + explicit(tag.PatientID, "LO", "P1"),
		explicit(privateSequence, "UN", content),
		explicitUndefined(tag.PixelData, "OB", item("")+item("\xff\xd8")+sequenceEnd),
		explicit(tag.SelectorFDValue, "FD", "\x00\x00\x00\x00\x00\x00\xf0\x3f") + explicit(tag.SelectorFLValue, "FL", "\x00\x00\x80"),
		element(tag.PatientName, "")[:4] + "XX\x00\x00\x04\x00\x00\x00A^B " + element(tag.Rows, "\x01"),
		explicit(tag.PatientID, "LO", "P1") + with16BitLength(tag.PatientSex, "  ", "F ") + explicit(tag.Rows, "US", "\x00\x02"),
		with32BitLength(tag.SpecificCharacterSet, "\x00\x00", "ISO_IR 192") + explicit(tag.PatientName, "PN", "M\xc3\xbcller^") + element(tag.PatientID, "P1"),
		explicitUndefined(tag.ProcedureCodeSequence, "sq", undefinedItem+with16BitLength(tag.CodeValue, "??", "1 ")+itemEnd+sequenceEnd) + explicit(tag.PatientID, "LO", "P1"),
		strings.Repeat(element(privateSequence, "")[:4]+"\xff\xff\xff\xff"+undefinedItem, 12),
		"\x10\x00\x10\x00\xfe\xff\xff\xff",
		itemEnd + sequenceEnd + item("") + strings.Repeat("\x00", 9),
	} {
		for syntax := range uint8(3) {
			f.Add([]byte(seed), syntax)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, syntax uint8) {
		ts := []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian, dataset.ExplicitVRBigEndian}[syntax%3]
		before := string(b)
		set, err := dataset.Parse(b, ts, dataset.Limits{})
		if err != nil {
			if set != nil {
				t.Fatal("Parse returned both a set and an error")
			}
			return
		}
		readAll(t, set, 0)
		ds, err := set.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != before {
			t.Fatal("the buffer was written to")
		}
		// Encode may reject what was read. What it writes must be readable in the same transfer
		// syntax.
		written, err := dataset.Encode(ds, dataset.ExplicitVRLittleEndian)
		if err != nil {
			return
		}
		again, err := dataset.Parse(written, dataset.ExplicitVRLittleEndian, dataset.Limits{MaxDepth: 64, MaxElements: 1 << 20})
		if err != nil {
			t.Fatalf("Parse rejects what Encode wrote: %v", err)
		}
		if again.TransferSyntax() != dataset.ExplicitVRLittleEndian {
			t.Fatal("what Encode wrote looks like another transfer syntax")
		}
		readAll(t, again, 0)
	})
}

// readAll reads every value of set and its items.
func readAll(t *testing.T, set *dataset.Set, depth int) {
	t.Helper()
	if depth > 64 {
		t.Fatal("items are nested deeper than the limit")
	}
	for n := range set.Tags() {
		first := set.String(n)
		for i, value := range set.Strings(n) {
			if !utf8.ValidString(value) {
				t.Fatalf("%v: value is not valid UTF-8", n)
			}
			if i == 0 && value != first {
				t.Fatalf("%v: String and the first of Strings differ", n)
			}
		}
		if text := set.Text(n); !utf8.ValidString(text) {
			t.Fatalf("%v: text is not valid UTF-8", n)
		}
		set.Uint16(n)
		set.Bytes(n)
		for _, item := range set.Items(n) {
			readAll(t, item, depth+1)
		}
	}
	readValues(t, set)
	set.Warnings()
}

// readValues reads the values of set by kind, and checks that a kept copy has the same.
func readValues(t *testing.T, set *dataset.Set) {
	t.Helper()
	var keeper dataset.Keeper
	kept := keeper.Keep(set)
	last := int64(-1)
	for v := range set.Values() {
		if n := int64(v.Tag().Uint32()); n <= last {
			t.Fatalf("%v: values are not sorted, or a tag occurs twice", v.Tag())
		} else {
			last = n
		}
		copied, ok := kept.Value(v.Tag())
		if !ok || copied.VR() != v.VR() || !bytes.Equal(copied.Words(), v.Words()) || len(copied.Items()) != len(v.Items()) {
			t.Fatalf("%v: a kept copy differs", v.Tag())
		}
		next, stop := iter.Pull(copied.Texts())
		for text := range v.Texts() {
			if other, ok := next(); !ok || !bytes.Equal(text, other) {
				t.Fatalf("%v: the text of a kept copy differs", v.Tag())
			}
			if !utf8.Valid(text) {
				t.Fatalf("%v: text is not valid UTF-8", v.Tag())
			}
		}
		stop()
		for i, ok := 0, true; ok; i++ {
			n, isSigned := v.Signed(i)
			if other, _ := copied.Signed(i); other != n {
				t.Fatalf("%v: number %d of a kept copy differs", v.Tag(), i)
			}
			_, isUnsigned := v.Unsigned(i)
			_, _, isFloat := v.Float(i)
			_, isTag := v.TagAt(i)
			ok = isSigned || isUnsigned || isFloat || isTag
		}
		v.Kind()
		v.Unpadded()
	}
	if keeper.Size() == 0 {
		t.Fatal("a Keeper that keeps a set has no size")
	}
}

// FuzzDecodeText checks that any bytes in any character set give valid UTF-8 of bounded length, and
// that text that was decoded without a warning stays the same when it is encoded and decoded again.
func FuzzDecodeText(f *testing.F) {
	for _, v := range append(append([]textVector{}, roundTripVectors...), decodeOnlyVectors...) {
		f.Add(v.characterSet, []byte(v.bytes))
	}
	f.Add("", []byte("M\xfcller"))
	f.Add("KLINGON", []byte("M\xc3\xbcller"))
	f.Add("ISO_IR 13", []byte("\x8eR\x93c"))
	f.Add("shift_jis", []byte("\x8eR\x93c"))
	f.Add(`\ISO 2022 IR 149`, []byte("\x1b$)C\x8c\x63\xc9\xa1"))
	f.Add(`windows-1251\ISO 2022 IR 100`, []byte("\xcf\x80\x1b-A\xe9\\\xcf"))
	f.Add(`\CP1252`, []byte("\x80\x81\xe9"))
	f.Add("GB18030", []byte("\x81\x30\x81\x30\x80\xff"))
	f.Fuzz(func(t *testing.T, characterSet string, b []byte) {
		for _, of := range []tag.Tag{tag.PatientName, tag.OtherPatientIDs, tag.AdditionalPatientHistory, tag.StudyInstanceUID} {
			set, err := dataset.Parse([]byte(element(tag.SpecificCharacterSet, characterSet)+element(of, string(b))), dataset.ImplicitVRLittleEndian, dataset.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Join(set.Strings(of), `\`)
			if !utf8.ValidString(text) || len(text) > 3*len(b) {
				t.Fatalf("%q is not valid UTF-8, or longer than 3 times %d bytes", text, len(b))
			}
			if set.Warnings() != 0 {
				continue
			}
			ds, err := set.Dataset()
			if err != nil {
				t.Fatal(err)
			}
			written, err := dataset.Encode(ds, dataset.ImplicitVRLittleEndian)
			if err != nil {
				continue // vendors' extensions are decoded, but not encoded
			}
			again, err := dataset.Parse(written, dataset.ImplicitVRLittleEndian, dataset.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(again.Strings(of), `\`); got != text {
				t.Fatalf("%q became %q when it was encoded and decoded again", text, got)
			}
		}
	})
}
