package match_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/suyashkumar/dicom/pkg/tag"
	"golang.org/x/text/unicode/norm"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr/match"
)

// fuzzedTags are attributes of every VR, some of them in a sequence.
var fuzzedTags = []tag.Tag{
	tag.RetrieveAETitle, tag.PatientAge, tag.FrameIncrementPointer, tag.Modality, tag.StudyDate, tag.SliceThickness,
	tag.AcquisitionDateTime, tag.SelectorFDValue, tag.SelectorFLValue, tag.SeriesNumber, tag.PatientID, tag.PatientComments,
	tag.PixelData, tag.PatientName, tag.AccessionNumber, tag.SelectorSLValue, tag.RequestAttributesSequence, tag.SelectorSSValue,
	tag.SelectorSTValue, tag.SelectorSVValue, tag.StudyTime, tag.LongCodeValue,
	tag.StudyInstanceUID, tag.SelectorULValue, privateText, tag.RetrieveURL, tag.PixelPaddingValue, tag.SelectorUTValue,
	tag.SelectorUVValue, tag.TimezoneOffsetFromUTC,
}

// FuzzJudge checks that no answer of a PACS and no key of a caller make the judges panic or disagree, and that what NewKey
// accepts can be sent.
func FuzzJudge(f *testing.F) {
	for _, rows := range attributeMatching {
		for _, row := range rows {
			item := []*dataset.Element{textOf(tag.PatientName, "x"), textOf(tag.StudyDate, "20240131")}
			set, err := dataset.Encode(&dataset.Dataset{Elements: []*dataset.Element{
				dataset.Text(tag.SpecificCharacterSet, "ISO_IR 192"), dataset.Sequence(tag.RequestAttributesSequence, item),
			}}, dataset.ImplicitVRLittleEndian)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(append(set, element(row.of, row.value)...), uint8(0), row.key, row.key)
		}
	}
	f.Add([]byte(element(tag.StudyDate, "20240131")+element(tag.StudyTime, "10")), uint8(0), "20240101-20240201", "10-12")
	f.Fuzz(func(t *testing.T, b []byte, syntax uint8, value, other string) {
		ts := []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian, dataset.ExplicitVRBigEndian}[syntax%3]
		set, err := dataset.Parse(b, ts, dataset.Limits{})
		if err != nil {
			return
		}
		var keys []match.Key
		for _, of := range fuzzedTags {
			for _, path := range []match.Path{{of}, {tag.RequestAttributesSequence, of}} {
				for _, values := range [][]string{{value}, {value, other}} {
					k, err := match.NewKey(path, "", values, len(other)%2 == 0)
					if err != nil {
						if _, ok := errors.AsType[*match.ValueError](err); !ok {
							t.Fatal(err)
						}
						continue
					}
					alone := k.Judge(set)
					together, which := match.NewFilter([]match.Key{k}).Judge(set, nil)
					if alone != together || len(which) > 1 || len(which) == 1 != (together == match.Unknown) {
						t.Fatalf("%v: the key says %v, its filter %v with %d unknown keys", path, alone, together, len(which))
					}
					if alone == match.Matches && !k.IsUniversal() && !set.Has(path[0]) {
						t.Fatalf("%v: a value matches an absent attribute", path)
					}
					keys = append(keys, k)
				}
			}
		}
		match.NewFilter(match.CombineDateTimes(keys)).Judge(set, nil)
		for i := range keys {
			if tag.IsPrivate(keys[i].Path[len(keys[i].Path)-1].Group) {
				continue
			}
			ds, err := match.Identifier("STUDY", keys[i:i+1], nil)
			if err != nil {
				t.Fatalf("%v: %v", keys[i].Path, err)
			}
			if _, err := dataset.Encode(ds, dataset.ExplicitVRLittleEndian); err != nil {
				t.Fatalf("%v: %v", keys[i].Path, err)
			}
		}
	})
}

// FuzzWildcards compares with a table of all prefixes, whose cost is that of pattern times text. A matcher that tries alternatives one
// after the other would not end on some of the seeds.
func FuzzWildcards(f *testing.F) {
	f.Add("P*", "P1")
	f.Add("?*?", "ü")
	f.Add(strings.Repeat("*a", 60), strings.Repeat("a", 1<<12)+"b")
	f.Add(strings.Repeat("a*", 500)+"b", strings.Repeat("a", 1<<12))
	f.Add(strings.Repeat("*?", 400)+"*", strings.Repeat("a", 1<<10))
	f.Add(strings.Repeat("?", 1024), strings.Repeat("a", 1024))
	f.Fuzz(func(t *testing.T, pattern, text string) {
		k, err := match.NewKey(match.Path{tag.RetrieveURL}, "", []string{pattern}, false)
		if err != nil || k.IsUniversal() || len(text) > 1<<13 || strings.IndexFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e }) >= 0 {
			return
		}
		text = strings.Trim(text, " ")
		set, err := dataset.Parse([]byte(element(tag.RetrieveURL, text)), dataset.ImplicitVRLittleEndian, dataset.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		want := text != "" && tableMatch([]rune(norm.NFC.String(k.Values[0])), []rune(text))
		if got := k.Judge(set) == match.Matches; got != want {
			t.Fatalf("a pattern of %d characters and a text of %d: got %v, want %v", len(pattern), len(text), got, want)
		}
	})
}

// tableMatch matches by dynamic programming: matched[i] says whether the first i characters of the text match the pattern so far.
func tableMatch(pattern, text []rune) bool {
	matched := make([]bool, len(text)+1)
	matched[0] = true
	for _, p := range pattern {
		next := make([]bool, len(text)+1)
		if p == '*' {
			for i := range next {
				next[i] = matched[i] || i > 0 && next[i-1]
			}
		} else {
			for i := range text {
				next[i+1] = matched[i] && (p == '?' || p == text[i])
			}
		}
		matched = next
	}
	return matched[len(text)]
}

// element encodes an element in implicit VR little endian.
func element(t tag.Tag, value string) string {
	if len(value)%2 != 0 {
		value += " "
	}
	n := len(value)
	return string([]byte{
		byte(t.Group), byte(t.Group >> 8), byte(t.Element), byte(t.Element >> 8), byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24),
	}) + value
}
