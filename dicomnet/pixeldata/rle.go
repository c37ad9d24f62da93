package pixeldata

import "encoding/binary"

const (
	rleHeader   = 64
	rleSegments = 15
	// rleRatio is how much longer than its compressed form a run can be: two bytes stand for 128.
	rleRatio = 64
)

// DecodeRLE decodes a frame of RLE Lossless (PS3.5 annex G) to the native form of Explicit VR Little Endian: the samples of a pixel
// together (Planar Configuration 0), each with its least significant byte first. It appends nothing to dst but uses its memory.
//
// A frame that lacks pixels, or whose segments do not fit the layout, is a *FormatError. Bytes beyond the last pixel of a segment are
// ignored, because encoders pad segments.
func DecodeRLE(dst, frame []byte, l Layout) ([]byte, error) {
	if err := l.decodable(); err != nil {
		return nil, err
	}
	bytesPerSample := l.BitsAllocated / 8
	stride := l.Samples * bytesPerSample
	segments, err := rleOffsets(frame, stride)
	if err != nil {
		return nil, err
	}
	size := int(l.Size())
	if size/rleRatio > len(frame) {
		return nil, &FormatError{Reason: "an RLE frame is too short for its pixels"}
	}
	dst = grow(dst, size)
	for i, segment := range segments {
		// Segments go from the most significant byte of the first sample to the least significant byte of the last.
		sample, significance := i/bytesPerSample, bytesPerSample-1-i%bytesPerSample
		if !unpackBits(dst[sample*bytesPerSample+significance:], stride, segment) {
			return nil, &FormatError{Reason: "an RLE segment ends before its last pixel"}
		}
	}
	return dst, nil
}

// rleOffsets returns the segments of a frame, of which there must be n (PS3.5 section G.5).
func rleOffsets(frame []byte, n int) ([][]byte, error) {
	if len(frame) < rleHeader {
		return nil, &FormatError{Reason: "an RLE frame is shorter than its header"}
	}
	if count := binary.LittleEndian.Uint32(frame); n > rleSegments || count != uint32(n) {
		return nil, &FormatError{Reason: "the number of RLE segments is not that of the bytes of a pixel"}
	}
	segments := make([][]byte, n)
	end := uint32(min(len(frame), 1<<31))
	for i := n - 1; i >= 0; i-- {
		start := binary.LittleEndian.Uint32(frame[4+4*i:])
		if start < rleHeader || start > end {
			return nil, &FormatError{Reason: "an RLE segment lies outside its frame"}
		}
		segments[i] = frame[start:end]
		end = start
	}
	return segments, nil
}

// unpackBits decodes a segment (PS3.5 section G.3.2) into every stride-th byte of dst, and reports whether it had enough bytes.
func unpackBits(dst []byte, stride int, src []byte) bool {
	at := 0
	for at < len(dst) {
		if len(src) < 2 {
			return false
		}
		control := int(int8(src[0]))
		src = src[1:]
		switch {
		case control >= 0:
			n := min(control+1, len(src))
			for _, b := range src[:n] {
				if at >= len(dst) {
					return true
				}
				dst[at] = b
				at += stride
			}
			src = src[n:]
		case control > -128:
			for range 1 - control {
				if at >= len(dst) {
					return true
				}
				dst[at] = src[0]
				at += stride
			}
			src = src[1:]
		}
	}
	return true
}
