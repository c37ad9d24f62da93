package pixeldata

import (
	"io"
	"strings"
)

// checkLength compares the length of native pixel data with that of the frames. It decides how YBR_FULL_422 is sampled: many writers use the
// name for pixels that have all their samples.
func (s *Source) checkLength() error {
	if s.Bits() == 0 {
		return &FormatError{Reason: "the Image Pixel attributes describe no frame"}
	}
	if subsampled(s.Photometric) && !s.fits() {
		s.Photometric = "YBR_FULL"
	}
	if !s.fits() {
		return &FormatError{Reason: "the length of the pixel data is not that of the frames"}
	}
	return nil
}

func subsampled(photometric string) bool {
	return photometric == "YBR_FULL_422" || photometric == "YBR_PARTIAL_422"
}

// fits reports whether the pixel data has the frames, and beyond them only padding: less than another frame.
func (s *Source) fits() bool {
	bits := s.frameBits()
	// Neither product overflows: a frame has at most 1<<40 bits, and there are at most 1<<31 frames.
	const most = 1 << 62
	if bits > most/int64(s.Count) || s.length > most/8 {
		return false
	}
	needed := bits * int64(s.Count)
	return s.length*8 >= needed && s.length*8-needed < max(bits, 16)
}

// frameBits returns the bits of a native frame. Two pixels of YBR_FULL_422 share their chrominance (PS3.3 section C.7.6.3.1.2).
func (s *Source) frameBits() int64 {
	if subsampled(s.Photometric) && s.Samples == 3 && s.Form == Native {
		return s.Bits() / 3 * 2
	}
	return s.Bits()
}

// nativeReader reads frames that follow each other without padding, not even to whole bytes (PS3.5 section 8.1.1).
type nativeReader struct {
	value  io.Reader
	wanted []int
	bits   int64 // of a frame
	at     int64 // the bytes of the value that have been read
	last   byte  // the last of them, of which the next frame may begin
	hold   *holder
	open   *io.LimitedReader // of the current frame
}

func (s *Source) nativeReader(wanted []int, hold *holder) *nativeReader {
	return &nativeReader{value: s.decoder, wanted: wanted, bits: s.frameBits(), hold: hold}
}

func (n *nativeReader) next() (*Frame, error) {
	number := n.wanted[0]
	n.wanted = n.wanted[1:]
	start := int64(number-1) * n.bits
	if n.bits%8 == 0 {
		if n.open != nil {
			n.at -= n.open.N // what was not read of the frame before
		}
		if err := n.skip(start / 8); err != nil {
			return nil, err
		}
		size := n.bits / 8
		n.at += size
		n.open = &io.LimitedReader{R: whole{n.value}, N: size}
		return &Frame{Number: number, Size: size, r: n.open}, nil
	}
	b, err := n.cut(start)
	if err != nil {
		return nil, err
	}
	return heldFrame(number, b), nil
}

func (n *nativeReader) skip(to int64) error {
	m, err := io.CopyN(io.Discard, whole{n.value}, to-n.at)
	n.at += m
	return err //nolint:wrapcheck // of the data set
}

// cut returns the frame that begins at bit start, moved to begin with a byte. The bits behind it are zero.
func (n *nativeReader) cut(start int64) ([]byte, error) {
	end := start + n.bits
	first, after := start/8, (end+7)/8
	if err := n.hold.take((n.bits + 7) / 8); err != nil {
		return nil, err
	}
	b := make([]byte, 0, after-first)
	if first < n.at { // it shares a byte with the frame before
		b = append(b, n.last)
	} else if err := n.skip(first); err != nil {
		return nil, err
	}
	had := len(b)
	b = b[:after-first]
	if _, err := io.ReadFull(whole{n.value}, b[had:]); err != nil {
		return nil, err //nolint:wrapcheck // of the data set
	}
	n.at = after
	n.last = b[len(b)-1]
	shift := uint(start % 8)
	for i := range b {
		b[i] >>= shift
		if i+1 < len(b) {
			b[i] |= b[i+1] << (8 - shift)
		}
	}
	b = b[:(n.bits+7)/8]
	b[len(b)-1] &= 0xFF >> (7 - (n.bits+7)%8)
	return b, nil
}

// whole reports the end of the value as an error, because checkLength has compared its length.
type whole struct{ r io.Reader }

func (w whole) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err == io.EOF && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err //nolint:wrapcheck // of the data set
}

// upper returns a defined term as the standard writes it.
func upper(term string) string { return strings.ToUpper(strings.TrimSpace(term)) }
