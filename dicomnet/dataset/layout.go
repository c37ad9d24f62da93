package dataset

import "encoding/binary"

// layout is the encoding of elements that a transfer syntax prescribes.
type layout uint8

const (
	implicitLE layout = iota
	explicitLE
	explicitBE
)

// layoutOf returns the layout of a transfer syntax, and whether this package supports it.
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

// uint16 reads a number of 2 bytes.
func (l layout) uint16(b []byte) uint16 {
	if l == explicitBE {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

// uint32 reads a number of 4 bytes.
func (l layout) uint32(b []byte) uint32 {
	if l == explicitBE {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

// unsigned reads a number of 2, 4 or 8 bytes.
func (l layout) unsigned(b []byte) uint64 {
	switch {
	case len(b) == 2:
		return uint64(l.uint16(b))
	case len(b) == 4:
		return uint64(l.uint32(b))
	case l == explicitBE:
		return binary.BigEndian.Uint64(b)
	}
	return binary.LittleEndian.Uint64(b)
}

// tag reads a tag as one number, group first, which sorts as tags do.
func (l layout) tag(b []byte) uint32 {
	return uint32(l.uint16(b))<<16 | uint32(l.uint16(b[2:]))
}

// other returns the other little endian layout if the data set b may be encoded in it although l
// was negotiated. Otherwise it returns l.
func (l layout) other(b []byte) layout {
	if len(b) < minHeaderSize || l == explicitBE || l.tag(b) == 0 {
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
	case !t.longForm && fits(uint32(explicitLE.uint16(b[6:])), len(b)-8):
		return explicitLE
	case t.longForm && looksLikeLongForm(b, explicitLE):
		return explicitLE
	}
	return l
}

// plausible reports whether the first element of b, which is not empty, can be encoded in this
// layout.
func (l layout) plausible(b []byte) bool {
	if l == implicitLE {
		return fits(l.uint32(b[4:]), len(b)-minHeaderSize)
	}
	return (vr(b[4])<<8 | vr(b[5])).letters()
}

// looksLikeLongForm reports whether b begins with an explicit VR header of 12 bytes: two reserved
// bytes that are zero, and a 32-bit length that is not too long.
func looksLikeLongForm(b []byte, l layout) bool {
	return len(b) >= 12 && l.uint16(b[6:]) == 0 && fits(l.uint32(b[8:]), len(b)-12)
}

// fits reports whether a value of the given length, which may be undefined, fits into rest bytes.
func fits(length uint32, rest int) bool {
	return length == undefinedLength || int64(length) <= int64(rest)
}
