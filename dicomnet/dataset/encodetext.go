package dataset

import (
	"strings"
	"unicode/utf8"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// repertoireOf is what a (0008,0005) to be written says; an empty one in an item says nothing.
func repertoireOf(e *dicom.Element, outer repertoire) (repertoire, error) {
	if e.Value == nil {
		return outer, nil
	}
	values, ok := e.Value.GetValue().([]string)
	if !ok {
		return outer, &ValueError{e.Tag, "value is not of VR CS"}
	}
	name := strings.Join(values, "\\")
	if strings.Trim(name, " \x00\\") == "" {
		return outer, nil
	}
	cs := parseCharacterSet([]byte(strings.Trim(name, " \x00")))
	if cs.unknown {
		return outer, &ValueError{e.Tag, "is no known character set"}
	}
	return repertoire{set: cs, name: name}, nil
}

// text writes the values of a text element, without the padding to even length.
func (w *writer) text(t tag.Tag, values []string, v vr, tr *traits, rep repertoire) error {
	if tr.single && len(values) > 1 {
		return &ValueError{t, "VR " + v.String() + " has one value"}
	}
	if !tr.charset {
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
		if reason := unwritable(value, tr); reason != "" {
			return &ValueError{t, reason}
		}
		if !w.characters(value, v, tr, rep.set) {
			return &RepertoireError{Tag: t, CharacterSet: rep.name}
		}
	}
	return nil
}

// unwritable tells why no character set can carry the value.
func unwritable(value string, t *traits) string {
	if !utf8.ValidString(value) {
		return "value is not valid UTF-8"
	}
	for _, r := range value {
		switch {
		case r == '\\' && !t.single:
			return "value holds a backslash, the delimiter of values"
		case (r < 0x20 || r >= 0x7f && r < 0xa0) && !(t.lines && isLineControl(r)):
			return "value holds a control character"
		}
	}
	return ""
}

// characters writes one value in the character set; false if it does not fit.
func (w *writer) characters(value string, v vr, t *traits, cs *characterSet) bool {
	switch {
	case cs.utf8:
		w.b = append(w.b, value...)
	case cs.whole != nil:
		if cs == gbk && strings.ContainsRune(value, '€') {
			return false // x/text follows Windows, which puts it at 80; GBK does not have it
		}
		encoded, err := cs.whole.NewEncoder().String(value)
		if err != nil {
			return false
		}
		w.b = append(w.b, encoded...)
	default:
		enc := textEncoder{dst: w.b, cs: cs, g0: cs.g0, g1: cs.g1, pn: v == vrPN, single: t.single}
		if !enc.encode(value) {
			return false
		}
		w.b = enc.dst
	}
	return true
}

// textEncoder writes text with code extensions (PS3.5 section 6.1.2.5).
type textEncoder struct {
	dst    []byte
	cs     *characterSet
	g0, g1 *codeSet // as they are where the encoder stands
	pn     bool
	single bool // backslash is no delimiter
}

// encode writes one value. As PS3.5 section 6.1.2.5.3 asks, G0 is back in its first state before every control character,
// before the delimiters within a name and at the end. G1 is back there by the delimiter itself (PS3.5 annexes I and K).
func (c *textEncoder) encode(value string) bool {
	for _, r := range value {
		delimiter := r < 0x20 || c.pn && (r == '^' || r == '=')
		if delimiter {
			c.reset()
		}
		if !c.character(r) {
			return false
		}
	}
	c.reset()
	return true
}

func (c *textEncoder) reset() {
	if c.g0 != c.cs.g0 {
		c.dst = append(c.dst, c.cs.g0.g0...)
	}
	c.g0, c.g1 = c.cs.g0, c.cs.g1
}

func (c *textEncoder) character(r rune) bool {
	// What can be said without an escape sequence is; then G0 goes back to its first state, where ASCII is.
	if c.put(r, c.g0, 0) || c.put(r, c.g1, 0x80) {
		return true
	}
	for _, set := range append([]*codeSet{c.cs.g0, c.cs.g1}, c.cs.extensions...) {
		if _, ok := c.code(r, set); !ok {
			continue
		}
		if set.g1 != "" {
			c.g1 = set
			c.dst = append(c.dst, set.g1...)
			return c.put(r, set, 0x80)
		}
		c.g0 = set
		c.dst = append(c.dst, set.g0...)
		return c.put(r, set, 0)
	}
	return false
}

// put writes r if the set has it.
func (c *textEncoder) put(r rune, set *codeSet, high byte) bool {
	code, ok := c.code(r, set)
	if !ok {
		return false
	}
	if set.double != nil {
		c.dst = append(c.dst, byte(code>>8)|high)
	}
	c.dst = append(c.dst, byte(code)|high)
	return true
}

func (c *textEncoder) code(r rune, set *codeSet) (uint16, bool) {
	if set == nil {
		return 0, false
	}
	if set.double != nil {
		code, ok := set.double().codes[r]
		return code, ok
	}
	code, ok := set.single.encode(r)
	if code == '\\' && set == romaji && !c.single {
		return 0, false // a yen sign would be read as the delimiter of values
	}
	return uint16(code), ok
}
