package stream

import "dicom-qr-gateway/dicomnet/dataset"

// Checker finds out whether a data set, which passes through it in parts of any size, ends within an element, although its last fragment has
// arrived. It reads no values, holds no memory, and does not judge anything else.
type Checker struct {
	nesting nesting
	head    [maxHeader]byte // of the header that is being read
	n       int             // bytes in head
	skip    int64           // bytes of the current value that follow
	off     bool            // the data set cannot be followed
}

// NewChecker returns a Checker of a data set in transfer syntax ts. One that is deflated, or of no known syntax, is never truncated.
func NewChecker(ts dataset.TransferSyntax) Checker {
	l, deflated, err := layoutOf(ts)
	return Checker{nesting: nesting{current: level{layout: l, item: true}}, off: deflated || err != nil}
}

// Add passes the next part of the data set.
func (c *Checker) Add(b []byte) {
	for len(b) > 0 && !c.off {
		if c.skip > 0 {
			n := min(c.skip, int64(len(b)))
			c.skip -= n
			b = b[n:]
			continue
		}
		size := minHeader
		if c.n >= minHeader {
			size = maxHeader
		}
		n := copy(c.head[c.n:size], b)
		c.n += n
		b = b[n:]
		if c.n < size {
			return
		}
		e := c.nesting.current.layout.header(c.head[:c.n])
		if e.size > c.n {
			continue
		}
		c.n = 0
		c.pass(&e)
	}
}

// pass goes on behind the header e.
func (c *Checker) pass(e *header) {
	in := &c.nesting
	switch {
	case e.tag == tagItemDelimitation, e.tag == tagSequenceDelimitation:
		in.leave(e.tag)
	case e.size == 0, in.current.item == (e.tag == tagItem), e.length == undefinedLength && in.current.fragments:
		c.off = true
	case e.length == undefinedLength:
		c.off = in.enter(e) != nil
	default:
		c.skip = int64(e.length)
	}
}

// Truncated reports whether the data set, all of which has passed, ends within an element, an item or a sequence. It is false if the data
// set is so malformed that its elements cannot be followed. Up to 7 bytes after the last element count as padding.
func (c *Checker) Truncated() bool {
	return !c.off && (c.skip > 0 || c.n >= minHeader || c.nesting.depth > 0)
}
