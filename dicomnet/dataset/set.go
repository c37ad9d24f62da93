package dataset

import (
	"iter"
	"strings"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// Set is a read-only view of one data set or sequence item. It refers to the caller's buffer, which
// must not change while the Set is in use. Values are decoded on demand; strings and numbers that
// methods return do not refer to the buffer.
//
// If an element occurs twice, which PS3.5 section 7.1 forbids, the first counts: a later element
// cannot change the meaning of what was read before. A Set may be used by one goroutine at a time.
type Set struct {
	buf      []byte
	entries  []entry
	unsorted bool
	layout   layout
	// signedPixels reports that Pixel Representation was not 0 in the data set that a Keeper copied.
	signedPixels bool
	depth        int
	lim          Limits
	parent       *Set
	warnings     *Warnings // shared by the whole data set
	cs           *characterSet
	lastFound    int         // index in entries of the last element that find returned
	cache        *valueCache // nil unless a Parser made the Set, like slab
	slab         *strings.Builder
}

// Len returns the number of elements at the top level, without group lengths.
func (s *Set) Len() int { return len(s.entries) }

// Tags iterates over the tags of the top level in the order of the data set, without group lengths.
func (s *Set) Tags() iter.Seq[tag.Tag] {
	return func(yield func(tag.Tag) bool) {
		for _, e := range s.entries {
			if !yield(tagOf(e.tag)) {
				return
			}
		}
	}
}

// Has reports whether the element is present, even if empty.
func (s *Set) Has(t tag.Tag) bool { return s.find(tagNumber(t)) != nil }

// HasVR reports whether the element is read with the given VR, such as CS: its own VR if the
// standard defines it, else that of the dictionary. It is false if the element is absent.
func (s *Set) HasVR(t tag.Tag, vr string) bool {
	e := s.find(tagNumber(t))
	return e != nil && s.elementVR(e) == vrOf(vr)
}

// CodeString returns what [Set.Bytes] returns, and whether [Set.HasVR] reports CS.
func (s *Set) CodeString(t tag.Tag) (raw []byte, isCS bool) {
	e := s.find(tagNumber(t))
	if e == nil {
		return nil, false
	}
	return s.value(e), s.elementVR(e) == vrCS
}

// Bytes returns the encoded value of an element, with the padding, byte order and character set of
// the sender. The value of a sequence is its encoded items. The result refers to the buffer.
func (s *Set) Bytes(t tag.Tag) ([]byte, bool) {
	e := s.find(tagNumber(t))
	if e == nil {
		return nil, false
	}
	return s.value(e), true
}

// Items returns the items of a sequence, nil if there are none. Of a sequence that is malformed
// inside it returns the items before the fault, with [ValueMalformed]. Warnings from reading an
// item appear in Warnings of the whole data set.
func (s *Set) Items(t tag.Tag) []*Set {
	if e := s.find(tagNumber(t)); e != nil {
		return s.items(e)
	}
	return nil
}

// Warnings returns the warnings so far; reading a value may add to them. An item shares the
// warnings of the whole data set.
func (s *Set) Warnings() Warnings { return *s.warnings }

// TransferSyntax returns the transfer syntax in which the set is encoded. With
// [TransferSyntaxAssumed] it differs from the one given to Parse. That of an item may differ from
// that of the data set (CP-246).
func (s *Set) TransferSyntax() TransferSyntax {
	return [...]TransferSyntax{ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian}[s.layout]
}

func (s *Set) items(e *entry) []*Set {
	if e.len == 0 {
		return nil
	}
	if !s.isSequence(e) {
		s.addWarning(ValueMalformed)
		return nil
	}
	var items []*Set
	w := s.walker()
	if _, err := w.sequence(s, &items, *e, int(e.off)+int(e.len), s.depth+1); err != nil {
		s.addWarning(ValueMalformed)
	}
	return items
}

// isSequence reports whether the value of e can consist of items.
func (s *Set) isSequence(e *entry) bool {
	if e.flags&flagUndefinedLength != 0 {
		return e.flags&flagFragments == 0
	}
	return s.elementVR(e) == vrSQ || e.looksLikeSequence(s.buf)
}

func (s *Set) walker() walker {
	return walker{buf: s.buf, lim: s.lim, warnings: s.warnings, paddingStart: len(s.buf)}
}

// child returns an empty Set for an item of s.
func (s *Set) child(l layout, depth int) *Set {
	return &Set{buf: s.buf, layout: l, depth: depth, lim: s.lim, parent: s, warnings: s.warnings}
}

func (s *Set) add(e entry) {
	if n := len(s.entries); n > 0 && s.entries[n-1].tag >= e.tag {
		s.unsorted = true
	}
	s.entries = append(s.entries, e)
}

// tagNumber returns t as one number, group first, which sorts as tags do.
func tagNumber(t tag.Tag) uint32 { return uint32(t.Group)<<16 | uint32(t.Element) }

// tagOf is the inverse of tagNumber.
func tagOf(n uint32) tag.Tag { return tag.Tag{Group: uint16(n >> 16), Element: uint16(n)} }

// find returns the entry of an element, nil if it is absent. It runs for each key of each match, so
// the search is written out, and it starts from the last element found: callers mostly ask for keys
// in the order of tags.
func (s *Set) find(t uint32) *entry {
	low, high := 0, len(s.entries)
	switch {
	case s.unsorted:
		for low < high && s.entries[low].tag != t {
			low++
		}
	case s.lastFound < high && s.entries[s.lastFound].tag <= t:
		for low = s.lastFound; low < high && s.entries[low].tag < t; low++ {
			if low == s.lastFound+maxSteps {
				low = s.search(low, t)
				break
			}
		}
	default:
		low = s.search(0, t)
	}
	if low < high && s.entries[low].tag == t {
		s.lastFound = low
		return &s.entries[low]
	}
	return nil
}

// maxSteps is how many entries find looks at one by one before it searches binarily.
const maxSteps = 6

// search returns the index of the first entry, from low on, whose tag is not below t.
func (s *Set) search(low int, t uint32) int {
	for high := len(s.entries); low < high; {
		if middle := (low + high) / 2; s.entries[middle].tag < t {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// elementVR returns the VR of an element: its own if the standard defines it, else that of the
// dictionary (PS3.5 section 6.2.2 for UN). If the dictionary has US and SS, it is SS if Pixel
// Representation is not 0 (PS3.3 section C.7.6.3.1).
func (s *Set) elementVR(e *entry) vr {
	if e.vr != vrUN && e.vr.traits() != nil {
		return e.vr
	}
	v := dictionaryEntry(tagOf(e.tag))
	if v&orSS == 0 {
		return v
	}
	if s.hasSignedPixels() {
		return vrSS
	}
	return vrUS
}

// hasSignedPixels reports whether Pixel Representation of the item, or else of the enclosing item
// or data set, says that pixels are signed.
func (s *Set) hasSignedPixels() bool {
	for ; s != nil; s = s.parent {
		if s.signedPixels {
			return true
		}
		if e := s.find(tagNumber(tag.PixelRepresentation)); e != nil && e.len >= 2 {
			return s.valueLayout(e).uint16(s.value(e)) != 0
		}
	}
	return false
}

// valueLayout returns the layout of the binary values of an element.
func (s *Set) valueLayout(e *entry) layout {
	if e.vr == vrUN || e.flags&flagImplicitVR != 0 {
		return implicitLE
	}
	return s.layout
}

// value returns the encoded value of e without the delimiter at its end.
func (s *Set) value(e *entry) []byte {
	v := s.buf[e.off : e.off+e.len : e.off+e.len]
	if e.flags&flagUndefinedLength != 0 {
		v = v[:len(v)-minHeaderSize]
	}
	return v
}

func (s *Set) addWarning(w Warnings) { *s.warnings |= w }
