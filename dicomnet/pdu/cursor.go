package pdu

import (
	"encoding/binary"
	"strings"
)

// cursor reads items; its first error sticks and every later read is empty.
type cursor struct {
	b     []byte
	items *int
	err   error
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = invalid(format, args...)
	}
	c.b = nil
}

func (c *cursor) take(n int, what string) []byte {
	if n > len(c.b) {
		c.fail("%s needs %d bytes, %d left", what, n, len(c.b))
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) byte(what string) byte {
	if v := c.take(1, what); v != nil {
		return v[0]
	}
	return 0
}

func (c *cursor) uint16(what string) uint16 {
	if v := c.take(2, what); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (c *cursor) uint32(what string) uint32 {
	if v := c.take(4, what); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

// item reads the next item's type and opens its body; more is false at the end
// and after an error.
func (c *cursor) item() (kind byte, body cursor, more bool) {
	if c.err != nil || len(c.b) == 0 {
		return 0, cursor{}, false
	}
	if *c.items++; *c.items > maxItems {
		c.fail("more than %d items", maxItems)
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

// inherit takes over the error of a nested cursor.
func (c *cursor) inherit(inner *cursor) {
	if inner.err != nil && c.err == nil {
		c.err = inner.err
		c.b = nil
	}
}

// uid is the rest as a UID: some peers pad it as if it stood in a data set.
func (c *cursor) uid() string { return strings.TrimRight(string(c.b), "\x00 ") }

func appendItem(b []byte, kind byte, body func([]byte) []byte) []byte {
	b = append(b, kind, 0, 0, 0)
	start := len(b)
	b = body(b)
	binary.BigEndian.PutUint16(b[start-2:], uint16(len(b)-start))
	return b
}

func appendString(b []byte, kind byte, s string) []byte {
	b = append(b, kind, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}
