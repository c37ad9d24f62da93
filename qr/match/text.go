package match

import (
	"bytes"
	"strconv"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
)

// textTest matches text values.
type textTest struct {
	pattern *pattern
	exact   bool // letter case and accents count
	// single means that the attribute has one value, and identifies something by it: if a data set has several, none of them is
	// the value.
	single bool
}

func newTextTest(value string, exact, single bool) *textTest {
	text := compose([]byte(value))
	if !exact {
		text = fold(text)
	}
	return &textTest{pattern: newPattern(string(text), !exact), exact: exact, single: single}
}

func (t *textTest) judge(v dataset.Value, _ place) Verdict { return anyText(v, t.single, t.match) }

func (t *textTest) match(text []byte) bool {
	text = trim(text)
	if len(text) == 0 {
		return false
	}
	if t.exact {
		return t.pattern.match(compose(text))
	}
	return t.pattern.match(fold(text))
}

// anyText judges whether match holds for one value of v, or, if single, for the only one.
func anyText(v dataset.Value, single bool, match func([]byte) bool) Verdict {
	switch v.Kind() {
	case dataset.KindSigned, dataset.KindUnsigned:
		return anyNumber(v, func(n number) bool { return n.isInteger && match(n.appendDecimal(nil)) })
	}
	n, found := 0, false
	for text := range v.Texts() {
		n++
		if found = found || match(text); found && !single || n > 1 && single {
			break
		}
	}
	return verdict(found && (n == 1 || !single))
}

func verdict(matches bool) Verdict {
	if matches {
		return Matches
	}
	return Differs
}

// trim removes the outer spaces of text.
func trim(text []byte) []byte { return bytes.Trim(text, " ") }

// uidTest matches one of a list of UIDs (PS3.4 section C.2.2.2.2).
type uidTest struct {
	uids   map[string]struct{}
	single bool
}

func newUIDTest(uids []string, single bool) *uidTest {
	t := &uidTest{uids: make(map[string]struct{}, len(uids)), single: single}
	for _, uid := range uids {
		t.uids[uid] = struct{}{}
	}
	return t
}

func (t *uidTest) judge(v dataset.Value, _ place) Verdict {
	return anyText(v, t.single, func(text []byte) bool {
		_, ok := t.uids[string(trim(text))]
		return ok
	})
}

// ValidUID reports whether s has the form of a UID (PS3.5 section 9.1). A component may begin with a zero: archives hold such UIDs.
func ValidUID(s string) bool {
	if len(s) > 64 {
		return false
	}
	for component := range strings.SplitSeq(s, ".") {
		if component == "" || !isDigits(component) {
			return false
		}
	}
	return true
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// validCode reports whether s is a code string (CS) with or without wildcards, within the length of the VR.
func validCode(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != ' ' && c != '_' && c != '*' && c != '?' {
			return false
		}
	}
	return true
}

// validAge reports whether s is an age (AS): three digits and a unit.
func validAge(s string) bool {
	return len(s) == 4 && isDigits(s[:3]) && strings.IndexByte("DWMY", s[3]) >= 0
}

// tagTest matches an attribute tag (AT).
type tagTest dataset.Tag

func newTagTest(value string) (tagTest, bool) {
	n, err := strconv.ParseUint(value, 16, 32)
	if err != nil || len(value) != len("ggggeeee") {
		return tagTest{}, false
	}
	return tagTest{Group: uint16(n >> 16), Element: uint16(n)}, true
}

func (t tagTest) judge(v dataset.Value, _ place) Verdict {
	for i := 0; ; i++ {
		tag, ok := v.TagAt(i)
		if !ok || tag == dataset.Tag(t) {
			return verdict(ok)
		}
	}
}
