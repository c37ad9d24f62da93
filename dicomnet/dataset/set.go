package dataset

import (
	"iter"
	"math"
	"strings"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// Set is a light, read-only view of one data set or sequence item over the
// caller's buffer, which must not change while the Set is used. Values are
// decoded when they are asked for; what is returned as a string or number does
// not refer to the buffer.
//
// Where an element occurs twice, against PS3.5 section 7.1, the first counts: a
// set cannot change its own meaning behind what was read already. A Set is for
// one goroutine.
type Set struct {
	b        []byte
	entries  []entry
	unsorted bool
	layout   layout
	depth    int
	lim      Limits
	parent   *Set
	warn     *Warning // one for the whole data set
	cs       *characterSet
	at       int   // in entries, where find found something last
	kept     *kept // nil unless a Parser made it, and so is
	room     *strings.Builder
}

// root is a data set that is no item, with room for the index of a usual identifier.
type root struct {
	Set
	warnings Warning
	index    [24]entry
}

// Parse indexes b; the Set refers to b. An empty b is an empty data set.
//
// Tolerated without a word are group lengths, elements out of order, stray
// delimiters and zeros behind the last element. Malformed values cost
// themselves, and a sequence of defined length that is broken inside costs its
// rest. Where the first element can only be of the other little endian syntax
// than ts, or where only the other can be walked, the set is read so, with
// [TransferSyntaxAssumed].
//
// The errors are *FormatError, *LimitError and *TransferSyntaxError.
func Parse(b []byte, ts TransferSyntax, lim Limits) (*Set, error) {
	return new(root).read(b, ts, lim)
}

func (r *root) read(b []byte, ts TransferSyntax, lim Limits) (*Set, error) {
	l, ok := layoutOf(ts)
	if !ok {
		return nil, &TransferSyntaxError{TransferSyntax: ts}
	}
	if int64(len(b)) >= math.MaxUint32 {
		return nil, &LimitError{What: "bytes", Limit: math.MaxUint32}
	}
	other := l.other(b)
	if other != l && !l.plausible(b) {
		return r.parse(b, other, lim, TransferSyntaxAssumed)
	}
	s, err := r.parse(b, l, lim, 0)
	if _, ok := err.(*FormatError); ok && other != l { //nolint:errorlint // made here, never wrapped
		if s, err := r.parse(b, other, lim, TransferSyntaxAssumed); err == nil {
			return s, nil
		}
	}
	return s, err
}

// parse is in the memory of r, the entries of which are grown only where they do not suffice.
func (r *root) parse(b []byte, l layout, lim Limits, warnings Warning) (*Set, error) {
	entries := r.entries[:0]
	if entries == nil {
		entries = r.index[:0]
	}
	r.warnings = warnings
	r.Set = Set{b: b, layout: l, lim: lim.withDefaults(), warn: &r.warnings, entries: entries, kept: r.kept, room: r.room}
	w := r.walker()
	w.zeros = len(b)
	for w.zeros > 0 && b[w.zeros-1] == 0 {
		w.zeros--
	}
	if _, err := w.elements(&r.Set, 0, len(b), l, 0, false); err != nil {
		return nil, err
	}
	return &r.Set, nil
}

func (s *Set) walker() walker {
	return walker{b: s.b, lim: s.lim, warn: s.warn, zeros: len(s.b)}
}

func (s *Set) child(l layout, depth int) *Set {
	return &Set{b: s.b, layout: l, depth: depth, lim: s.lim, parent: s, warn: s.warn}
}

func (s *Set) add(e entry) {
	if n := len(s.entries); n > 0 && s.entries[n-1].tag >= e.tag {
		s.unsorted = true
	}
	s.entries = append(s.entries, e)
}

func number(t tag.Tag) uint32 { return uint32(t.Group)<<16 | uint32(t.Element) }

// find is called for each key of each match: the search is written out for its speed. Keys are mostly asked for in the order
// of tags.
func (s *Set) find(t uint32) *entry {
	low, high := 0, len(s.entries)
	switch {
	case s.unsorted:
		for low < high && s.entries[low].tag != t {
			low++
		}
	case s.at < high && s.entries[s.at].tag <= t:
		for low = s.at; low < high && s.entries[low].tag < t; low++ {
			if low == s.at+nearby {
				low = s.search(low, t)
				break
			}
		}
	default:
		low = s.search(0, t)
	}
	if low < high && s.entries[low].tag == t {
		s.at = low
		return &s.entries[low]
	}
	return nil
}

// nearby is how far to go step by step.
const nearby = 6

// search is the first entry from low on whose tag is not below t.
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

// vr is the VR of an element: its own where the standard has it, else that of the dictionary (PS3.5 section 6.2.2 for UN).
func (s *Set) vr(e *entry) vr {
	if e.vr != vrUN && e.vr.traits() != nil {
		return e.vr
	}
	return dictionaryVR(tag.Tag{Group: uint16(e.tag >> 16), Element: uint16(e.tag)})
}

// order is the layout by which binary values of the element are read.
func (s *Set) order(e *entry) layout {
	if e.vr == vrUN || e.flags&implicit != 0 {
		return implicitLE
	}
	return s.layout
}

func (s *Set) value(e *entry) []byte {
	v := s.b[e.off : e.off+e.len : e.off+e.len]
	if e.flags&undefined != 0 {
		v = v[:len(v)-delimiterSize]
	}
	return v
}

func (s *Set) warned(w Warning) { *s.warn |= w }

// Len counts the elements of the top level, group lengths left out.
func (s *Set) Len() int { return len(s.entries) }

// Tags are the elements of the top level in the order of the data set.
func (s *Set) Tags() iter.Seq[tag.Tag] {
	return func(yield func(tag.Tag) bool) {
		for _, e := range s.entries {
			if !yield(tag.Tag{Group: uint16(e.tag >> 16), Element: uint16(e.tag)}) {
				return
			}
		}
	}
}

// Has reports whether the element is present, even if empty.
func (s *Set) Has(t tag.Tag) bool { return s.find(number(t)) != nil }

// IsOf reports whether the element is read by that value representation, such as CS: its own where the standard has it,
// else that of the dictionary. An element that is absent is of none.
func (s *Set) IsOf(t tag.Tag, representation string) bool {
	e := s.find(number(t))
	return e != nil && s.vr(e) == vrOf(representation)
}

// Bytes is the raw value as it stands in the buffer, which it aliases: padding, byte order and character set are those
// of the sender. Of a sequence it is the encoded items.
func (s *Set) Bytes(t tag.Tag) ([]byte, bool) {
	e := s.find(number(t))
	if e == nil {
		return nil, false
	}
	return s.value(e), true
}

// Items are the items of a sequence; nil where there is none. Of a sequence that is broken inside they are those before
// the fault, with [ValueMalformed]. What reading an item warns of shows in Warnings of the whole set.
func (s *Set) Items(t tag.Tag) []*Set {
	if e := s.find(number(t)); e != nil {
		return s.items(e)
	}
	return nil
}

func (s *Set) items(e *entry) []*Set {
	if e.len == 0 {
		return nil
	}
	if !s.isSequence(e) {
		s.warned(ValueMalformed)
		return nil
	}
	var items []*Set
	w := s.walker()
	if _, err := w.sequence(s, &items, *e, int(e.off)+int(e.len), s.depth+1); err != nil {
		s.warned(ValueMalformed)
	}
	return items
}

// isSequence reports whether the value of e can be items.
func (s *Set) isSequence(e *entry) bool {
	if e.flags&undefined != 0 {
		return e.flags&fragmented == 0
	}
	return s.vr(e) == vrSQ || e.looksSequence(s.b)
}

// Warnings tells what happened so far; reading text may add to it. An item tells what happened in the whole data set.
func (s *Set) Warnings() Warning { return *s.warn }

// TransferSyntax is the one in which the set was read, which differs from the one given to Parse under
// [TransferSyntaxAssumed]. Of an item it may differ from that of the set (CP-246).
func (s *Set) TransferSyntax() TransferSyntax {
	return [...]TransferSyntax{ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian}[s.layout]
}

func layoutOf(ts TransferSyntax) (layout, bool) {
	switch ts {
	case ImplicitVRLittleEndian:
		return implicitLE, true
	case ExplicitVRLittleEndian:
		return explicitLE, true
	case ExplicitVRBigEndian:
		return explicitBE, true
	}
	return 0, false
}

// other is the little endian layout that the set may be in against what was negotiated, l where there is none.
func (l layout) other(b []byte) layout {
	if len(b) < delimiterSize || l == explicitBE || l.tag(b) == 0 {
		return l
	}
	if l == explicitLE {
		if implicitLE.plausible(b) {
			return implicitLE
		}
		return l
	}
	v := vr(b[4])<<8 | vr(b[5])
	t := v.traits()
	switch {
	case t == nil:
		return l
	case !t.long && fits(uint32(explicitLE.uint16(b[6:])), len(b)-8):
		return explicitLE
	case t.long && looksLong(b, explicitLE):
		return explicitLE
	}
	return l
}

// plausible reports whether the first element of a set, which is not empty, can be one in this layout.
func (l layout) plausible(b []byte) bool {
	if l == implicitLE {
		return fits(l.uint32(b[4:]), len(b)-delimiterSize)
	}
	return (vr(b[4])<<8 | vr(b[5])).letters()
}
