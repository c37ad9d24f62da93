package pixeldata

import (
	"errors"
	"io"
)

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
