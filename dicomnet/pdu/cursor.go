package pdu

import (
	"encoding/binary"
	"strings"
)

// cursor reads fields and items from a PDU body. It keeps its first error; every read after that
// returns the zero value.
type cursor struct {
	b []byte
	// items counts the items of the whole PDU; cursors over nested items share it.
	items *int
	err   error
}

// failf records an error, unless there is one already, and discards the remaining bytes.
func (c *cursor) failf(format string, args ...any) {
	if c.err == nil {
		c.err = invalidf(format, args...)
	}
	c.b = nil
}

// take reads n bytes, which refer to the body. It returns nil if fewer are left; what names the
// field in the error.
func (c *cursor) take(n int, what string) []byte {
	if n > len(c.b) {
		c.failf("%s needs %d bytes, %d left", what, n, len(c.b))
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

// byte reads one byte.
func (c *cursor) byte(what string) byte {
	if v := c.take(1, what); v != nil {
		return v[0]
	}
	return 0
}

// uint16 reads a 16-bit number.
func (c *cursor) uint16(what string) uint16 {
	if v := c.take(2, what); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

// uint32 reads a 32-bit number.
func (c *cursor) uint32(what string) uint32 {
	if v := c.take(4, what); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

// item reads the header of the next item and returns its type and a cursor over its body. It
// returns more false at the end and after an error.
func (c *cursor) item() (kind byte, body cursor, more bool) {
	if c.err != nil || len(c.b) == 0 {
		return 0, cursor{}, false
	}
	if *c.items++; *c.items > maxItems {
		c.failf("more than %d items", maxItems)
		return 0, cursor{}, false
	}
	head := c.take(4, "item header")
	if head == nil {
		return 0, cursor{}, false
	}
	value := c.take(int(binary.BigEndian.Uint16(head[2:])), "item body")
	if c.err != nil {
		return 0, cursor{}, false
	}
	return head[0], cursor{b: value, items: c.items}, true
}

// copyErr copies the error of a cursor over an item into c, unless c has an error already.
func (c *cursor) copyErr(inner *cursor) {
	if inner.err != nil && c.err == nil {
		c.err = inner.err
		c.b = nil
	}
}

// uid returns the remaining bytes as a UID without padding. Some peers pad UIDs here as in a data
// set.
func (c *cursor) uid() string { return strings.TrimRight(string(c.b), "\x00 ") }

// lengthPrefixed reads a 16-bit length and returns a copy of the bytes that follow it.
func (c *cursor) lengthPrefixed(what string) []byte {
	n := int(c.uint16(what))
	return append([]byte{}, c.take(n, what)...)
}

// lengthPrefixedUID reads a 16-bit length and a UID of that length.
func (c *cursor) lengthPrefixedUID(what string) string {
	inner := cursor{b: c.take(int(c.uint16(what)), what)}
	return inner.uid()
}
