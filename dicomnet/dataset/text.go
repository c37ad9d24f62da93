package dataset

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// MaxValues bounds the values of one element which Strings and Dataset return; further ones are passed over with
// [ValueMalformed]. (A megabyte of backslashes is a million empty strings.)
const MaxValues = 1 << 16

// String is the first value of a text element as UTF-8 without padding; "" where absent or empty. A binary integer (US,
// SS, UL, SL, SV, UV) is given in decimal, other binary values are "". An element whose VR is not known is read as LO.
//
// Padding are NULs at the end and spaces at both ends, at the end only for UC, UR and the VRs that are always one value
// (LT, ST, UT), where leading spaces carry meaning (PS3.5 section 6.2). CR, LF, FF and TAB stay in LT, ST and UT; any
// other control character becomes a space, with [ValueMalformed]. A value that is longer than its VR allows or has
// characters which it does not allow is returned as it is, with [ValueMalformed].
//
// Text is decoded by the Specific Character Set of the item, or else of what it is in. Where that is absent, empty,
// unknown or the default repertoire and there are bytes above 7F, text which is valid UTF-8 is taken as such and other
// text as ISO_IR 100; where its first value leaves G1 empty, text without an escape sequence is taken as in the first
// code extension that uses G1; bytes which it does not have are taken as of the Windows code page whose subset it is
// (1252, 949) or of Shift JIS for ISO_IR 13; all with [CharacterSetAssumed]. What remains undecodable is U+FFFD, with
// [TextUndecodable].
func (s *Set) String(t tag.Tag) string {
	e := s.find(number(t))
	if e == nil || e.len == 0 {
		return ""
	}
	raw := trimEnd(s.value(e))
	if text, ok := s.again(e, raw); ok {
		return text
	}
	v, tr := s.textVR(e)
	if tr.class != classText {
		return s.decimal(e, tr)
	}
	all := kindsOf(raw)
	if all&(unprintable|tilde|backslash|tr.outside) == 0 && len(raw) > 0 && raw[0] != ' ' && (tr.max == 0 || len(raw) <= tr.max) {
		value := s.plain(raw)
		s.keep(e, raw, value, keptValue{value: value})
		return value
	}
	text, cs, warn := s.text(raw, all, v, tr)
	value := text
	if !tr.single {
		value, _, _ = strings.Cut(text, "\\")
	}
	value, judged := finish(value, v, tr)
	warn |= judged
	s.warned(warn)
	s.keep(e, raw, text, keptValue{value: value, warn: warn, cs: cs})
	return value
}

// Strings are all values of a text element, split at backslashes (LT, ST, UT, UR: one), without padding; nil where
// absent or empty. See String; and MaxValues.
func (s *Set) Strings(t tag.Tag) []string { return s.AppendStrings(nil, t) }

// AppendStrings appends to dst what Strings gives.
func (s *Set) AppendStrings(dst []string, t tag.Tag) []string {
	e := s.find(number(t))
	if e == nil || e.len == 0 {
		return dst
	}
	return s.strings(dst, e, MaxValues)
}

// strings appends at most limit values.
func (s *Set) strings(dst []string, e *entry, limit int) []string {
	v, tr := s.textVR(e)
	if tr.class != classText {
		return s.decimals(dst, e, tr, limit)
	}
	raw := trimEnd(s.value(e))
	if len(raw) == 0 {
		return dst
	}
	text, _, warn := s.text(raw, kindsOf(raw), v, tr)
	s.warned(warn)
	if tr.single {
		return append(dst, s.finish(text, v, tr))
	}
	n := strings.Count(text, "\\") + 1
	if n > limit {
		n = limit
		s.warned(ValueMalformed)
	}
	dst = slices.Grow(dst, n)
	for range n {
		var value string
		value, text, _ = strings.Cut(text, "\\")
		dst = append(dst, s.finish(value, v, tr))
	}
	return dst
}

// textVR is the VR of an element that is read as text.
func (s *Set) textVR(e *entry) (vr, *traits) {
	v := s.vr(e)
	t := v.traits()
	if t == nil || t.class == classUnknown {
		return vrLO, vrLO.traits()
	}
	return v, t
}

func trimEnd(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == 0 || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	return b
}

// text is raw, in which there are all these kinds, as UTF-8; by the character set cs, nil where any would do.
func (s *Set) text(raw []byte, all kind, v vr, t *traits) (text string, cs *characterSet, warn Warning) {
	// Without the characters that are others in JIS X 0201, printable ASCII reads the same in any character set.
	national := t.charset && (all&tilde != 0 || all&backslash != 0 && t.single)
	if all&unprintable == 0 && !national {
		return s.plain(raw), nil, 0
	}
	if cs = s.characterSet(); all&unprintable == 0 && cs.g0 != romaji {
		return s.plain(raw), cs, 0
	}
	text, warn = decode(cs, raw, v, t)
	return text, cs, warn
}

func decode(cs *characterSet, raw []byte, v vr, t *traits) (string, Warning) {
	var short [384]byte
	d := textDecoder{cs: cs, t: t, pn: v == vrPN}
	switch {
	case d.cs.whole != nil: // makes its own buffer
	case 3*len(raw) <= len(short):
		d.dst = short[:0]
	default:
		d.dst = make([]byte, 0, 3*len(raw))
	}
	d.decode(raw)
	return string(d.dst), d.warn
}

func (s *Set) finish(value string, v vr, t *traits) string {
	value, warn := finish(value, v, t)
	s.warned(warn)
	return value
}

// finish takes the padding off one value and judges the rest.
func finish(value string, v vr, t *traits) (string, Warning) {
	value = strings.TrimRight(value, " ")
	if !t.leading {
		value = strings.TrimLeft(value, " ")
	}
	if t.max > 0 && len(value) > t.max && tooLong(value, v, t.max) || kindsOf(value)&t.outside != 0 {
		return value, ValueMalformed
	}
	return value, 0
}

func tooLong(value string, v vr, limit int) bool {
	if v != vrPN {
		return utf8.RuneCountInString(value) > limit
	}
	for group := range strings.SplitSeq(value, "=") {
		if utf8.RuneCountInString(group) > limit {
			return true
		}
	}
	return false
}

func (s *Set) decimal(e *entry, t *traits) string {
	if n, ok := s.integer(e, t, 0); ok {
		return strconv.FormatInt(n, 10)
	}
	return ""
}

func (s *Set) decimals(dst []string, e *entry, t *traits, limit int) []string {
	for i := range limit {
		n, ok := s.integer(e, t, i)
		if !ok {
			break
		}
		dst = append(dst, strconv.FormatInt(n, 10))
	}
	return dst
}
