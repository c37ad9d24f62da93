package dataset

import (
	"encoding/binary"
	"math"
)

const (
	tagItem                 = 0xfffee000
	tagItemDelimitation     = 0xfffee00d
	tagSequenceDelimitation = 0xfffee0dd
	undefinedLength         = math.MaxUint32
	tagPixelData            = 0x7fe00010
	// minHeaderSize is the length of the header of an item or delimiter, and the least length of
	// that of an element.
	minHeaderSize = 8
)

// entry is the index entry of one element. vr is 0 if the encoding does not contain it. A value of
// undefined length includes the delimiter at its end.
type entry struct {
	tag        uint32
	vr         vr
	itemLayout layout // of the items, if the value is a sequence
	flags      entryFlags
	off, len   uint32
}

type entryFlags uint8

const (
	flagUndefinedLength entryFlags = 1 << iota // the element has an undefined length
	flagFragments                              // the items are fragments of encapsulated pixel data (PS3.5 annex A.4)
	flagImplicitVR                             // the element itself is encoded in implicit VR little endian
)

// walker parses the structure of one data set. lim.MaxDepth bounds its recursion, the length of buf
// its work, and lim.MaxElements the memory it allocates.
type walker struct {
	buf          []byte
	lim          Limits
	elementCount int
	warnings     *Warnings
	paddingStart int // where the zeros at the end of the data set begin
}

func formatError(pos int, reason string) error { return &FormatError{Offset: pos, Reason: reason} }

func (w *walker) countElement() error {
	if w.elementCount++; w.elementCount > w.lim.MaxElements {
		return &LimitError{What: "elements", Limit: w.lim.MaxElements}
	}
	return nil
}

// elements parses the elements of a data set from pos to end, or to the item delimiter if the item
// is delimited. It adds them to set unless that is nil, and returns where it stopped.
func (w *walker) elements(set *Set, pos, end int, l layout, depth int, delimited bool) (int, error) {
	for pos < end {
		if depth == 0 && pos >= w.paddingStart {
			return end, nil // padding after the last element
		}
		if end-pos < minHeaderSize {
			return pos, formatError(pos, "element header is truncated")
		}
		t := l.tag(w.buf[pos:])
		switch t {
		case tagItemDelimitation:
			pos += minHeaderSize
			if delimited {
				return pos, nil
			}
			continue // a stray delimiter
		case tagSequenceDelimitation:
			if delimited {
				return pos, nil // the item has no delimiter; the sequence ends here
			}
			pos += minHeaderSize
			continue
		}
		if next, ok := w.simpleElement(set, t, pos, end, l); ok {
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
		return pos, formatError(pos, "item of undefined length has no delimiter")
	}
	return pos, nil
}

// simpleElement is a fast version of element for nearly all elements: those of even, defined length
// that are neither a sequence nor a group length and do not have the long form of an explicit VR
// header. It returns false for any other.
func (w *walker) simpleElement(set *Set, t uint32, pos, end int, l layout) (int, bool) {
	if set == nil || t>>16 == tagItem>>16 || t&0xffff == 0 || w.elementCount >= w.lim.MaxElements {
		return pos, false
	}
	b := w.buf[pos:end]
	e := entry{tag: t, itemLayout: l, off: uint32(pos + 8)}
	if l == implicitLE {
		e.len = binary.LittleEndian.Uint32(b[4:])
		if e.len >= minHeaderSize && len(b) >= 8+minHeaderSize && l.tag(b[8:])>>16 == tagItem>>16 {
			return pos, false
		}
	} else {
		e.vr = vr(b[4])<<8 | vr(b[5])
		if known := e.vr.traits(); known == nil || known.longForm {
			return pos, false
		}
		e.len = uint32(l.uint16(b[6:]))
	}
	if e.len%2 != 0 || int64(e.len) > int64(len(b)-8) {
		return pos, false // an undefined length is odd as well
	}
	w.elementCount++
	set.add(e)
	return pos + 8 + int(e.len), true
}

// element parses one element and returns where the next one begins.
func (w *walker) element(set *Set, pos, end int, l layout, depth int) (int, error) {
	if err := w.countElement(); err != nil {
		return pos, err
	}
	e, err := w.header(pos, end, l)
	if err != nil {
		return pos, err
	}
	if e.len == undefinedLength {
		pos, err = w.undefinedLengthValue(&e, end, depth)
	} else {
		pos, err = w.definedLengthValue(&e, depth)
	}
	if err != nil {
		return pos, err // e has no end, so it is not indexed
	}
	switch {
	case e.tag>>16 == tagItem>>16:
		*w.warnings |= ValueMalformed // an item outside a sequence
	case set != nil && e.tag&0xffff != 0: // group lengths are retired and unreliable (PS3.5 section 7.2)
		set.add(e)
	}
	return pos, nil
}

// header reads tag, VR and length, and checks that the value fits before end.
func (w *walker) header(pos, end int, l layout) (entry, error) {
	b := w.buf[pos:end]
	e := entry{tag: l.tag(b), itemLayout: l, off: uint32(pos + 8)}
	if l == implicitLE || e.tag>>16 == tagItem>>16 {
		e.len = l.uint32(b[4:])
	} else if reason := w.explicitHeader(&e, pos, end, l); reason != "" {
		return e, formatError(pos, reason)
	}
	if !fits(e.len, end-int(e.off)) {
		return e, formatError(pos, lengthExceeds)
	}
	return e, nil
}

const lengthExceeds = "value length exceeds the remaining bytes"

// explicitHeader reads VR and length of an explicit VR header. If it cannot, it returns the reason.
func (w *walker) explicitHeader(e *entry, pos, end int, l layout) string {
	b := w.buf[pos:end]
	v := vr(b[4])<<8 | vr(b[5])
	t := v.traits()
	switch {
	case t == nil:
		if _, ok := w.unknownVR(e, pos, end, l); !ok {
			return lengthExceeds
		}
		if isNew := v.letters() && int(e.off) == pos+12; !isNew {
			*w.warnings |= ValueMalformed
		}
		return ""
	case !t.longForm:
		e.vr, e.len = v, uint32(l.uint16(b[6:]))
		return ""
	case len(b) < 12:
		return "element header is truncated"
	}
	if v == vrUN {
		e.itemLayout = implicitLE // PS3.5 section 6.2.2 note 3 and CP-246
	}
	e.vr, e.len = v, l.uint32(b[8:])
	e.off += 4
	return ""
}

// undefinedLengthValue parses a value of undefined length and returns where it ends.
func (w *walker) undefinedLengthValue(e *entry, end, depth int) (int, error) {
	e.flags |= flagUndefinedLength
	if e.tag>>16 == tagItem>>16 {
		return 0, formatError(int(e.off), "item outside a sequence has an undefined length")
	}
	if t := e.vr.traits(); e.tag == tagPixelData && e.vr != vrSQ || t != nil && t.class == classBytes {
		e.flags |= flagFragments
	}
	next, err := w.sequence(nil, nil, *e, end, depth+1)
	e.len = uint32(next) - e.off
	return next, err
}

// definedLengthValue parses a value of defined length if it is a sequence; others need no parsing.
// A sequence that is malformed inside affects only itself, because its length gives the position
// after it.
func (w *walker) definedLengthValue(e *entry, depth int) (int, error) {
	next := int(e.off) + int(e.len)
	if e.len%2 != 0 {
		*w.warnings |= ValueMalformed
	}
	if e.tag>>16 == tagItem>>16 {
		return next, nil
	}
	if e.vr != vrSQ && !e.looksLikeSequence(w.buf) {
		return next, nil
	}
	_, err := w.sequence(nil, nil, *e, next, depth+1)
	if _, ok := err.(*FormatError); ok { //nolint:errorlint // made here, never wrapped
		*w.warnings |= ValueMalformed
		err = nil
	}
	return next, err
}

// looksLikeSequence reports whether a value of defined length whose VR is not known begins with an
// item.
func (e *entry) looksLikeSequence(b []byte) bool {
	t := e.vr.traits()
	return (t == nil || t.class == classUnknown) && e.len >= minHeaderSize && e.itemLayout.tag(b[e.off:])>>16 == tagItem>>16
}

// sequence parses the items of e, whose value ends at or before end. It appends a Set for each to
// items unless that is nil, and returns where the value ends.
func (w *walker) sequence(parent *Set, items *[]*Set, e entry, end, depth int) (int, error) {
	if depth > w.lim.MaxDepth {
		return 0, &LimitError{What: "levels", Limit: w.lim.MaxDepth}
	}
	pos, l := int(e.off), e.itemLayout
	for pos < end {
		if end-pos < minHeaderSize {
			return pos, formatError(pos, "item header is truncated")
		}
		t, length := l.tag(w.buf[pos:]), l.uint32(w.buf[pos+4:])
		pos += minHeaderSize
		switch t {
		case tagSequenceDelimitation:
			if e.flags&flagUndefinedLength != 0 {
				return pos, nil
			}
			continue // a stray delimiter
		case tagItemDelimitation:
			continue // a delimiter after an item of defined length
		case tagItem:
		default:
			return pos, formatError(pos-minHeaderSize, "sequence contains an element that is not an item")
		}
		if err := w.countElement(); err != nil {
			return pos, err
		}
		if !fits(length, end-pos) || length == undefinedLength && e.flags&flagFragments != 0 {
			return pos, formatError(pos, "item length exceeds the remaining bytes")
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
		case e.flags&flagFragments != 0:
			pos += int(length)
		default:
			_, err = w.elements(child, pos, pos+int(length), l, depth, false)
			if _, ok := err.(*FormatError); ok { //nolint:errorlint // made here, never wrapped
				*w.warnings |= ValueMalformed
				err = nil
			}
			pos += int(length)
		}
		if err != nil {
			return pos, err
		}
	}
	if e.flags&flagUndefinedLength != 0 {
		return pos, formatError(pos, "sequence of undefined length has no delimiter")
	}
	return pos, nil
}
