package dataset

import (
	"strings"
	"unicode/utf8"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// repertoireOf returns the character set that e, a Specific Character Set to be written, names. An
// empty e in an item leaves the outer character set in effect.
func repertoireOf(e *dicom.Element, outer repertoire) (repertoire, error) {
	if e.Value == nil {
		return outer, nil
	}
	values, ok := e.Value.GetValue().([]string)
	if !ok {
		return outer, &ValueError{e.Tag, "value does not match VR CS"}
	}
	name := strings.Join(values, "\\")
	if strings.Trim(name, " \x00\\") == "" {
		return outer, nil
	}
	cs := parseCharacterSet([]byte(strings.Trim(name, " \x00")))
	if cs.unknown {
		return outer, &ValueError{e.Tag, "unknown character set"}
	}
	return repertoire{set: cs, name: name}, nil
}

// text writes the values of a text element, without the padding to even length.
func (w *writer) text(t tag.Tag, values []string, v vr, tr *traits, rep repertoire) error {
	if tr.singleValued && len(values) > 1 {
		return &ValueError{t, "VR " + v.String() + " allows only one value"}
	}
	if !tr.usesCharacterSet {
		rep = repertoire{set: defaultRepertoire}
	}
	for i, value := range values {
		if i > 0 {
			w.b = append(w.b, '\\')
		}
		value = strings.TrimRight(value, "\x00")
		if i == len(values)-1 && len(values) > 0 {
			value = strings.TrimRight(value, " \x00")
		}
		if reason := invalidTextReason(value, tr); reason != "" {
			return &ValueError{t, reason}
		}
		if !w.characters(value, v, tr, rep.set) {
			return &RepertoireError{Tag: t, CharacterSet: rep.name}
		}
	}
	return nil
}

// invalidTextReason returns why the value is invalid in every character set, "" if it is not.
func invalidTextReason(value string, t *traits) string {
	if !utf8.ValidString(value) {
		return "value is not valid UTF-8"
	}
	for _, r := range value {
		switch {
		case r == '\\' && !t.singleValued:
			return "value contains a backslash, which separates values"
		case (r < 0x20 || r >= 0x7f && r < 0xa0) && !(t.multiline && isLineControl(r)):
			return "value contains a control character"
		}
	}
	return ""
}

// characters writes one value in the character set. It returns false if the character set lacks one
// of its characters.
func (w *writer) characters(value string, v vr, t *traits, cs *characterSet) bool {
	switch {
	case cs.utf8:
		w.b = append(w.b, value...)
	case cs.standalone != nil:
		if cs == gbk && strings.ContainsRune(value, '€') {
			return false // x/text follows Windows, which has it at 80; GBK does not have it
		}
		encoded, err := cs.standalone.NewEncoder().String(value)
		if err != nil {
			return false
		}
		w.b = append(w.b, encoded...)
	default:
		enc := textEncoder{dst: w.b, cs: cs, g0: cs.g0, g1: cs.g1, isName: v == vrPN, singleValued: t.singleValued}
		if !enc.encode(value) {
			return false
		}
		w.b = enc.dst
	}
	return true
}

// textEncoder encodes text with code extensions (PS3.5 section 6.1.2.5).
type textEncoder struct {
	dst          []byte
	cs           *characterSet
	g0, g1       *codeSet // the sets designated at the current position
	isName       bool
	singleValued bool // backslash is not a separator
}

// encode encodes one value. As PS3.5 section 6.1.2.5.3 requires, it returns G0 to its initial set
// before every control character, before the delimiters within a name and at the end. The delimiter
// itself returns G1 to its initial set (PS3.5 annexes I and K).
func (c *textEncoder) encode(value string) bool {
	for _, r := range value {
		delimiter := r < 0x20 || c.isName && (r == '^' || r == '=')
		if delimiter {
			c.resetSets()
		}
		if !c.encodeRune(r) {
			return false
		}
	}
	c.resetSets()
	return true
}

// resetSets returns G0 and G1 to the initial sets.
func (c *textEncoder) resetSets() {
	if c.g0 != c.cs.g0 {
		c.dst = append(c.dst, c.cs.g0.escapeG0...)
	}
	c.g0, c.g1 = c.cs.g0, c.cs.g1
}

// encodeRune appends one character, with an escape sequence if it needs one. It returns false if no
// set has the character.
func (c *textEncoder) encodeRune(r rune) bool {
	// Prefer the sets that need no escape sequence. After them, the initial G0, which has ASCII.
	if c.appendCode(r, c.g0, 0) || c.appendCode(r, c.g1, 0x80) {
		return true
	}
	for _, set := range append([]*codeSet{c.cs.g0, c.cs.g1}, c.cs.extensions...) {
		if _, ok := c.codeOf(r, set); !ok || set.isCodePage {
			continue // no escape sequence returns to a code page
		}
		if set.escapeG1 != "" {
			c.g1 = set
			c.dst = append(c.dst, set.escapeG1...)
			return c.appendCode(r, set, 0x80)
		}
		c.g0 = set
		c.dst = append(c.dst, set.escapeG0...)
		return c.appendCode(r, set, 0)
	}
	return false
}

// appendCode appends the code of r, with the high bits given, if the set has r.
func (c *textEncoder) appendCode(r rune, set *codeSet, high byte) bool {
	code, ok := c.codeOf(r, set)
	if !ok {
		return false
	}
	if set.doubleByte != nil {
		c.dst = append(c.dst, byte(code>>8)|high)
	}
	c.dst = append(c.dst, byte(code)|high)
	return true
}

// codeOf returns the code of r in G0 form, and whether the set has r.
func (c *textEncoder) codeOf(r rune, set *codeSet) (uint16, bool) {
	if set == nil {
		return 0, false
	}
	if set.doubleByte != nil {
		code, ok := set.doubleByte().codes[r]
		return code, ok
	}
	code, ok := set.singleByte.encode(r)
	if code == '\\' && set == romaji && !c.singleValued {
		return 0, false // a yen sign would be read as the separator of values
	}
	return uint16(code), ok
}
