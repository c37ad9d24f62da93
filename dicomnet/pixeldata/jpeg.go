package pixeldata

import (
	"bytes"
	"image"
	"image/jpeg"
)

// DecodeJPEG decodes a frame of JPEG Baseline (PS3.5 section A.4.1) to the native form of Explicit VR Little Endian with 8 bits
// allocated: a colour image as RGB with the samples of a pixel together (Planar Configuration 0). It appends nothing to dst but uses its
// memory. It returns the Photometric Interpretation of the result, RGB or that of l.
//
// The components of a colour image are RGB or YCbCr as a JFIF or Adobe marker says, and without either as the Photometric Interpretation of l
// says.
func DecodeJPEG(dst, frame []byte, l Layout) ([]byte, string, error) {
	l.BitsAllocated = 8
	if err := l.decodable(); err != nil {
		return nil, "", err
	}
	// Decode allocates what the frame header claims, so that is compared first.
	config, err := jpeg.DecodeConfig(bytes.NewReader(frame))
	if err != nil {
		return nil, "", &FormatError{Reason: "a frame is no JPEG that can be decoded"}
	}
	if config.Width != l.Columns || config.Height != l.Rows {
		return nil, "", &FormatError{Reason: "the size of a JPEG frame is not that of the image"}
	}
	decoded, err := jpeg.Decode(bytes.NewReader(frame))
	if err != nil {
		return nil, "", &FormatError{Reason: "a JPEG frame is damaged"}
	}
	switch picture := decoded.(type) {
	case *image.Gray:
		if l.Samples != 1 {
			break
		}
		dst = grow(dst, int(l.Size()))
		for y := range l.Rows {
			copy(dst[y*l.Columns:(y+1)*l.Columns], picture.Pix[y*picture.Stride:])
		}
		return dst, l.Photometric, nil
	case *image.RGBA:
		if l.Samples != 3 {
			break
		}
		dst = grow(dst, int(l.Size()))
		for y := range l.Rows {
			row, out := picture.Pix[y*picture.Stride:], dst[3*y*l.Columns:]
			for x := range l.Columns {
				copy(out[3*x:3*x+3], row[4*x:4*x+3])
			}
		}
		return dst, "RGB", nil
	case *image.YCbCr:
		if l.Samples != 3 {
			break
		}
		dst = grow(dst, int(l.Size()))
		fromYCbCr(dst, picture, l, l.Photometric == "RGB" && !declaresColour(frame))
		return dst, "RGB", nil
	}
	return nil, "", &FormatError{Reason: "the components of a JPEG frame are not those of the image"}
}

// declaresColour reports whether a JPEG has a marker that decides the meaning of its components: JFIF, which requires YCbCr, or Adobe's.
func declaresColour(frame []byte) bool {
	for len(frame) >= 4 {
		marker := frame[1]
		switch {
		case frame[0] != 0xFF:
			return false
		case marker == 0xFF, marker == 0xD8:
			frame = frame[1:]
			if marker == 0xD8 {
				frame = frame[1:]
			}
			continue
		}
		length := 2 + (int(frame[2])<<8 | int(frame[3]))
		if marker == 0xDA || length > len(frame) {
			return false
		}
		segment := frame[4:max(length, 4)]
		if marker == 0xE0 && bytes.HasPrefix(segment, []byte("JFIF\x00")) || marker == 0xEE && bytes.HasPrefix(segment, []byte("Adobe")) {
			return true
		}
		frame = frame[length:]
	}
	return false
}
