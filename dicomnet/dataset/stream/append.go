package stream

import (
	"encoding/binary"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Undefined is the length of sequences and items that end with a delimiter, for [AppendHeader].
const Undefined = -1

// AppendHeader appends to b the header of an element in Explicit VR Little Endian (PS3.5 section 7.1.2). The length must fit: a VR without the
// long form has at most 65534 bytes.
func AppendHeader(b []byte, t dataset.Tag, vr dataset.VR, length int64) []byte {
	b = binary.LittleEndian.AppendUint16(b, t.Group)
	b = binary.LittleEndian.AppendUint16(b, t.Element)
	b = append(b, vr.Name()...)
	if vr.LongForm() {
		return binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(length))
	}
	return binary.LittleEndian.AppendUint16(b, uint16(length))
}

// AppendItem appends to b the header of an item or a fragment in little endian (PS3.5 section 7.5).
func AppendItem(b []byte, length int64) []byte { return appendItem(b, tagItem, length) }

// AppendItemEnd appends to b the delimiter of an item of undefined length in little endian.
func AppendItemEnd(b []byte) []byte { return appendItem(b, tagItemDelimitation, 0) }

// AppendSequenceEnd appends to b the delimiter of a sequence of undefined length, or of fragments, in little endian.
func AppendSequenceEnd(b []byte) []byte { return appendItem(b, tagSequenceDelimitation, 0) }

func appendItem(b []byte, t uint32, length int64) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(t>>16))
	b = binary.LittleEndian.AppendUint16(b, uint16(t))
	return binary.LittleEndian.AppendUint32(b, uint32(length))
}
