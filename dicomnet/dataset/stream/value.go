package stream

import (
	"encoding/binary"
	"errors"
	"io"
	"math/bits"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Reasons of format errors.
const (
	noVR                 = "element has no VR"
	noItem               = "sequence contains an element that is not an item"
	strayItem            = "item outside a sequence"
	noDelimiter          = "sequence or item of undefined length has no delimiter"
	truncatedHeader      = "element header is truncated"
	exceeds              = "length exceeds that of the enclosing sequence or item"
	undefinedNotSequence = "undefined length of an element that is not a sequence"
	fragmentUndefined    = "fragment of undefined length"
	badUID               = "UID is malformed, or differs from the one before"
)

// Read reads from the value of the last token. It returns io.EOF at its end, and if the token has no value.
func (d *Decoder) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if d.direct() && len(p) >= bufferSize {
		n, err := d.read(p[:min(int64(len(p)), d.remaining)])
		if err != nil {
			return n, d.fail(d.truncated(err))
		}
		d.off += int64(n)
		d.remaining -= int64(n)
		return n, nil
	}
	b, err := d.chunk(1)
	if err != nil {
		return 0, err
	}
	n := copy(p, b)
	d.consume(n)
	return n, nil
}

// WriteTo writes the rest of the value to w, part by part.
func (d *Decoder) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for {
		b, err := d.chunk(1)
		if err == io.EOF { //nolint:errorlint // made there
			return written, nil
		} else if err != nil {
			return written, err
		}
		n, err := w.Write(b)
		written += int64(n)
		d.consume(n)
		if err != nil {
			return written, err
		}
	}
}

// Chunk returns the next bytes of the value, as many as there are without waiting for more. They are valid until the next call of a method.
// It returns io.EOF at the end of the value.
func (d *Decoder) Chunk() ([]byte, error) {
	b, err := d.chunk(1)
	d.consume(len(b))
	return b, err
}

// Peek returns the next n bytes of the value, or the rest if that is shorter, without reading them. n is at most 16. They are valid until the
// next call of a method.
func (d *Decoder) Peek(n int) ([]byte, error) {
	if d.remaining == 0 {
		return nil, nil
	}
	b, err := d.chunk(n)
	return b[:min(len(b), n)], err
}

// Bytes returns the rest of the value, which is valid until the next call of a method. If it is longer than limit, the error is a
// *dataset.LimitError, and the value can still be read or skipped.
func (d *Decoder) Bytes(limit int) ([]byte, error) {
	if d.remaining > int64(limit) {
		return nil, &dataset.LimitError{What: "bytes in a value", Limit: limit}
	}
	if d.remaining == 0 {
		return nil, nil
	}
	if d.remaining <= bufferSize {
		b, err := d.chunk(int(d.remaining))
		d.consume(len(b))
		return b, err
	}
	// What is allocated grows with what arrives.
	var value []byte
	for {
		b, err := d.chunk(1)
		if err == io.EOF { //nolint:errorlint // made there
			return value, nil
		} else if err != nil {
			return nil, err
		}
		value = append(value, b...)
		d.consume(len(b))
	}
}

// Uint16 returns the first number of a value of VR US, such as Rows. It returns false if there is none.
func (d *Decoder) Uint16() (uint16, bool) {
	b, err := d.Bytes(64)
	if err != nil || len(b) < 2 {
		return 0, false
	}
	return binary.LittleEndian.Uint16(b), true
}

// Text returns the rest of the value as text without padding at either end, in the character set of the sender. It returns "" for a value that
// is longer than limit.
func (d *Decoder) Text(limit int) string {
	b, err := d.Bytes(limit)
	if err != nil {
		return ""
	}
	for len(b) > 0 && (b[len(b)-1] == 0 || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return string(b)
}

// direct reports whether bytes of the value can be read past the buffer.
func (d *Decoder) direct() bool { return d.word == 1 && d.r == d.w && d.remaining > 0 && d.err == nil }

// chunk returns the next bytes of the value without consuming them: at least as many as asked for, unless the value ends before. It returns
// io.EOF at the end of the value.
func (d *Decoder) chunk(least int) ([]byte, error) {
	if d.remaining == 0 {
		return nil, io.EOF
	}
	if d.err != nil {
		return nil, d.err
	}
	if have := d.swapped - d.r; int64(have) < min(int64(least), d.remaining) {
		more := (max(least-have, 1) + d.word - 1) / d.word * d.word
		if err := d.fill(int(min(int64(have+more), d.remaining))); err != nil {
			return nil, d.fail(d.truncated(err))
		}
		n := int(min(int64(d.w-d.r), d.remaining))
		if int64(n) < d.remaining {
			n -= (n - have) % d.word
		}
		swap(d.buf[d.swapped:d.r+n], d.word)
		d.swapped = d.r + n
	}
	return d.buf[d.r:d.swapped], nil
}

// swap reverses the bytes of each word. A rest shorter than a word stays.
func swap(b []byte, word int) {
	switch word {
	case 2:
		for ; len(b) >= 2; b = b[2:] {
			b[0], b[1] = b[1], b[0]
		}
	case 4:
		for ; len(b) >= 4; b = b[4:] {
			binary.LittleEndian.PutUint32(b, binary.BigEndian.Uint32(b))
		}
	case 8:
		for ; len(b) >= 8; b = b[8:] {
			binary.LittleEndian.PutUint64(b, bits.ReverseBytes64(binary.LittleEndian.Uint64(b)))
		}
	}
}

// consume drops n bytes of the value.
func (d *Decoder) consume(n int) {
	d.advance(n)
	d.remaining -= int64(n)
}

func (d *Decoder) advance(n int) {
	d.r += n
	d.off += int64(n)
}

// discard drops n bytes, which may be more than the buffer has. They are the rest of the value, or of a sequence of defined length.
func (d *Decoder) discard(n int64) error {
	d.remaining = 0
	for n > 0 {
		if d.r == d.w {
			d.r, d.w = 0, 0
			if err := d.fill(1); err != nil {
				return d.truncated(err)
			}
		}
		m := min(int64(d.w-d.r), n)
		d.advance(int(m))
		n -= m
	}
	return nil
}

// errEnd is the error of fill and read at the end of the source. An io.ErrUnexpectedEOF of the source itself must not look like it.
var errEnd = errors.New("end of data set")

// fill reads until the buffer has n bytes, at most its size. It returns errEnd if the data set ends before.
func (d *Decoder) fill(n int) error {
	if d.w-d.r >= n {
		return nil
	}
	if len(d.buf)-d.r < n || d.r == d.w {
		d.swapped = max(d.swapped-d.r, 0)
		d.w = copy(d.buf, d.buf[d.r:d.w])
		d.r = 0
	}
	for d.w-d.r < n {
		m, err := d.read(d.buf[d.w:])
		d.w += m
		if err != nil && d.w-d.r < n {
			return err
		}
	}
	return nil
}

// read reads at least one byte from the source, or returns an error: errEnd at its end.
func (d *Decoder) read(p []byte) (int, error) {
	if d.srcErr != nil {
		return 0, d.srcErr
	}
	for range maxEmptyReads {
		n, err := d.src.Read(p)
		if err == io.EOF {
			err = errEnd
		}
		d.srcErr = err
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// truncated makes a *TruncatedError of errEnd.
func (d *Decoder) truncated(err error) error {
	if err == errEnd { //nolint:errorlint // made by read
		return &TruncatedError{Offset: d.off + int64(d.w-d.r)}
	}
	return err
}
