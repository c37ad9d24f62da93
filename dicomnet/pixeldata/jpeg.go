package pixeldata

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"strings"
)

// JPEGFrame is a frame of JPEG Baseline (PS3.5 section 8.2.1) that has been decoded.
type JPEGFrame struct {
	layout  Layout
	picture image.Image
	ybr     bool
	cb, cr  *chroma // of an *image.YCbCr
}

// OpenJPEG decodes a frame of 8 bits. It reads r to the end of the image, and allocates memory for pixels only if the frame header has the size of the
// layout. Photometric Interpretation decides what three components are: YCbCr for YBR_FULL and YBR_FULL_422, and RGB for RGB.
//
// Errors are a *FormatError, a *LimitError, or that of r.
func OpenJPEG(r io.Reader, l Layout) (*JPEGFrame, error) {
	l.BitsAllocated = 8
	if err := l.decodable(); err != nil {
		return nil, err
	}
	var head bytes.Buffer
	source := &keptError{r: r}
	header, err := readFrameHeader(io.TeeReader(source, &head))
	if err == nil && (header.width != l.Columns || header.height != l.Rows || header.components != l.Samples) {
		err = errors.New("size differs from Rows, Columns or Samples per Pixel")
	}
	var picture image.Image
	if err == nil {
		picture, err = jpeg.Decode(io.MultiReader(&head, source))
	}
	switch {
	case source.err != nil:
		return nil, source.err
	case err != nil:
		return nil, &FormatError{Reason: "a JPEG frame cannot be decoded: " + err.Error()}
	}
	f := &JPEGFrame{layout: l, picture: picture, ybr: strings.HasPrefix(l.Photometric, "YBR")}
	if p, ok := picture.(*image.YCbCr); ok {
		f.cb, f.cr = newChroma(p.Cb, p, l), newChroma(p.Cr, p, l)
	}
	return f, nil
}

// AppendRow appends row y, from 0: the samples of a pixel together (Planar Configuration 0), and colours as RGB.
func (f *JPEGFrame) AppendRow(out []byte, y int) []byte {
	width := f.layout.Columns
	switch p := f.picture.(type) {
	case *image.Gray:
		return append(out, p.Pix[y*p.Stride:][:width]...)
	case *image.YCbCr:
		luma, blue, red := p.Y[y*p.YStride:][:width], f.cb.row(y), f.cr.row(y)
		for x, a := range luma {
			out = f.appendPixel(out, a, blue[x], red[x])
		}
	case *image.RGBA: // three components that the frame itself says are not YCbCr
		for row := p.Pix[y*p.Stride:][:4*width]; len(row) > 0; row = row[4:] {
			out = f.appendPixel(out, row[0], row[1], row[2])
		}
	}
	return out
}

func (f *JPEGFrame) appendPixel(out []byte, a, b, c byte) []byte {
	if f.ybr {
		a, b, c = color.YCbCrToRGB(a, b, c)
	}
	return append(out, a, b, c)
}

// DecodeJPEG decodes a whole frame. It appends nothing to dst but uses its memory. It returns the Photometric Interpretation of the result: RGB, or that of l
// if it has one sample.
func DecodeJPEG(dst, frame []byte, l Layout) ([]byte, string, error) {
	f, err := OpenJPEG(bytes.NewReader(frame), l)
	if err != nil {
		return nil, "", err
	}
	dst = grow(dst, int(f.layout.Size()))[:0]
	for y := range l.Rows {
		dst = f.AppendRow(dst, y)
	}
	if l.Samples == 3 {
		return dst, "RGB", nil
	}
	return dst, l.Photometric, nil
}

// keptError keeps the error of the reader below.
type keptError struct {
	r   io.Reader
	err error
}

func (k *keptError) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		k.err = err
	}
	return n, err //nolint:wrapcheck // of the caller
}
