package dataset

import (
	"bytes"
	"cmp"
	"iter"
	"math"
	"slices"
)

// Value is the value of one element of a [Set]. It is valid as long as the Set, and refers to the same buffer.
type Value struct {
	set    *Set
	entry  *entry
	vr     vr
	traits *traits
}

// Kind is how a value is encoded (PS3.5 section 6.2). It decides which methods of a [Value] return it.
type Kind uint8

// The kinds.
const (
	KindText     Kind = iota // AppendStrings
	KindSigned               // Signed
	KindUnsigned             // Unsigned
	KindFloat                // Float
	KindTag                  // TagAt
	KindBinary               // Words
	KindSequence             // Items
)

var kinds = [...]Kind{
	classUnknown: KindBinary, classText: KindText, classSigned: KindSigned, classUnsigned: KindUnsigned, classTag: KindTag,
	classFloat: KindFloat, classBytes: KindBinary, classSequence: KindSequence,
}

// Values iterates over the elements of the top level in ascending order of their tags, each tag once, without group lengths.
func (s *Set) Values() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		entries := s.sortedEntries()
		for i := range entries {
			if !yield(s.valueOf(&entries[i])) {
				return
			}
		}
	}
}

// Value returns the value of an element, false if the element is absent.
func (s *Set) Value(t Tag) (Value, bool) {
	e := s.find(tagNumber(t))
	if e == nil {
		return Value{}, false
	}
	return s.valueOf(e), true
}

// sortedEntries returns the entries in ascending order, the first of each tag.
func (s *Set) sortedEntries() []entry {
	if !s.unsorted {
		return s.entries
	}
	entries := slices.Clone(s.entries)
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.tag, b.tag) })
	return slices.CompactFunc(entries, func(a, b entry) bool { return a.tag == b.tag })
}

func (s *Set) valueOf(e *entry) Value {
	v := s.elementVR(e)
	t := v.traits()
	if t.class == classUnknown && s.isSequence(e) {
		v, t = vrSQ, vrSQ.traits()
	}
	return Value{set: s, entry: e, vr: v, traits: t}
}

// Tag returns the tag of the element.
func (v Value) Tag() Tag { return tagOf(v.entry.tag) }

// Empty reports whether the element has no value: no text but padding, no item, or no bytes.
func (v Value) Empty() bool {
	return len(v.set.value(v.entry)) == 0 || v.traits.class == classText && len(v.Unpadded()) == 0
}

// VR returns the value representation, such as CS: that of the element if the standard defines it, else that of the dictionary. It is
// SQ for an element of unknown VR that consists of items, and UN for any other that the dictionary does not have.
func (v Value) VR() string { return v.traits.name }

// Kind returns how the value is encoded.
func (v Value) Kind() Kind { return kinds[v.traits.class] }

// Encapsulated reports whether the value is a sequence of fragments (PS3.5 annex A.4). Words returns nothing for it.
func (v Value) Encapsulated() bool { return v.entry.flags&flagFragments != 0 }

// Multiple reports whether the VR is one whose text a backslash separates into values.
func (v Value) Multiple() bool { return v.traits.class == classText && !v.traits.singleValued }

// Unpadded returns the encoded text without its padding, in the character set of the sender. It removes what [Set.String] removes.
func (v Value) Unpadded() []byte {
	b := trimTrailingPadding(v.set.value(v.entry))
	if !v.traits.leadingSpaces {
		for len(b) > 0 && b[0] == ' ' {
			b = b[1:]
		}
	}
	return b
}

// AppendStrings appends the values of a text element to dst, as [Set.Strings] returns them.
func (v Value) AppendStrings(dst []string) []string {
	if v.entry.len == 0 || v.traits.class != classText {
		return dst
	}
	return v.set.strings(dst, v.entry, MaxValues)
}

// Signed returns value i, from 0, of a signed binary integer. It returns false if there is none.
func (v Value) Signed(i int) (int64, bool) {
	if v.traits.class != classSigned {
		return 0, false
	}
	return v.set.integer(v.entry, v.traits, i)
}

// Unsigned returns value i, from 0, of an unsigned binary integer. It returns false if there is none.
func (v Value) Unsigned(i int) (uint64, bool) {
	if v.traits.class != classUnsigned {
		return 0, false
	}
	return v.bits(i)
}

// Float returns value i, from 0, of a binary floating-point number. It returns false if there is none. size is 32 or 64, the bits of
// the VR.
func (v Value) Float(i int) (f float64, size int, ok bool) {
	if v.traits.class != classFloat {
		return 0, 0, false
	}
	bits, ok := v.bits(i)
	if v.traits.size == 4 {
		return float64(math.Float32frombits(uint32(bits))), 32, ok
	}
	return math.Float64frombits(bits), 64, ok
}

// TagAt returns value i, from 0, of an attribute tag. It returns false if there is none.
func (v Value) TagAt(i int) (Tag, bool) {
	b := v.set.value(v.entry)
	if v.traits.class != classTag || len(b) < 4*i+4 {
		return Tag{}, false
	}
	return tagOf(v.set.valueLayout(v.entry).tag(b[4*i:])), true
}

// Words returns the value of a binary element in little endian order, with the padding of the sender. The result may refer to the
// buffer of the set. It is nil for an encapsulated value.
func (v Value) Words() []byte {
	switch {
	case v.Kind() != KindBinary || v.Encapsulated():
		return nil
	case v.traits.size > 1 && v.set.valueLayout(v.entry) == explicitBE:
		return v.set.words(v.entry, int(v.traits.size))
	}
	return v.set.value(v.entry)
}

// Items returns the items of a sequence, as [Set.Items] does.
func (v Value) Items() []*Set {
	if v.traits.class != classSequence {
		return nil
	}
	return v.set.items(v.entry)
}

// bits returns binary value i.
func (v Value) bits(i int) (uint64, bool) {
	size := int(v.traits.size)
	b := v.set.value(v.entry)
	if len(b) < (i+1)*size {
		if len(b) > i*size {
			v.set.addWarning(ValueMalformed)
		}
		return 0, false
	}
	return v.set.valueLayout(v.entry).unsigned(b[i*size : (i+1)*size]), true
}

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
