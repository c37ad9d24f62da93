package pdu

import "encoding/binary"

// beginPDU appends the header of a PDU, with length 0, and returns the start of the body for
// endPDU.
func beginPDU(b []byte, t Type) ([]byte, int) {
	b = append(b, byte(t), 0, 0, 0, 0, 0)
	return b, len(b)
}

// endPDU writes the length of the body that begins at start into the header before it.
func endPDU(b []byte, start int) []byte {
	binary.BigEndian.PutUint32(b[start-4:], uint32(len(b)-start))
	return b
}

// appendItem appends an item: its type, a reserved byte, its length and what body appends.
func appendItem(b []byte, kind byte, body func([]byte) []byte) []byte {
	b = append(b, kind, 0, 0, 0)
	start := len(b)
	b = body(b)
	binary.BigEndian.PutUint16(b[start-2:], uint16(len(b)-start))
	return b
}

// appendString appends an item whose body is s.
func appendString(b []byte, kind byte, s string) []byte {
	b = append(b, kind, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// appendLengthPrefixed appends the length of v as 16 bits, and v.
func appendLengthPrefixed(b, v []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(v))), v...)
}

// boolByte returns 1 for true and 0 for false.
func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}
