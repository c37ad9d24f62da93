package match_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr/match"
)

// naiveWildcard matches by trying everything. It works on runes.
func naiveWildcard(pattern, text []rune) bool {
	switch {
	case len(pattern) == 0:
		return len(text) == 0
	case pattern[0] == '*':
		return naiveWildcard(pattern[1:], text) || len(text) > 0 && naiveWildcard(pattern, text[1:])
	case len(text) == 0:
		return false
	}
	return (pattern[0] == '?' || pattern[0] == text[0]) && naiveWildcard(pattern[1:], text[1:])
}

// naiveFold removes accents and case with the transformers of x/text.
func naiveFold(s string) string {
	accents := runes.Predicate(func(r rune) bool { return r >= 0x300 && r <= 0x36f })
	folded, _, _ := transform.String(transform.Chain(norm.NFD, runes.Remove(accents), norm.NFC), s)
	return strings.ToLower(folded)
}

// naiveName matches a key of a name as PS3.5 section 6.2.1 and PS3.4 section C.2.2.2 describe it, with regard to every way to write a name
// that means the same.
func naiveName(key, name string) bool {
	groups := func(s string) [3]string {
		var all [3]string
		for i, group := range strings.Split(s, "=") {
			components := strings.Split(group, "^")
			for j := range components {
				components[j] = strings.Trim(components[j], " ")
			}
			all[i] = strings.TrimRight(strings.Join(components, "^"), "^")
		}
		return all
	}
	k, n := groups(naiveFold(key)), groups(naiveFold(name))
	same := func(key, group string) bool {
		for ; ; group += "^" {
			if naiveWildcard([]rune(key), []rune(group)) {
				return group != ""
			}
			if strings.Count(group, "^") >= strings.Count(key, "^") {
				return false
			}
		}
	}
	if k[1] == "" && k[2] == "" {
		for _, group := range n {
			if group != "" && same(k[0], group) {
				return true
			}
		}
		return false
	}
	for i := range k {
		if k[i] != "" && (n[i] == "" || !same(k[i], n[i])) {
			return false
		}
	}
	return true
}

func TestTextMatchesAsANaiveMatcherDoes(t *testing.T) {
	t.Parallel()
	letters := rapid.SampledFrom([]rune("aAbB*?? *.äÄ\u0308é山"))
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(letters, 1, 12, -1).Draw(t, "pattern")
		text := strings.Trim(rapid.StringOfN(letters, 1, 14, -1).Draw(t, "text"), " ")
		if strings.Trim(pattern, " ") == "" || text == "" {
			return
		}
		pattern = strings.Trim(pattern, " ")
		folded, err := match.NewKey(match.Path{tag.StudyDescription}, "", []string{pattern}, false)
		require.NoError(t, err)
		exact, err := match.NewKey(match.Path{tag.PatientID}, "", []string{pattern}, false)
		require.NoError(t, err)
		universal := strings.Trim(pattern, "*") == ""
		set := parseText(t, tag.StudyDescription, text)
		want := universal || naiveWildcard([]rune(naiveFold(pattern)), []rune(naiveFold(text)))
		require.Equal(t, want, folded.Judge(set) == match.Matches, "text")
		want = universal || naiveWildcard([]rune(norm.NFC.String(pattern)), []rune(norm.NFC.String(text)))
		require.Equal(t, want, exact.Judge(parseText(t, tag.PatientID, text)) == match.Matches, "identifier")
	})
}

func TestLongTextMatchesAsANaiveMatcherDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// A pattern of several words of states, whose wildcards need no search.
		before := rapid.IntRange(0, 200).Draw(t, "before")
		after := rapid.IntRange(0, 200).Draw(t, "after")
		middle := rapid.SampledFrom([]string{"*", "?", "x", "*x?*"}).Draw(t, "middle")
		pattern := strings.Repeat("a", before) + middle + strings.Repeat("b", after)
		text := strings.Repeat("a", rapid.IntRange(max(0, before-1), before+1).Draw(t, "a")) +
			rapid.SampledFrom([]string{"x", "xy", "yxy", "ab"}).Draw(t, "text") + strings.Repeat("b", after)
		if pattern == "*" {
			return
		}
		k, err := match.NewKey(match.Path{tag.AdditionalPatientHistory}, "", []string{pattern}, false)
		require.NoError(t, err)
		want := naiveWildcard([]rune(pattern), []rune(text))
		require.Equal(t, want, k.Judge(parseText(t, tag.AdditionalPatientHistory, text)) == match.Matches)
	})
}

func TestPatternThatGrowsInUnicodeNFCMatches(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("\uFB2C", 363) // three characters each in NFC
	for _, pattern := range []string{text, text[:300] + "*"} {
		k, err := match.NewKey(match.Path{tag.PatientComments}, "", []string{pattern}, false)
		require.NoError(t, err)
		require.Equal(t, match.Matches, k.Judge(parseText(t, tag.PatientComments, text)))
	}
}

func TestNamesMatchAsANaiveMatcherDoes(t *testing.T) {
	t.Parallel()
	letters := rapid.SampledFrom([]rune("aAb*?^^= ü山"))
	rapid.Check(t, func(t *rapid.T) {
		pattern := strings.Trim(rapid.StringOfN(letters, 1, 10, -1).Draw(t, "pattern"), " ")
		name := strings.Trim(rapid.StringOfN(letters, 1, 12, -1).Draw(t, "name"), " ")
		k, err := match.NewKey(match.Path{tag.PatientName}, "", []string{pattern}, false)
		if err != nil || strings.Trim(pattern, "*^= ") == "" || strings.Count(name, "=") > 2 {
			return // no key, or one without any component, whose meaning is left open
		}
		got := k.Judge(parseText(t, tag.PatientName, name)) == match.Matches
		require.Equal(t, naiveName(pattern, name), got)
	})
}

// TestDatesAndTimesMatchAsTextDoes compares with ranges of digits: of two values with the same precision, the later is the greater as
// text. A missing part is the least there is at the start of a range, and the greatest at its end.
func TestDatesAndTimesMatchAsTextDoes(t *testing.T) {
	t.Parallel()
	two := func(t *rapid.T, name string, low, high int) string {
		return pad2(rapid.IntRange(low, high).Draw(t, name))
	}
	for of, limits := range map[tag.Tag]struct {
		first, last string
		draw        func(*rapid.T, string) string
	}{
		tag.StudyDate: {"00000000", "99999999", func(t *rapid.T, name string) string {
			return "20" + two(t, name+" year", 20, 22) + two(t, name+" month", 1, 12) + two(t, name+" day", 1, 28)
		}},
		tag.StudyTime: {"000000.000000", "999999.999999", func(t *rapid.T, name string) string {
			s := two(t, name+" hour", 0, 23) + two(t, name+" minute", 0, 59) + two(t, name+" second", 0, 59) + ".250000"
			return s[:rapid.SampledFrom([]int{2, 4, 6, 8, 13}).Draw(t, name+" precision")]
		}},
		tag.AcquisitionDateTime: {"00000000000000.000000", "99999999999999.999999", func(t *rapid.T, name string) string {
			s := "20" + two(t, name+" year", 20, 22) + two(t, name+" month", 1, 12) + two(t, name+" day", 1, 28) +
				two(t, name+" hour", 0, 23) + two(t, name+" minute", 0, 59) + two(t, name+" second", 0, 59) + ".250000"
			return s[:rapid.SampledFrom([]int{4, 6, 8, 10, 12, 14, 16, 21}).Draw(t, name+" precision")]
		}},
	} {
		rapid.Check(t, func(t *rapid.T) {
			fix := func(s string) string { // a fraction has at least one digit
				if strings.HasSuffix(s, ".") {
					return s + "2"
				}
				return s
			}
			from, to, value := fix(limits.draw(t, "from")), fix(limits.draw(t, "to")), fix(limits.draw(t, "value"))
			earliest := func(s string) string { return s + limits.first[len(s):] }
			latest := func(s string) string { return s + limits.last[len(s):] }
			written, low, high := from+"-"+to, earliest(from), latest(to)
			switch rapid.IntRange(0, 3).Draw(t, "form") {
			case 0:
				written, high = from+"-", limits.last
			case 1:
				written, low = "-"+to, limits.first
			case 2:
				written, high = from, latest(from)
			}
			if _, isZone := zoneOf(written); of == tag.AcquisitionDateTime && isZone {
				return
			}
			k, err := match.NewKey(match.Path{of}, "", []string{written}, false)
			if low > high {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			want := latest(value) >= low && earliest(value) <= high
			require.Equal(t, want, k.Judge(parseText(t, of, value)) == match.Matches, "%q in %q", value, written)
		})
	}
}

// zoneOf returns the part of a date-time key that reads as an offset from UTC, so that it is no range.
func zoneOf(s string) (string, bool) {
	i := strings.LastIndexByte(s, '-')
	return s[i+1:], i > 0 && len(s)-i == 5 && s[i+1:] <= "1200"
}

func pad2(n int) string { return string([]byte{byte('0' + n/10), byte('0' + n%10)}) }

// parseText returns a data set in UTF-8 with one text element.
func parseText(t rapid.TB, of tag.Tag, text string) *dataset.Set {
	e := dataset.Text(of, text)
	ds := &dataset.Dataset{Elements: []*dataset.Element{dataset.Text(tag.SpecificCharacterSet, "ISO_IR 192"), e}}
	b, err := dataset.Encode(ds, dataset.ExplicitVRLittleEndian)
	require.NoError(t, err)
	set, err := dataset.Parse(b, dataset.ExplicitVRLittleEndian, dataset.Limits{})
	require.NoError(t, err)
	return set
}
