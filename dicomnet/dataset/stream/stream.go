// Package stream reads DICOM data sets of any size while they arrive, as they are transmitted over an association (PS3.5 section 7): without
// a Part 10 header, in any transfer syntax of the standard.
//
// [ReadHead] reads only the UIDs at the beginning. A [Decoder] reads the whole data set as a sequence of tokens. Neither holds a value as a
// whole, unless the caller asks for it, and neither allocates memory for a length that is only claimed. Nesting, the number of elements and the
// length of a data set are limited, and compressed data sets are inflated within limits.
//
// No error of this package contains a value of a data set.
package stream

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
)

// TruncatedError reports a data set that ends inside an element, an item or a sequence of undefined length. It wraps io.ErrUnexpectedEOF.
type TruncatedError struct{ Offset int64 }

func (e *TruncatedError) Error() string {
	return fmt.Sprintf("data set ends unexpectedly at offset %d", e.Offset)
}

// Unwrap returns io.ErrUnexpectedEOF.
func (e *TruncatedError) Unwrap() error { return io.ErrUnexpectedEOF }

// GroupError reports an element of group 0000 or 0002. These belong to command sets and to the header of files, and a data set has none
// (PS3.5 section 7.1).
type GroupError struct{ Group uint16 }

func (e *GroupError) Error() string {
	return fmt.Sprintf("data set contains an element of group %04x", e.Group)
}

// check returns a *GroupError if an element with tag t must not be in a data set.
func check(t uint32) error {
	if group := uint16(t >> 16); group == 0x0000 || group == 0x0002 {
		return &GroupError{Group: group}
	}
	return nil
}

func formatError(offset int64, reason string) error {
	return &dataset.FormatError{Offset: int(offset), Reason: reason}
}

const (
	tagItem                 = 0xfffee000
	tagItemDelimitation     = 0xfffee00d
	tagSequenceDelimitation = 0xfffee0dd
	tagPixelData            = 0x7fe00010
	tagPixelRepresentation  = 0x00280103
	undefinedLength         = 0xffffffff
	// minHeader is the length of the header of an item or delimiter, and the least length of that of an element. maxHeader is the length
	// of the long form (PS3.5 section 7.1.2).
	minHeader = 8
	maxHeader = 12
)

// layout is the encoding of elements that a transfer syntax prescribes.
type layout uint8

const (
	explicitLE layout = iota
	explicitBE
	implicitLE
)

// layoutOf returns the layout of a transfer syntax and whether the data set is deflated.
func layoutOf(ts dataset.TransferSyntax) (l layout, deflated bool, err error) {
	switch ts {
	case dataset.ImplicitVRLittleEndian:
		return implicitLE, false, nil
	case dataset.ExplicitVRBigEndian:
		return explicitBE, false, nil
	case dataset.DeflatedExplicitVRLittleEndian, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205":
		return explicitLE, true, nil // the latter two are JPIP Referenced Deflate (PS3.5 annex A.7 and A.9)
	}
	if ts != dataset.ExplicitVRLittleEndian && !strings.HasPrefix(string(ts), "1.2.840.10008.1.2.") {
		return 0, false, &dataset.TransferSyntaxError{TransferSyntax: ts}
	}
	return explicitLE, false, nil // all encapsulated syntaxes (PS3.5 annex A.4)
}

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

// tag reads a tag as one number, group first, which sorts as tags do.
func (l layout) tag(b []byte) uint32 {
	return uint32(l.uint16(b))<<16 | uint32(l.uint16(b[2:]))
}

// header is the header of an element, item or delimiter.
type header struct {
	tag    uint32
	vr     dataset.VR // zero in implicit VR, and for a VR that the standard does not define
	length uint32
	size   int // of the header itself
}

// delimiter reports whether h is an item or a delimiter.
func (h *header) delimiter() bool { return h.tag>>16 == tagItem>>16 }

// header reads the header at the start of b, which has at least 8 bytes. A size of 12 with b shorter than that means that the length has not
// been read; a size of 0 that the element has no VR.
func (l layout) header(b []byte) header {
	h := header{tag: l.tag(b), size: minHeader}
	if l == implicitLE || h.delimiter() {
		h.length = l.uint32(b[4:])
		return h
	}
	vr, ok := dataset.LookupVR(b[4], b[5])
	h.vr = vr
	long := ok && vr.LongForm()
	if !ok {
		switch {
		case letters(b[4], b[5]):
			// The VRs of later editions have the long form (PS3.5 section 7.1.2).
			long = l.uint16(b[6:]) == 0
		case !printable(b[4]) || !printable(b[5]):
			h.size = 0
			return h
		}
	}
	if !long {
		h.length = uint32(l.uint16(b[6:]))
		return h
	}
	if h.size = maxHeader; len(b) >= maxHeader {
		h.length = l.uint32(b[8:])
	}
	return h
}

func letters(a, b byte) bool { return a >= 'A' && a <= 'Z' && b >= 'A' && b <= 'Z' }

func printable(c byte) bool { return c >= ' ' && c <= '~' }

// fragmented reports whether a value of undefined length consists of fragments, and not of items with elements.
func (h *header) fragmented() bool {
	if h.vr == (dataset.VR{}) {
		return h.tag == tagPixelData
	}
	name := h.vr.Name()
	return h.tag == tagPixelData && name != "SQ" || h.vr.Kind() == dataset.KindBinary && name != "UN"
}
