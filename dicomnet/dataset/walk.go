package dataset

import (
	"encoding/binary"
	"math"
)

// layout is how elements are laid out: what a transfer syntax says of a data set.
type layout uint8

const (
	implicitLE layout = iota
	explicitLE
	explicitBE
)

func (l layout) uint16(b []byte) uint16 {
	if l == explicitBE {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func (l layout) uint32(b []byte) uint32 {
	if l == explicitBE {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

// tag is group and element as one number, which sorts as tags do.
func (l layout) tag(b []byte) uint32 {
	return uint32(l.uint16(b))<<16 | uint32(l.uint16(b[2:]))
}

const (
	item                 = 0xfffee000
	itemDelimitation     = 0xfffee00d
	sequenceDelimitation = 0xfffee0dd
	undefinedLength      = math.MaxUint32
	tagPixelData         = 0x7fe00010
	delimiterSize        = 8
)

// entry is one element of the index. vr is 0 where the encoding names none. A
// content of undefined length includes the delimiter at its end.
type entry struct {
	tag      uint32
	vr       vr
	content  layout // of the items, where the value is a sequence
	flags    entryFlags
	off, len uint32
}

type entryFlags uint8

const (
	undefined  entryFlags = 1 << iota // the length is undefined
	fragmented                        // the items are fragments of encapsulated pixel data (PS3.5 annex A.4)
	implicit                          // the element itself is implicit VR little endian
)

// walker goes over the structure of one data set. Its recursion is bounded by lim.MaxDepth, its work by the length of b,
// and what it allocates by lim.MaxElements.
type walker struct {
	b     []byte
	lim   Limits
	count int
	warn  *Warning
	zeros int // where the zeros begin that end the data set
}

func broken(pos int, reason string) error { return &FormatError{Offset: pos, Reason: reason} }

func (w *walker) counted() error {
	if w.count++; w.count > w.lim.MaxElements {
		return &LimitError{What: "elements", Limit: w.lim.MaxElements}
	}
	return nil
}

// elements walks the elements of a data set from pos to end, or to the item delimiter if the item is delimited, and
// indexes them in set, unless that is nil. It returns where it stopped.
func (w *walker) elements(set *Set, pos, end int, l layout, depth int, delimited bool) (int, error) {
	for pos < end {
		if depth == 0 && pos >= w.zeros {
			return end, nil // padding behind the last element
		}
		if end-pos < delimiterSize {
			return pos, broken(pos, "an element is cut off")
		}
		t := l.tag(w.b[pos:])
		switch t {
		case itemDelimitation:
			pos += delimiterSize
			if delimited {
				return pos, nil
			}
			continue // stray
		case sequenceDelimitation:
			if delimited {
				return pos, nil // the item lacks its delimiter; the sequence ends here
			}
			pos += delimiterSize
			continue
		}
		if next, ok := w.plain(set, t, pos, end, l); ok {
			pos = next
			continue
		}
		next, err := w.element(set, pos, end, l, depth)
		if err != nil {
			return pos, err
		}
		pos = next
	}
	if delimited {
		return pos, broken(pos, "an item of undefined length does not end")
	}
	return pos, nil
}

// plain is element for what nearly all elements are, and false for any other: one of even, defined length, in order, that
// is neither a sequence nor has the long form of an explicit header.
func (w *walker) plain(set *Set, t uint32, pos, end int, l layout) (int, bool) {
	if set == nil || t>>16 == item>>16 || t&0xffff == 0 || w.count >= w.lim.MaxElements {
		return pos, false
	}
	b := w.b[pos:end]
	e := entry{tag: t, content: l, off: uint32(pos + 8)}
	if l == implicitLE {
		e.len = binary.LittleEndian.Uint32(b[4:])
		if e.len >= delimiterSize && len(b) >= 8+delimiterSize && l.tag(b[8:])>>16 == item>>16 {
			return pos, false
		}
	} else {
		e.vr = vr(b[4])<<8 | vr(b[5])
		if known := e.vr.traits(); known == nil || known.long {
			return pos, false
		}
		e.len = uint32(l.uint16(b[6:]))
	}
	if e.len%2 != 0 || int64(e.len) > int64(len(b)-8) {
		return pos, false // an undefined length is odd
	}
	w.count++
	set.add(e)
	return pos + 8 + int(e.len), true
}

// element walks one element and returns where the next begins.
func (w *walker) element(set *Set, pos, end int, l layout, depth int) (int, error) {
	if err := w.counted(); err != nil {
		return pos, err
	}
	e, err := w.header(pos, end, l)
	if err != nil {
		return pos, err
	}
	if e.len == undefinedLength {
		pos, err = w.undefined(&e, end, depth)
	} else {
		pos, err = w.defined(&e, depth)
	}
	if err != nil {
		return pos, err // and e is not indexed: it has no end
	}
	switch {
	case e.tag>>16 == item>>16:
		*w.warn |= ValueMalformed // an item outside a sequence
	case set != nil && e.tag&0xffff != 0: // group lengths are retired and not to be relied on (PS3.5 section 7.2)
		set.add(e)
	}
	return pos, nil
}

// header reads tag, VR and length, and checks that the value is there.
func (w *walker) header(pos, end int, l layout) (entry, error) {
	b := w.b[pos:end]
	e := entry{tag: l.tag(b), content: l, off: uint32(pos + 8)}
	if l == implicitLE || e.tag>>16 == item>>16 {
		e.len = l.uint32(b[4:])
	} else if !w.explicit(&e, b, l) {
		return e, broken(pos, "an element is cut off")
	}
	if !fits(e.len, end-int(e.off)) {
		return e, broken(pos, "a value is longer than what is left")
	}
	return e, nil
}

// explicit reads VR and length of an explicit header; false if it is cut off.
func (w *walker) explicit(e *entry, b []byte, l layout) bool {
	v := vr(b[4])<<8 | vr(b[5])
	t := v.traits()
	switch {
	case t == nil && !v.letters(): // an element of implicit VR among explicit ones
		e.flags |= implicit
		e.content = implicitLE
		e.len = implicitLE.uint32(b[4:])
		*w.warn |= ValueMalformed
		return true
	case t != nil && !t.long, t == nil && !looksLong(b, l): // a VR of a later edition has the long form (PS3.5 section 7.1.2)
		e.vr, e.len = v, uint32(l.uint16(b[6:]))
		return true
	case len(b) < 12:
		return false
	}
	if v == vrUN {
		e.content = implicitLE // PS3.5 section 6.2.2 note 3 and CP-246
	}
	e.vr, e.len = v, l.uint32(b[8:])
	e.off += 4
	return true
}

func looksLong(b []byte, l layout) bool {
	return len(b) >= 12 && l.uint16(b[6:]) == 0 && fits(l.uint32(b[8:]), len(b)-12)
}

func fits(length uint32, rest int) bool {
	return length == undefinedLength || int64(length) <= int64(rest)
}

// undefined walks a value of undefined length.
func (w *walker) undefined(e *entry, end, depth int) (int, error) {
	e.flags |= undefined
	if e.tag>>16 == item>>16 {
		return 0, broken(int(e.off), "an item outside a sequence has an undefined length")
	}
	if t := e.vr.traits(); e.tag == tagPixelData && e.vr != vrSQ || t != nil && t.class == classBytes {
		e.flags |= fragmented
	}
	next, err := w.sequence(nil, nil, *e, end, depth+1)
	e.len = uint32(next) - e.off
	return next, err
}

// defined walks a value of defined length where that is a sequence; others need no look. A sequence broken inside costs
// itself: its length says where to go on.
func (w *walker) defined(e *entry, depth int) (int, error) {
	next := int(e.off) + int(e.len)
	if e.len%2 != 0 {
		*w.warn |= ValueMalformed
	}
	if e.tag>>16 == item>>16 {
		return next, nil
	}
	if e.vr != vrSQ && !e.looksSequence(w.b) {
		return next, nil
	}
	_, err := w.sequence(nil, nil, *e, next, depth+1)
	if _, ok := err.(*FormatError); ok { //nolint:errorlint // made here, never wrapped
		*w.warn |= ValueMalformed
		err = nil
	}
	return next, err
}

// looksSequence reports whether a value of defined length is a sequence where no VR tells: then it begins with an item.
func (e *entry) looksSequence(b []byte) bool {
	t := e.vr.traits()
	return (t == nil || t.class == classUnknown) && e.len >= delimiterSize && e.content.tag(b[e.off:])>>16 == item>>16
}

// sequence walks the items of e, whose value ends before end, and makes a Set of each in items, unless that is nil.
// It returns where the value ends.
func (w *walker) sequence(parent *Set, items *[]*Set, e entry, end, depth int) (int, error) {
	if depth > w.lim.MaxDepth {
		return 0, &LimitError{What: "levels", Limit: w.lim.MaxDepth}
	}
	pos, l := int(e.off), e.content
	for pos < end {
		if end-pos < delimiterSize {
			return pos, broken(pos, "an item is cut off")
		}
		t, length := l.tag(w.b[pos:]), l.uint32(w.b[pos+4:])
		pos += delimiterSize
		switch t {
		case sequenceDelimitation:
			if e.flags&undefined != 0 {
				return pos, nil
			}
			continue // stray
		case itemDelimitation:
			continue // behind an item of defined length
		case item:
		default:
			return pos, broken(pos-delimiterSize, "a sequence holds something else than items")
		}
		if err := w.counted(); err != nil {
			return pos, err
		}
		if !fits(length, end-pos) || length == undefinedLength && e.flags&fragmented != 0 {
			return pos, broken(pos, "an item is longer than what is left")
		}
		var child *Set
		if items != nil {
			child = parent.child(l, depth)
			*items = append(*items, child)
		}
		var err error
		switch {
		case length == undefinedLength:
			pos, err = w.elements(child, pos, end, l, depth, true)
		case e.flags&fragmented != 0:
			pos += int(length)
		default:
			_, err = w.elements(child, pos, pos+int(length), l, depth, false)
			if _, ok := err.(*FormatError); ok { //nolint:errorlint // made here, never wrapped
				*w.warn |= ValueMalformed
				err = nil
			}
			pos += int(length)
		}
		if err != nil {
			return pos, err
		}
	}
	if e.flags&undefined != 0 {
		return pos, broken(pos, "a sequence of undefined length does not end")
	}
	return pos, nil
}
