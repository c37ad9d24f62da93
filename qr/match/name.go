package match

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"dicom-qr-gateway/dicomnet/dataset"
)

const (
	maxNameGroups     = 3  // alphabetic, ideographic and phonetic
	maxNameComponents = 5  // family, given and middle name, prefix and suffix
	maxNameGroup      = 64 // characters
)

// nameTest matches person names (PS3.5 section 6.2.1). A key with one component group matches any group of a name; one with
// several must match each that is not empty. Spaces around components and delimiters at the end have no meaning.
type nameTest struct {
	groups []nameGroup
	words  []string // of the key, folded; nil unless the key is fuzzy
}

// nameGroup is a component group of a key. An empty one has no pattern.
type nameGroup struct {
	pattern *pattern
	carets  int
}

func newNameTest(value string, fuzzy bool) *nameTest {
	t := &nameTest{}
	name := fold(normalName(nil, []byte(value)))
	for group := range bytes.SplitSeq(name, []byte("=")) {
		g := nameGroup{carets: bytes.Count(group, []byte("^"))}
		if len(group) > 0 {
			g.pattern = newPattern(string(group), true)
		}
		t.groups = append(t.groups, g)
	}
	if fuzzy {
		t.words = strings.FieldsFunc(strings.ToLower(string(name)), betweenWords)
	}
	return t
}

func (t *nameTest) judge(v dataset.Value, _ place) Verdict { return anyText(v, false, t.match) }

func (t *nameTest) match(text []byte) bool {
	var short [128]byte
	name := normalName(short[:0], text)
	if !isASCII(name) {
		name = fold(slices.Clone(name)) // so that short stays on the stack
	}
	if len(name) == 0 {
		return false
	}
	return t.matchGroups(name) || t.words != nil && t.matchWords(name)
}

func (t *nameTest) matchGroups(name []byte) bool {
	if len(t.groups) == 1 {
		for more := true; more; {
			var group []byte
			group, name, more = bytes.Cut(name, []byte("="))
			if len(group) > 0 && t.groups[0].match(group) {
				return true
			}
		}
		return false
	}
	for _, g := range t.groups {
		var group []byte
		group, name, _ = bytes.Cut(name, []byte("="))
		if g.pattern != nil && (len(group) == 0 || !g.match(group)) {
			return false
		}
	}
	return true
}

// match reports whether a component group of a name matches. Components that the name lacks are empty: DOE is DOE^ as well, as
// long as the key names that component.
func (g nameGroup) match(group []byte) bool {
	if g.pattern.match(group) {
		return true
	}
	for range g.carets - bytes.Count(group, []byte("^")) {
		if group = append(slices.Clip(group), '^'); g.pattern.match(group) {
			return true
		}
	}
	return false
}

// matchWords reports whether each word of the key begins a word of the name.
func (t *nameTest) matchWords(name []byte) bool {
	if len(t.words) == 0 {
		return false
	}
	words := strings.FieldsFunc(strings.ToLower(string(name)), betweenWords)
	for _, wanted := range t.words {
		found := false
		for _, word := range words {
			found = found || strings.HasPrefix(word, wanted)
		}
		if !found {
			return false
		}
	}
	return true
}

func betweenWords(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
}

// normalName appends name to dst without the spaces around its components and without empty components and groups at the end.
func normalName(dst, name []byte) []byte {
	start := len(dst)
	for group := range bytes.SplitSeq(name, []byte("=")) {
		dst = append(appendGroup(dst, group), '=')
	}
	return trimEnd(dst, start, '=')
}

func appendGroup(dst, group []byte) []byte {
	start := len(dst)
	for component := range bytes.SplitSeq(group, []byte("^")) {
		dst = append(append(dst, bytes.TrimFunc(component, unicode.IsSpace)...), '^')
	}
	return trimEnd(dst, start, '^')
}

// trimEnd removes c from the end of b, but not before start.
func trimEnd(b []byte, start int, c byte) []byte {
	for len(b) > start && b[len(b)-1] == c {
		b = b[:len(b)-1]
	}
	return b
}

// validName reports whether s has a component, and at most the component groups and components of PN, each within its length.
func validName(s string) bool {
	if strings.Count(s, "=") >= maxNameGroups || strings.Trim(string(fold(normalName(nil, []byte(s)))), "=") == "" {
		return false
	}
	for group := range strings.SplitSeq(s, "=") {
		if strings.Count(group, "^") >= maxNameComponents || utf8.RuneCountInString(group)-strings.Count(group, "*") > maxNameGroup {
			return false
		}
	}
	return true
}
