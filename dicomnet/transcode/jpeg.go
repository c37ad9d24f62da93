package transcode

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"io"
)

// jpegFrames decodes frames of JPEG Baseline (PS3.5 section 8.2.1). It holds one decoded frame.
type jpegFrames struct {
	source     *frameSource
	attributes pixelAttributes
	image      image.Image
	row        int
	out        []byte
}

func (f *jpegFrames) next() ([]byte, error) {
	if f.image == nil || f.row == f.attributes.rows {
		f.image = nil // not held while the next is decoded
		ok, err := f.source.nextFrame()
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, io.EOF
		}
		if f.image, err = f.decode(); err != nil {
			return nil, err
		}
		f.row = 0
	}
	f.out = f.out[:0]
	for f.row < f.attributes.rows && len(f.out) < chunkSize {
		f.out = f.appendRow(f.out, f.row)
		f.row++
	}
	return f.out, nil
}

// decode decodes the next frame.
func (f *jpegFrames) decode() (image.Image, error) {
	var head bytes.Buffer
	source := &keptError{r: f.source}
	frame, err := readFrameHeader(io.TeeReader(source, &head))
	if err == nil && (frame.width != f.attributes.columns || frame.height != f.attributes.rows || frame.components != f.attributes.samples) {
		err = errors.New("size differs from Rows, Columns or Samples per Pixel")
	}
	var decoded image.Image
	if err == nil {
		decoded, err = jpeg.Decode(io.MultiReader(&head, source))
	}
	switch {
	case source.err != nil:
		return nil, source.err
	case err != nil:
		return nil, &FrameError{Frame: int(f.source.frame), Err: err}
	}
	return decoded, nil
}

// keptError keeps the error of the reader below.
type keptError struct {
	r   io.Reader
	err error
}

func (k *keptError) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	if err != nil && err != io.EOF {
		k.err = err
	}
	return n, err
}

// appendRow appends one row of the image, sample by sample.
func (f *jpegFrames) appendRow(out []byte, y int) []byte {
	width := f.attributes.columns
	switch decoded := f.image.(type) {
	case *image.Gray:
		start := decoded.PixOffset(0, y)
		return append(out, decoded.Pix[start:start+width]...)
	case *image.YCbCr:
		for x := range width {
			i, c := decoded.YOffset(x, y), decoded.COffset(x, y)
			a, b, c3 := decoded.Y[i], decoded.Cb[c], decoded.Cr[c]
			if f.attributes.ybr {
				a, b, c3 = color.YCbCrToRGB(a, b, c3)
			}
			out = append(out, a, b, c3)
		}
	case *image.RGBA: // three components that the frame itself says are not YBR
		start := decoded.PixOffset(0, y)
		for row := decoded.Pix[start : start+4*width]; len(row) > 0; row = row[4:] {
			a, b, c := row[0], row[1], row[2]
			if f.attributes.ybr {
				a, b, c = color.YCbCrToRGB(a, b, c)
			}
			out = append(out, a, b, c)
		}
	}
	return out
}

// frameHeader is what the header of a frame says (ISO/IEC 10918-1 B.2.2).
type frameHeader struct{ width, height, components int }

// maxFrameHeader bounds what precedes the header of a frame: tables, comments, application data.
const maxFrameHeader = 1 << 20

// readFrameHeader reads up to the header of the frame, before memory for the frame is allocated. It refuses what is not baseline or sequential
// with 8 bits.
func readFrameHeader(r io.Reader) (frameHeader, error) {
	var b [6]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return frameHeader{}, err
	}
	if b[0] != 0xff || b[1] != 0xd8 {
		return frameHeader{}, errors.New("not a JPEG image")
	}
	for total := 0; total < maxFrameHeader; {
		marker, length, err := readMarker(r)
		if err != nil {
			return frameHeader{}, err
		}
		total += length + 4
		if marker > 0xcf || marker == 0xc4 || marker == 0xcc {
			if _, err := io.CopyN(io.Discard, r, int64(length)); err != nil {
				return frameHeader{}, err
			}
			continue
		}
		if marker > 0xc1 {
			return frameHeader{}, errors.New("not a baseline image")
		}
		if length < len(b) {
			return frameHeader{}, errors.New("frame header too short")
		}
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return frameHeader{}, err
		}
		if b[0] != 8 {
			return frameHeader{}, errors.New("not 8 bits per sample")
		}
		return frameHeader{width: int(b[3])<<8 | int(b[4]), height: int(b[1])<<8 | int(b[2]), components: int(b[5])}, nil
	}
	return frameHeader{}, errors.New("header too long")
}

// readMarker reads a marker that a segment follows, and the length of the segment. It accepts only markers from SOF0 on: what this package does
// not know, image/jpeg could read in another way.
func readMarker(r io.Reader) (marker byte, length int, err error) {
	var b [2]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, 0, err
	}
	for range maxFill {
		if b[0] != 0xff || b[1] != 0xff {
			break
		}
		if _, err := io.ReadFull(r, b[1:]); err != nil {
			return 0, 0, err
		}
	}
	if marker = b[1]; b[0] != 0xff || marker < 0xc0 || marker >= 0xd0 && marker <= 0xda || marker == 0xff {
		return 0, 0, errors.New("unexpected marker before the frame header")
	}
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, 0, err
	}
	if length = (int(b[0])<<8 | int(b[1])) - 2; length < 0 {
		return 0, 0, errors.New("marker segment too short")
	}
	return marker, length, nil
}

// maxFill is how many fill bytes may precede a marker (ISO/IEC 10918-1 B.1.1.2).
const maxFill = 1 << 16
