package transcode

import (
	"encoding/binary"
	"strconv"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
	"dicom-qr-gateway/dicomnet/pixeldata"
)

// The elements that describe pixels (PS3.3 section C.7.6.3).
const (
	groupImage  = 0x0028
	groupPixels = 0x7fe0

	samplesPerPixel           = 0x0002
	photometricInterpretation = 0x0004
	planarConfiguration       = 0x0006
	numberOfFrames            = 0x0008
	rowsElement               = 0x0010
	columnsElement            = 0x0011
	bitsAllocated             = 0x0100
)

var (
	tagPixelData                  = dataset.Tag{Group: groupPixels, Element: 0x0010}
	tagExtendedOffsetTable        = dataset.Tag{Group: groupPixels, Element: 0x0001}
	tagExtendedOffsetTableLengths = dataset.Tag{Group: groupPixels, Element: 0x0002}
	tagPlanarConfiguration        = dataset.Tag{Group: groupImage, Element: planarConfiguration}
)

// maxAttribute is the length up to which values of group 0028 are read to be looked at.
const maxAttribute = 64

// pixelAttributes describes the pixels of one data set or item.
type pixelAttributes struct {
	rows, columns, samples, bits int
	frames                       int64
	planar                       bool // samples are plane by plane
	hasPlanar                    bool
	ybr                          bool // the encoded pixels of a JPEG frame have luminance and chrominance
}

// attribute writes an element of group 0028, and remembers what it says about pixels.
func (r *Reader) attribute(token *stream.Token) error {
	value, err := r.d.Bytes(maxAttribute)
	if err != nil {
		return err
	}
	a := &r.levels[token.Depth]
	n := 0
	if len(value) >= 2 {
		n = int(binary.LittleEndian.Uint16(value))
	}
	switch token.Tag.Element {
	case samplesPerPixel:
		a.samples = n
	case rowsElement:
		a.rows = n
	case columnsElement:
		a.columns = n
	case bitsAllocated:
		a.bits = n
	case numberOfFrames:
		// An invalid number is found to be none when pixel data comes.
		a.frames, err = strconv.ParseInt(strings.Trim(string(value), " \x00"), 10, 32)
		if err != nil || a.frames <= 0 {
			a.frames = -1
		}
	case planarConfiguration:
		a.hasPlanar, a.planar = true, n != 0
		if r.jpeg && token.Depth == 0 {
			a.planar = false
			value = make([]byte, 2)
		}
	case photometricInterpretation:
		a.ybr = strings.HasPrefix(string(value), "YBR")
		if r.jpeg && a.ybr && token.Depth == 0 && a.samples == 3 {
			value = []byte("RGB ")
		}
	}
	r.header(token, int64(len(value)))
	r.out = append(r.out, value...)
	if r.pad >= 0 {
		r.out = append(r.out, byte(r.pad))
	}
	return nil
}

// addPlanarConfiguration writes Planar Configuration before the first element after it, if colour pixels lack it: it is required.
func (r *Reader) addPlanarConfiguration(token *stream.Token) {
	a := &r.levels[0]
	if t := token.Tag; a.samples > 1 && !a.hasPlanar && (t.Group > groupImage || t.Group == groupImage && t.Element > planarConfiguration) {
		a.hasPlanar = true
		r.out = append(stream.AppendHeader(r.out, tagPlanarConfiguration, vrUS, 2), 0, 0)
	}
}

// fragments writes the header of pixel data, and begins to decode it.
func (r *Reader) fragments(token *stream.Token) error {
	a := &r.levels[token.Depth]
	if a.frames == 0 {
		a.frames = 1
	}
	switch {
	case !r.encapsulated:
		return &UnsupportedError{"it is encapsulated"}
	case token.Tag != tagPixelData:
		return &UnsupportedError{"fragments of another element"}
	case a.rows == 0 || a.columns == 0 || a.samples == 0 || a.bits == 0 || a.frames < 0:
		return &UnsupportedError{"it is not described"}
	case r.jpeg && (a.bits != 8 || a.samples != 1 && a.samples != 3), a.bits%8 != 0 || a.bits > 64 || a.samples > 4:
		return &UnsupportedError{"Bits Allocated or Samples per Pixel"}
	}
	size := int64(a.rows) * int64(a.columns) * int64(a.samples) * int64(a.bits/8)
	if size > r.limits.MaxFrame {
		return &dataset.LimitError{What: "bytes in a frame", Limit: int(r.limits.MaxFrame)}
	}
	if a.frames > maxPixelData/size {
		return &dataset.LimitError{What: "bytes in pixel data", Limit: maxPixelData}
	}
	source := &frameSource{d: r.d, frames: a.frames, oneEach: !r.jpeg, maxFrame: r.limits.MaxFrame}
	if r.jpeg {
		if a.ybr && token.Depth > 0 {
			return &UnsupportedError{"YBR in an item"} // its Photometric Interpretation has been written
		}
		r.pixels = &jpegFrames{source: source, layout: a.layout()}
	} else {
		r.pixels = &rleFrames{source: source, layout: a.layout()}
	}
	token.VR = vrOW // allowed for any Bits Allocated (PS3.5 annex A.2)
	r.header(token, size*a.frames)
	return source.start()
}

// layout returns what packages below need to decode a frame.
func (a *pixelAttributes) layout() pixeldata.Layout {
	l := pixeldata.Layout{Rows: a.rows, Columns: a.columns, Samples: a.samples, BitsAllocated: a.bits}
	if a.planar {
		l.PlanarConfiguration = 1
	}
	if a.ybr {
		l.Photometric = "YBR_FULL"
	}
	return l
}

// maxPixelData is the greatest length of a value (PS3.5 section 7.1.1).
const maxPixelData = 0xfffffffe
