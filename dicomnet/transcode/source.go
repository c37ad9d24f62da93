package transcode

import (
	"encoding/binary"
	"errors"
	"io"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
	"dicom-qr-gateway/dicomnet/pixeldata"
)

// frames are decoded one after the other.
type frames interface {
	// next returns the next bytes. They are valid until the next call. It returns io.EOF after the last frame.
	next() ([]byte, error)
}

// frameSource finds the frames in the fragments of pixel data (PS3.5 annex A.4), and reads one after the other.
type frameSource struct {
	d        *stream.Decoder
	frames   int64
	oneEach  bool // a fragment is a frame, as in RLE Lossless
	maxFrame int64

	frame   int64    // the one that is being read, from 1
	read    int64    // bytes of it
	offsets []uint32 // the Basic Offset Table, nil if it is not usable
	base    int64    // to which the offsets refer
	held    bool     // the Decoder is at a fragment that has not been begun
	ended   bool     // there is no other fragment
}

// maxOffsets is how many entries of a Basic Offset Table are read. Longer ones are ignored.
const maxOffsets = 1 << 20

// start reads the Basic Offset Table.
func (s *frameSource) start() error {
	token, err := s.d.Next()
	if err != nil {
		return err
	}
	if token.Kind != stream.OffsetTable {
		return &UnsupportedError{"it has no fragment"}
	}
	s.base = token.Offset + token.Length
	if !s.oneEach && s.frames > 1 && s.frames <= maxOffsets && token.Length == 4*s.frames {
		table, err := s.d.Bytes(4 * maxOffsets)
		if err != nil {
			return err
		}
		for b := table; len(b) > 0; b = b[4:] {
			s.offsets = append(s.offsets, binary.LittleEndian.Uint32(b))
		}
	}
	return s.advance()
}

// advance goes to the next fragment.
func (s *frameSource) advance() error {
	token, err := s.d.Next()
	if err != nil {
		return err
	}
	s.held, s.ended = token.Kind == stream.Fragment, token.Kind == stream.FragmentsEnd
	if s.ended || s.offsets == nil {
		return nil
	}
	if s.frame == s.frames {
		s.held = false
		return nil
	}
	// What the table says about the next frame must be the beginning of a fragment.
	if at := token.Offset - itemHeader - s.base; at > int64(s.offsets[s.frame]) {
		return &UnsupportedError{"the Basic Offset Table does not fit the fragments"}
	} else if at < int64(s.offsets[s.frame]) {
		s.held = false
	}
	return nil
}

const itemHeader = 8

// next begins the next frame. It returns false after the last.
func (s *frameSource) nextFrame() (bool, error) {
	if s.frame > 0 {
		// What follows the end of an image is padding.
		if _, err := io.Copy(io.Discard, s); err != nil {
			return false, err
		}
	}
	if s.frame == s.frames {
		if !s.ended {
			return false, &UnsupportedError{"it has more frames than Number of Frames"}
		}
		return false, nil
	}
	if s.ended {
		return false, &UnsupportedError{"it has fewer frames than Number of Frames"}
	}
	s.frame++
	s.read = 0
	s.held = false
	return true, nil
}

// Read reads from the current frame. It returns io.EOF at its end.
func (s *frameSource) Read(p []byte) (int, error) {
	for !s.held && !s.ended {
		n, err := s.d.Read(p)
		s.read += int64(n)
		if s.read > s.maxFrame {
			return n, &dataset.LimitError{What: "bytes in an encoded frame", Limit: int(s.maxFrame)}
		}
		if err != io.EOF { //nolint:errorlint // made by the Decoder
			return n, err
		}
		if err := s.advance(); err != nil {
			return n, err
		}
		if s.ended || !s.held {
			continue
		}
		if s.held, err = s.begins(); err != nil {
			return n, err
		}
	}
	return 0, io.EOF
}

// begins reports whether the fragment at which the Decoder is begins a frame.
func (s *frameSource) begins() (bool, error) {
	switch {
	case s.frames == 1:
		return false, nil
	case s.oneEach || s.offsets != nil:
		return true, nil
	}
	start, err := s.d.Peek(2)
	return string(start) == "\xff\xd8", err
}

// failed returns a *FrameError of the current frame if it is malformed, and else err itself.
func (s *frameSource) failed(err error) error {
	if _, ok := errors.AsType[*pixeldata.FormatError](err); ok {
		return &FrameError{Frame: int(s.frame), Err: err}
	}
	return err
}
