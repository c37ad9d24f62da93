package transcode

import (
	"encoding/binary"
	"errors"
	"io"
)

// rleFrames decodes frames of RLE Lossless (PS3.5 annex G). It holds one encoded frame.
type rleFrames struct {
	source     *frameSource
	attributes pixelAttributes
	size       int64 // of a decoded frame

	data     []byte // the encoded frame
	segments [15]segment
	left     int64 // bytes of the frame that have not been decoded
	plane    int   // that is being decoded, if the samples are plane by plane
	out      []byte
}

const (
	rleHeader = 64
	chunkSize = 32 << 10
)

var errRLE = errors.New("invalid RLE segment")

func (f *rleFrames) next() ([]byte, error) {
	if f.left == 0 {
		ok, err := f.source.nextFrame()
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, io.EOF
		}
		if err := f.load(); err != nil {
			return nil, err
		}
		f.left, f.plane = f.size, 0
	}
	a := &f.attributes
	bytes := a.bits / 8
	stride, first, count := bytes*a.samples, 0, a.samples*bytes
	if a.planar {
		// One plane after the other, each as if it were an image of one sample.
		stride, first, count = bytes, f.plane*bytes, bytes
	}
	n := int(min(int64(cap(f.out)/stride*stride), f.left))
	if a.planar {
		planeSize := f.size / int64(a.samples)
		n = int(min(int64(n), f.left-planeSize*int64(a.samples-1-f.plane)))
		if f.left-int64(n) == planeSize*int64(a.samples-1-f.plane) {
			f.plane++
		}
	}
	f.out = f.out[:n]
	for i := range count {
		// The first segment of a sample has its most significant bytes.
		offset := i/bytes*bytes + bytes - 1 - i%bytes
		if !f.segments[first+i].decode(f.out[offset:], stride, n/stride) {
			return nil, &FrameError{Frame: int(f.source.frame), Err: errRLE}
		}
	}
	f.left -= int64(n)
	return f.out, nil
}

// load reads the next encoded frame and finds its segments.
func (f *rleFrames) load() error {
	if f.out == nil {
		f.out = make([]byte, 0, chunkSize)
	}
	f.data = f.data[:0]
	for {
		if len(f.data) == cap(f.data) {
			f.data = append(f.data, 0)[:len(f.data)]
		}
		n, err := f.source.Read(f.data[len(f.data):cap(f.data)])
		f.data = f.data[:len(f.data)+n]
		if err == io.EOF { //nolint:errorlint // made there
			break
		} else if err != nil {
			return err
		}
	}
	invalid := &FrameError{Frame: int(f.source.frame), Err: errRLE}
	count := f.attributes.samples * f.attributes.bits / 8
	if len(f.data) < rleHeader || count > len(f.segments) || int(binary.LittleEndian.Uint32(f.data)) != count {
		return invalid
	}
	end := int64(len(f.data))
	for i := count - 1; i >= 0; i-- {
		start := int64(binary.LittleEndian.Uint32(f.data[4+4*i:]))
		if start < rleHeader || start > end {
			return invalid
		}
		f.segments[i] = segment{data: f.data[start:end]}
		end = start
	}
	return nil
}

// segment is an encoded sequence of bytes (PS3.5 annex G.3).
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
