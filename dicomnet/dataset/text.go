package dataset

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// MaxValues limits the number of values of one element that Strings and Dataset return. They omit
// further values, with [ValueMalformed]. (A megabyte of backslashes would be a million empty
// strings.)
const MaxValues = 1 << 16

// MaxText limits the encoded text, in bytes, that String, Text, Single and AppendTexts decode. They
// cut longer text, with [TextCut]. It is longer than any value of a VR with a maximum length.
const MaxText = 16 << 10

// String returns the first value of a text element as UTF-8 without padding; "" if it is absent or
// empty. A binary integer (US, SS, UL, SL, SV, UV) is returned in decimal; other binary values give
// "". An element whose VR is unknown is read as LO.
//
// Padding is NULs at the end and spaces at both ends. In UC, UR and the VRs with always one value
// (LT, ST, UT) leading spaces are significant (PS3.5 section 6.2), so only those at the end are
// removed. CR, LF, FF and TAB are kept in LT, ST and UT; any other control character becomes a
// space, with [ValueMalformed]. A value that is too long for its VR, or has characters that the VR
// does not allow, is returned as it is, with [ValueMalformed].
//
// Text is decoded by the Specific Character Set of the item, or else of the enclosing item or data
// set. In these cases the character set is assumed, with [CharacterSetAssumed]:
//
//   - Specific Character Set is absent, empty, unknown or the default repertoire, and there are
//     bytes above 7F: text that is valid UTF-8 is decoded as UTF-8, other text as ISO_IR 100.
//   - The first value of Specific Character Set leaves G1 empty, and there are bytes above 7F that
//     no escape sequence gave a meaning: they are decoded by the first code extension that uses G1.
//   - Bytes that the character set does not have are decoded by the Windows code page that extends
//     the set (1252, 949), or by Shift JIS for ISO_IR 13.
//
// What remains undecodable becomes U+FFFD, with [TextUndecodable].
func (s *Set) String(t tag.Tag) string {
	e := s.find(tagNumber(t))
	if e == nil || e.len == 0 {
		return ""
	}
	raw := s.textOf(e)
	if text, ok := s.cachedString(e, raw, firstOfSeveral); ok {
		return text
	}
	return s.firstValue(e, raw, kindsIn(raw))
}

// firstValue is String for an element with the value raw, whose bytes are of the given kinds.
func (s *Set) firstValue(e *entry, raw []byte, kinds byteKind) string {
	v, tr := s.textVR(e)
	if tr.class != classText {
		return s.decimal(e, tr)
	}
	if kinds&(unprintable|tilde|backslash|tr.forbidden) == 0 && len(raw) > 0 && raw[0] != ' ' &&
		(tr.maxLength == 0 || len(raw) <= tr.maxLength) {
		value := s.copyString(raw)
		s.cacheString(e, raw, value, cachedValue{value: value})
		return value
	}
	text, cs, warn := s.decodeText(raw, kinds, v, tr)
	value := text
	if !tr.singleValued {
		value, _, _ = strings.Cut(text, "\\")
	}
	value, checkWarnings := trimAndCheck(value, v, tr)
	warn |= checkWarnings
	s.addWarning(warn)
	s.cacheString(e, raw, text, cachedValue{value: value, warn: warn, cs: cs, backslash: kinds&backslash != 0})
	return value
}

// Text returns the whole text of an element as one value, decoded and without padding like
// [Set.String]; "" if it is absent or empty. It is meant for attributes whose VM is 1: if a sender
// writes a backslash into the value of one, it is a character of the value. In LT, ST, UT and UR,
// and in any value without a backslash, Text and String return the same.
//
// A byte 5C that is part of a character of several bytes is no backslash. In JIS X 0201 (ISO_IR 13)
// it is a yen sign, which String and Strings take for the separator of values.
func (s *Set) Text(t tag.Tag) string {
	e := s.find(tagNumber(t))
	if e == nil || e.len == 0 {
		return ""
	}
	text, _ := s.text(e)
	return text
}

func (s *Set) text(e *entry) (text string, hasBackslash bool) {
	raw := s.textOf(e)
	if text, ok := s.cachedString(e, raw, wholeText); ok {
		return text, false
	}
	kinds := kindsIn(raw)
	if kinds&backslash == 0 { // then the text has none either, in every character set
		return s.firstValue(e, raw, kinds), false
	}
	v, tr := s.textVR(e)
	if tr.class != classText || tr.singleValued {
		text = s.firstValue(e, raw, kinds)
	} else {
		single := *tr
		single.singleValued = true
		var warn Warnings
		text, _, warn = s.decodeText(raw, kinds, v, &single)
		s.addWarning(warn)
		text = s.trimAndCheck(text, v, tr)
	}
	return text, strings.Contains(text, `\`)
}

// WholeText is the text of an element.
type WholeText struct {
	Value        string // as [Set.Text] returns it
	HasBackslash bool   // Value has a backslash
}

// AppendTexts appends the text of the element of each tag to dst. Tags that ascend are read fastest.
func (s *Set) AppendTexts(dst []WholeText, tags []tag.Tag) []WholeText {
	at := 0
	for _, t := range tags {
		n := tagNumber(t)
		for at < len(s.entries) && s.entries[at].tag < n {
			at++
		}
		var e *entry
		switch {
		case s.unsorted || at > 0 && s.entries[at-1].tag >= n:
			e = s.find(n)
		case at < len(s.entries) && s.entries[at].tag == n:
			e = &s.entries[at]
		}
		if e == nil || e.len == 0 {
			dst = append(dst, WholeText{})
			continue
		}
		text, hasBackslash := s.text(e)
		dst = append(dst, WholeText{text, hasBackslash})
	}
	return dst
}

// Single returns what [Set.String] returns if the encoded value has no backslash, which means that
// it is the only value. Otherwise ok is false, and nothing is decoded.
func (s *Set) Single(t tag.Tag) (value string, ok bool) {
	e := s.find(tagNumber(t))
	if e == nil || e.len == 0 {
		return "", true
	}
	raw := s.textOf(e)
	if text, ok := s.cachedString(e, raw, wholeText); ok {
		return text, true
	}
	kinds := kindsIn(raw)
	if kinds&backslash != 0 {
		return "", false
	}
	return s.firstValue(e, raw, kinds), true
}

// Strings returns all values of a text element without padding, split at backslashes (LT, ST, UT
// and UR have one value); nil if it is absent or empty. It decodes like [Set.String] and returns at
// most [MaxValues] values.
func (s *Set) Strings(t tag.Tag) []string { return s.AppendStrings(nil, t) }

// AppendStrings appends the values that [Set.Strings] returns to dst.
func (s *Set) AppendStrings(dst []string, t tag.Tag) []string {
	e := s.find(tagNumber(t))
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
	raw := trimTrailingPadding(s.value(e))
	if len(raw) == 0 {
		return dst
	}
	text, _, warn := s.decodeText(raw, kindsIn(raw), v, tr)
	s.addWarning(warn)
	if tr.singleValued {
		return append(dst, s.trimAndCheck(text, v, tr))
	}
	n := strings.Count(text, "\\") + 1
	if n > limit {
		n = limit
		s.addWarning(ValueMalformed)
	}
	dst = slices.Grow(dst, n)
	for range n {
		var value string
		value, text, _ = strings.Cut(text, "\\")
		dst = append(dst, s.trimAndCheck(value, v, tr))
	}
	return dst
}

// textVR returns the VR that determines how to read an element as text.
func (s *Set) textVR(e *entry) (vr, *traits) {
	v := s.elementVR(e)
	t := v.traits()
	if t == nil || t.class == classUnknown {
		return vrLO, vrLO.traits()
	}
	return v, t
}

// textOf returns the encoded text of an element without the padding at its end, at most MaxText bytes.
func (s *Set) textOf(e *entry) []byte {
	raw := s.value(e)
	if len(raw) > MaxText {
		raw = raw[:MaxText]
		s.addWarning(TextCut)
	}
	return trimTrailingPadding(raw)
}

// trimTrailingPadding removes the NULs and spaces at the end.
func trimTrailingPadding(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == 0 || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	return b
}

// decodeText decodes raw, whose bytes are of the given kinds. cs is the character set that it used,
// nil if the result is the same in every character set.
func (s *Set) decodeText(raw []byte, kinds byteKind, v vr, t *traits) (text string, cs *characterSet, warn Warnings) {
	// Printable ASCII reads the same in every character set, except for the characters that JIS X
	// 0201 replaces.
	national := t.usesCharacterSet && (kinds&tilde != 0 || kinds&backslash != 0 && t.singleValued)
	if kinds&unprintable == 0 && !national {
		return s.copyString(raw), nil, 0
	}
	if cs = s.characterSet(); kinds&unprintable == 0 && cs.g0 != romaji {
		return s.copyString(raw), cs, 0
	}
	text, warn = decodeBytes(cs, raw, v, t)
	return text, cs, warn
}

// decodeBytes decodes raw in the character set cs.
func decodeBytes(cs *characterSet, raw []byte, v vr, t *traits) (string, Warnings) {
	var short [384]byte
	d := textDecoder{cs: cs, traits: t, isName: v == vrPN}
	switch {
	case d.cs.standalone != nil: // decodeStandalone allocates its own buffer
	case 3*len(raw) <= len(short):
		d.dst = short[:0]
	default:
		d.dst = make([]byte, 0, 3*len(raw))
	}
	d.decode(raw)
	return string(d.dst), d.warnings
}

// trimAndCheck is the function trimAndCheck with the warnings added to those of the set.
func (s *Set) trimAndCheck(value string, v vr, t *traits) string {
	value, warn := trimAndCheck(value, v, t)
	s.addWarning(warn)
	return value
}

// trimAndCheck removes the padding of one value and checks its length and characters.
func trimAndCheck(value string, v vr, t *traits) (string, Warnings) {
	value = strings.TrimRight(value, " ")
	if !t.leadingSpaces {
		value = strings.TrimLeft(value, " ")
	}
	if t.maxLength > 0 && len(value) > t.maxLength && tooLong(value, v, t.maxLength) || kindsIn(value)&t.forbidden != 0 {
		return value, ValueMalformed
	}
	return value, 0
}

// tooLong reports whether a value, or a component group of a person name, has more than limit
// characters.
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

// decimal returns the first integer of a binary element, "" if there is none.
func (s *Set) decimal(e *entry, t *traits) string {
	if n, ok := s.integer(e, t, 0); ok {
		return strconv.FormatInt(n, 10)
	}
	return ""
}

// decimals appends at most limit integers of a binary element.
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
