package stream

import (
	"io"
	"math"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Kind is what a Token is.
type Kind uint8

// The kinds. Starts and ends are balanced: what is open when the data set ends is an error.
const (
	Element        Kind = iota // an element whose value the Decoder reads
	SequenceStart              // an element that consists of items
	ItemStart                  // an item
	ItemEnd                    //
	SequenceEnd                //
	FragmentsStart             // an element that consists of fragments: encapsulated pixel data (PS3.5 annex A.4)
	OffsetTable                // the Basic Offset Table, whose value the Decoder reads; it always comes first and may be empty
	Fragment                   // a fragment whose value the Decoder reads
	FragmentsEnd               //
)

// Token is one part of a data set.
type Token struct {
	Kind Kind
	// Tag is that of the element. Items, fragments and ends have the tag of the element to which they belong.
	Tag dataset.Tag
	// VR is that of the element. In implicit VR, and for a VR that the standard does not define, it is that of the dictionary. It is SQ for
	// each element that consists of items, and the zero VR for other tokens than Element, SequenceStart and FragmentsStart.
	VR dataset.VR
	// Length is the length of the value as encoded, in bytes, -1 if it is undefined and for ends. It may be odd, although that is not allowed.
	Length int64
	// Offset is where the value begins, in bytes from the start of the (inflated) data set.
	Offset int64
	// Depth is the number of items around the element: 0 at the top level. All tokens of one element have the same depth.
	Depth int
	// Index is the number of an item in its sequence, or of a fragment in its element, from 1.
	Index int
}

// Limits bounds a data set. Zero fields stand for the defaults.
type Limits struct {
	MaxDepth    int   // of nested sequences; default 16
	MaxElements int   // elements, items, fragments and delimiters together; default 4,194,304
	MaxBytes    int64 // of the data set, inflated; default 16 GiB
	MaxRatio    int   // of the length of a data set to that of its deflated form, if it is longer than 64 MiB; default 200
}

func (l Limits) withDefaults() Limits {
	if l.MaxDepth <= 0 {
		l.MaxDepth = 16
	}
	if l.MaxElements <= 0 {
		l.MaxElements = 1 << 22
	}
	if l.MaxBytes <= 0 {
		l.MaxBytes = 16 << 30
	}
	if l.MaxRatio <= 0 {
		l.MaxRatio = 200
	}
	return l
}

// Decoder reads a data set as a sequence of tokens:
//
//	d := stream.NewDecoder(r, ts, stream.Limits{})
//	defer d.Close()
//	for {
//		token, err := d.Next()
//		if err == io.EOF {
//			break
//		}
//		...
//	}
//
// After an Element, an OffsetTable or a Fragment the Decoder is an io.Reader of the value, which may be read in part or not at all. Binary
// numbers are little endian whatever the transfer syntax is, but for those inside a value of VR UN.
//
// A Decoder accepts group lengths, elements out of order, stray delimiters, a missing item delimiter before a sequence delimiter, and zeros
// after the last element. It accepts values of odd length. Anything else that contradicts PS3.5 in structure is an error, after which the
// Decoder cannot go on. See [ReadHead] for the errors.
type Decoder struct {
	src      io.Reader
	inflater *inflater
	limits   Limits
	err      error // sticky

	buf    []byte
	r, w   int
	off    int64 // of buf[r], in bytes from the start of the data set
	srcErr error // of src, returned once its bytes are consumed

	frames   []frame // the data set, and the sequences and items in which the Decoder is
	elements int

	remaining int64 // of the value
	word      int   // whose bytes are swapped, 1 for none
	swapped   int   // index in buf up to which they have been
}

// frame is a data set, sequence, item or element of fragments that has begun.
type frame struct {
	kind    Kind // ItemStart, SequenceStart or FragmentsStart
	layout  layout
	signed  bool // Pixel Representation
	defined bool // limit is its end
	limit   int64
	tag     uint32
	index   int
	items   int
}

const bufferSize = 32 << 10

// NewDecoder returns a Decoder of the data set that r has in transfer syntax ts. A transfer syntax that is not supported is the error of the
// first call of Next.
func NewDecoder(r io.Reader, ts dataset.TransferSyntax, limits Limits) *Decoder {
	d := &Decoder{src: r, limits: limits.withDefaults(), buf: make([]byte, bufferSize)}
	l, deflated, err := layoutOf(ts)
	d.err = err
	if deflated {
		d.inflater = newInflater(r, d.limits.MaxBytes, int64(d.limits.MaxRatio))
		d.src = d.inflater
	}
	d.frames = append(make([]frame, 0, 8), frame{kind: ItemStart, layout: l, limit: math.MaxInt64})
	return d
}

// Close releases memory that other Decoders can use. Next returns io.ErrClosedPipe afterwards.
func (d *Decoder) Close() {
	if d.inflater != nil {
		d.inflater.release()
	}
	d.remaining = 0
	if d.err == nil {
		d.err = io.ErrClosedPipe
	}
}

func (d *Decoder) fail(err error) error {
	if d.err == nil {
		d.err = err
	}
	return d.err
}

// Next returns the next token, and skips what has not been read of the value before. It returns io.EOF at the end of the data set.
func (d *Decoder) Next() (Token, error) {
	if d.err != nil {
		return Token{}, d.err
	}
	if err := d.discard(d.remaining); err != nil {
		return Token{}, d.fail(err)
	}
	for {
		token, ok, err := d.step()
		if err != nil {
			return Token{}, d.fail(err)
		}
		if ok {
			return token, nil
		}
	}
}

// step reads one header. It returns false for a stray delimiter.
func (d *Decoder) step() (Token, bool, error) {
	f := &d.frames[len(d.frames)-1]
	if d.off == f.limit {
		if !f.defined {
			return Token{}, false, formatError(d.off, noDelimiter)
		}
		return d.leave(), true, nil
	}
	if f.limit-d.off < minHeader {
		return Token{}, false, formatError(d.off, truncatedHeader)
	}
	h, err := d.header(f)
	if err != nil {
		return Token{}, false, err
	}
	if d.elements++; d.elements > d.limits.MaxElements {
		return Token{}, false, &dataset.LimitError{What: "elements", Limit: d.limits.MaxElements}
	}
	switch {
	case h.tag == tagItemDelimitation && f.kind == ItemStart && !f.defined && len(d.frames) > 1,
		h.tag == tagSequenceDelimitation && f.kind != ItemStart && !f.defined:
		d.advance(minHeader)
		return d.leave(), true, nil
	case h.tag == tagSequenceDelimitation && f.kind == ItemStart && !f.defined && len(d.frames) > 1:
		return d.leave(), true, nil // the item has no delimiter; the sequence ends next
	case h.tag == tagItemDelimitation, h.tag == tagSequenceDelimitation:
		d.advance(minHeader)
		return Token{}, false, nil
	}
	at := d.off
	d.advance(h.size)
	limit, err := d.limitOf(f, &h, at)
	if err != nil {
		return Token{}, false, err
	}
	var token Token
	switch {
	case f.kind != ItemStart && h.tag != tagItem:
		err = formatError(at, noItem)
	case f.kind == ItemStart && h.tag>>16 == tagItem>>16: // an item, or a tag of its group that PS3.5 section 7.5 does not have
		err = formatError(at, strayItem)
	case f.kind == SequenceStart:
		token = d.item(f, &h, limit)
	case f.kind == FragmentsStart:
		token, err = d.fragment(f, &h)
	default:
		token, err = d.element(f, &h, limit)
	}
	return token, true, err
}

// header reads the next header without consuming it. It returns io.EOF at the end of the data set.
func (d *Decoder) header(f *frame) (header, error) {
	top := len(d.frames) == 1
	if err := d.fill(minHeader); err != nil {
		if top && err == errEnd && onlyZeros(d.buf[d.r:d.w]) { //nolint:errorlint // made by fill
			return header{}, io.EOF
		}
		return header{}, d.truncated(err)
	}
	h := f.layout.header(d.buf[d.r:d.w])
	if h.size == maxHeader {
		if f.limit-d.off < maxHeader {
			return h, formatError(d.off, truncatedHeader)
		}
		if err := d.fill(maxHeader); err != nil {
			return h, d.truncated(err)
		}
		h = f.layout.header(d.buf[d.r:d.w])
	}
	if top {
		if h.tag == 0 && d.elements > 0 {
			if err := d.padding(); err != nil {
				return h, err
			}
		}
		if err := check(h.tag); err != nil {
			return h, err
		}
	}
	if h.size == 0 {
		return h, formatError(d.off, noVR)
	}
	return h, nil
}

// padding reads on as long as there are only zeros. It returns io.EOF at the end of the data set.
func (d *Decoder) padding() error {
	for onlyZeros(d.buf[d.r:d.w]) {
		d.advance(d.w - d.r)
		if d.off > d.limits.MaxBytes {
			return &dataset.LimitError{What: "bytes", Limit: int(d.limits.MaxBytes)}
		}
		if err := d.fill(1); err == errEnd { //nolint:errorlint // made by fill
			return io.EOF
		} else if err != nil {
			return err
		}
	}
	return nil
}

func onlyZeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// limitOf returns where the value of h must end, and checks that it can.
func (d *Decoder) limitOf(f *frame, h *header, at int64) (int64, error) {
	if h.length == undefinedLength {
		return f.limit, nil
	}
	end := d.off + int64(h.length)
	switch {
	case end > d.limits.MaxBytes:
		return 0, &dataset.LimitError{What: "bytes", Limit: int(d.limits.MaxBytes)}
	case end > f.limit:
		return 0, formatError(at, exceeds)
	}
	return end, nil
}

// element begins an element in the data set or item f.
func (d *Decoder) element(f *frame, h *header, limit int64) (Token, error) {
	token := Token{Kind: Element, Tag: tagOf(h.tag), VR: h.vr, Length: length(h), Offset: d.off, Depth: d.depth()}
	if h.vr == (dataset.VR{}) {
		token.VR = dataset.ImplicitVR(token.Tag, f.signed)
	}
	name := token.VR.Name()
	inner := frame{kind: SequenceStart, layout: f.layout, signed: f.signed, defined: token.Length >= 0, limit: limit, tag: h.tag}
	switch {
	case token.Length >= 0 && name != "SQ":
		return token, d.value(f, h, token.VR)
	case token.Length < 0 && h.fragmented():
		inner.kind = FragmentsStart
	case token.Length < 0 && name != "SQ" && name != "UN":
		return Token{}, formatError(d.off-int64(h.size), undefinedNotSequence)
	case name == "UN":
		token.VR, _ = dataset.LookupVR('S', 'Q')
		inner.layout = implicitLE // PS3.5 section 6.2.2 note 3
	}
	if token.Depth >= d.limits.MaxDepth {
		return Token{}, &dataset.LimitError{What: "levels", Limit: d.limits.MaxDepth}
	}
	token.Kind = inner.kind
	d.frames = append(d.frames, inner)
	return token, nil
}

// value prepares the reading of a value.
func (d *Decoder) value(f *frame, h *header, vr dataset.VR) error {
	d.remaining, d.word, d.swapped = int64(h.length), 1, d.r
	if f.layout == explicitBE {
		d.word = vr.WordSize()
	}
	if h.tag == tagPixelRepresentation && h.length >= 2 {
		if err := d.fill(2); err != nil {
			return d.truncated(err)
		}
		d.swapped = d.r
		f.signed = f.layout.uint16(d.buf[d.r:]) != 0
	}
	return nil
}

// item begins an item in the sequence f.
func (d *Decoder) item(f *frame, h *header, limit int64) Token {
	f.items++
	inner := frame{
		kind: ItemStart, layout: f.layout, signed: f.signed, defined: h.length != undefinedLength, limit: limit, tag: f.tag, index: f.items,
	}
	d.frames = append(d.frames, inner)
	return Token{Kind: ItemStart, Tag: tagOf(inner.tag), Length: length(h), Offset: d.off, Depth: d.depth() - 1, Index: inner.index}
}

// fragment begins a fragment, or the Basic Offset Table, of the element f.
func (d *Decoder) fragment(f *frame, h *header) (Token, error) {
	if h.length == undefinedLength {
		return Token{}, formatError(d.off-minHeader, fragmentUndefined)
	}
	d.remaining, d.word, d.swapped = int64(h.length), 1, d.r
	token := Token{Kind: Fragment, Tag: tagOf(f.tag), Length: length(h), Offset: d.off, Depth: d.depth(), Index: f.items}
	if f.items == 0 {
		token.Kind = OffsetTable
	}
	f.items++
	return token, nil
}

// leave ends the innermost sequence, item or element of fragments.
func (d *Decoder) leave() Token {
	f := d.frames[len(d.frames)-1]
	d.frames = d.frames[:len(d.frames)-1]
	token := Token{Kind: SequenceEnd, Tag: tagOf(f.tag), Length: -1, Offset: d.off, Depth: d.depth()}
	switch f.kind {
	case FragmentsStart:
		token.Kind = FragmentsEnd
	case ItemStart:
		token.Kind, token.Index = ItemEnd, f.index
	default:
	}
	return token
}

// depth is the number of items that are open.
func (d *Decoder) depth() int { return (len(d.frames) - 1) / 2 }

func length(h *header) int64 {
	if h.length == undefinedLength {
		return -1
	}
	return int64(h.length)
}

func tagOf(n uint32) dataset.Tag { return dataset.Tag{Group: uint16(n >> 16), Element: uint16(n)} }

// Skip skips the rest of the innermost sequence, or element of fragments, in which the Decoder is, with its end: after SequenceStart or
// inside an item, Next returns what follows SequenceEnd. It does nothing at the top level.
func (d *Decoder) Skip() error {
	depth := len(d.frames)
	if d.frames[depth-1].kind == ItemStart {
		depth--
	}
	for depth > 0 && len(d.frames) >= depth {
		if f := &d.frames[len(d.frames)-1]; f.defined && d.err == nil {
			if err := d.discard(f.limit - d.off); err != nil {
				return d.fail(err)
			}
		}
		if _, err := d.Next(); err != nil {
			return err
		}
	}
	return nil
}
