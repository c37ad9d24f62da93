package pixeldata

import (
	"encoding/binary"
	"io"
)

const (
	rleHeader   = 64
	rleSegments = 15
	// rleRatio is how much longer than its compressed form a run can be: two bytes stand for 128.
	rleRatio = 64
)

// RLEFrame is a frame of RLE Lossless (PS3.5 annex G) while it is decoded to the native form of Explicit VR Little Endian: each sample with its least
// significant byte first, arranged as Planar Configuration says.
type RLEFrame struct {
	segments [rleSegments]segment
	samples  int
	bytes    int // of a sample
	planar   bool
	plane    int   // that is being decoded, if the samples are plane by plane
	pixels   int64 // of the plane, or of the frame, that have not been decoded
	all      int64 // pixels of the frame
}

// OpenRLE returns a frame to decode. data must stay unchanged until the frame is decoded. Errors are a *FormatError or a *LimitError.
func OpenRLE(data []byte, l Layout) (*RLEFrame, error) {
	if err := l.decodable(); err != nil {
		return nil, err
	}
	f := &RLEFrame{samples: l.Samples, bytes: l.BitsAllocated / 8, planar: l.PlanarConfiguration == 1 && l.Samples > 1}
	f.all = int64(l.Rows) * int64(l.Columns)
	f.pixels = f.all
	count := f.samples * f.bytes
	switch {
	case len(data) < rleHeader:
		return nil, &FormatError{Reason: "an RLE frame is shorter than its header"}
	case count > rleSegments || binary.LittleEndian.Uint32(data) != uint32(count):
		return nil, &FormatError{Reason: "the number of RLE segments is not that of the bytes of a pixel"}
	}
	end := int64(len(data))
	for i := count - 1; i >= 0; i-- {
		start := int64(binary.LittleEndian.Uint32(data[4+4*i:]))
		if start < rleHeader || start > end {
			return nil, &FormatError{Reason: "an RLE segment lies outside its frame"}
		}
		f.segments[i] = segment{data: data[start:end]}
		end = start
	}
	return f, nil
}

// Next decodes pixels into dst, as many as it has room for, and returns what it wrote. It returns io.EOF after the last pixel, io.ErrShortBuffer if dst has not
// room for one, and a *FormatError if a segment ends before its last pixel. Bytes beyond that are ignored, because encoders pad segments.
func (f *RLEFrame) Next(dst []byte) ([]byte, error) {
	if f.pixels == 0 {
		if f.plane++; !f.planar || f.plane == f.samples {
			return nil, io.EOF
		}
		f.pixels = f.all
	}
	// One plane after the other, each as if it were an image of one sample.
	stride, first, count := f.samples*f.bytes, 0, f.samples*f.bytes
	if f.planar {
		stride, first, count = f.bytes, f.plane*f.bytes, f.bytes
	}
	n := int(min(int64(len(dst)/stride), f.pixels))
	if n == 0 {
		return nil, io.ErrShortBuffer
	}
	dst = dst[:n*stride]
	for i := range count {
		// The first segment of a sample has its most significant bytes.
		offset := i/f.bytes*f.bytes + f.bytes - 1 - i%f.bytes
		if !f.segments[first+i].decode(dst[offset:], stride, n) {
			return nil, &FormatError{Reason: "an RLE segment ends before its last pixel"}
		}
	}
	f.pixels -= int64(n)
	return dst, nil
}

// DecodeRLE decodes a whole frame. It appends nothing to dst but uses its memory.
func DecodeRLE(dst, frame []byte, l Layout) ([]byte, error) {
	f, err := OpenRLE(frame, l)
	if err != nil {
		return nil, err
	}
	size := int(l.Size())
	if size/rleRatio > len(frame) {
		return nil, &FormatError{Reason: "an RLE frame is too short for its pixels"}
	}
	dst = grow(dst, size)
	for at := 0; at < size; {
		b, err := f.Next(dst[at:])
		if err != nil {
			return nil, err
		}
		at += len(b)
	}
	return dst, nil
}

// segment is an encoded sequence of bytes (PS3.5 section G.3).
type segment struct {
	data    []byte
	run     int // bytes left of the current run
	literal bool
	value   byte // of the current replicate run
}

// decode decodes n bytes to every stride-th byte of dst. It returns false if the segment has fewer.
func (s *segment) decode(dst []byte, stride, n int) bool {
	at := 0
	for n > 0 {
		if s.run == 0 && !s.nextRun() {
			return false
		}
		m := min(s.run, n)
		switch {
		case !s.literal:
			for range m {
				dst[at] = s.value
				at += stride
			}
		case len(s.data) < m:
			return false
		default:
			for _, c := range s.data[:m] {
				dst[at] = c
				at += stride
			}
			s.data = s.data[m:]
		}
		s.run -= m
		n -= m
	}
	return true
}

// nextRun reads the byte that begins a run. It returns false at the end of the segment.
func (s *segment) nextRun() bool {
	for len(s.data) > 0 {
		c := int(int8(s.data[0]))
		s.data = s.data[1:]
		switch {
		case c >= 0:
			s.run, s.literal = c+1, true
			return true
		case c > -128 && len(s.data) > 0:
			s.run, s.literal, s.value = 1-c, false, s.data[0]
			s.data = s.data[1:]
			return true
		}
	}
	return false
}
