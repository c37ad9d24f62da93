package dataset

import (
	"bytes"
	"iter"
)

// Texts iterates over the values of a text element as UTF-8 without padding. They are the values that [Set.Strings] returns, with
// the same warnings and the same limit, and it reads UN as LO. It yields nothing for other VRs. A value is valid until the next one,
// and must not be changed. Printable ASCII costs no allocation.
func (v Value) Texts() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		text, vr, tr := v.text()
		if len(text) == 0 {
			return
		}
		if tr.singleValued {
			yield(v.set.trimAndCheckBytes(text, vr, tr))
			return
		}
		for n := 0; ; n++ {
			if n == MaxValues {
				v.set.addWarning(ValueMalformed)
				return
			}
			i := bytes.IndexByte(text, '\\')
			if i < 0 {
				yield(v.set.trimAndCheckBytes(text, vr, tr))
				return
			}
			if !yield(v.set.trimAndCheckBytes(text[:i], vr, tr)) {
				return
			}
			text = text[i+1:]
		}
	}
}

// text returns the decoded text of all values without the padding at the end, and how to read it; nil if the element is empty or
// no text.
func (v Value) text() ([]byte, vr, *traits) {
	name, tr := v.vr, v.traits
	if tr.class == classUnknown {
		name, tr = vrLO, vrLO.traits()
	}
	raw := trimTrailingPadding(v.set.value(v.entry))
	if len(raw) == 0 || tr.class != classText {
		return nil, name, tr
	}
	kinds := kindsIn(raw)
	national := tr.usesCharacterSet && (kinds&tilde != 0 || kinds&backslash != 0 && tr.singleValued)
	if kinds&unprintable == 0 && (!national || v.set.characterSet().g0 != romaji) {
		return raw, name, tr
	}
	d := textDecoder{cs: v.set.characterSet(), traits: tr, isName: name == vrPN}
	if d.cs.standalone == nil { // else the decoder allocates
		d.dst = make([]byte, 0, 3*len(raw))
	}
	d.decode(raw)
	v.set.addWarning(d.warnings)
	return d.dst, name, tr
}

// trimAndCheckBytes is trimAndCheck for the bytes of one value.
func (s *Set) trimAndCheckBytes(value []byte, v vr, t *traits) []byte {
	value = bytes.TrimRight(value, " ")
	if !t.leadingSpaces {
		value = bytes.TrimLeft(value, " ")
	}
	if t.maxLength > 0 && len(value) > t.maxLength && tooLong(string(value), v, t.maxLength) || kindsIn(value)&t.forbidden != 0 {
		s.addWarning(ValueMalformed)
	}
	return value
}
