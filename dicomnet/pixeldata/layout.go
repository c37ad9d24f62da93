package pixeldata

import "fmt"

// MaxFrame limits the bytes of a decoded frame. It is larger than any frame that a modality produces, and keeps Rows and Columns, which a
// peer claims, from allocating gigabytes.
const MaxFrame = 1 << 28

// Layout is how the samples of a frame are arranged: the Image Pixel module (PS3.3 section C.7.6.3).
type Layout struct {
	Rows, Columns       int
	Samples             int // Samples per Pixel
	BitsAllocated       int
	BitsStored          int // 0: as Bits Allocated
	HighBit             int
	Signed              bool // Pixel Representation 1
	PlanarConfiguration int
	Photometric         string // Photometric Interpretation
}

// Bits returns the bits of a native frame. Frames follow each other without padding (PS3.5 section 8.1.1). It returns 0 if the
// attributes do not describe a frame.
func (l *Layout) Bits() int64 {
	if l.Rows <= 0 || l.Columns <= 0 || l.Samples <= 0 || l.BitsAllocated <= 0 ||
		l.Rows > 0xFFFF || l.Columns > 0xFFFF || l.Samples > maxSamples || l.BitsAllocated > maxBits {
		return 0
	}
	return int64(l.Rows) * int64(l.Columns) * int64(l.Samples) * int64(l.BitsAllocated)
}

const (
	maxSamples = 4
	maxBits    = 64
)

// Size returns the bytes of a native frame, the last one filled up.
func (l *Layout) Size() int64 { return (l.Bits() + 7) / 8 }

// decodable returns an error unless the frame has whole bytes for samples, and is not larger than MaxFrame.
func (l *Layout) decodable() error {
	switch size := l.Size(); {
	case size == 0 || l.BitsAllocated%8 != 0:
		return &FormatError{Reason: "the Image Pixel attributes describe no frame of whole bytes"}
	case size > MaxFrame:
		return &LimitError{What: "bytes of a frame", Limit: MaxFrame}
	}
	return nil
}

// grow returns b with length n. What it contains is undefined.
func grow(b []byte, n int) []byte {
	if cap(b) >= n {
		return b[:n]
	}
	return make([]byte, n)
}

// FormatError reports pixel data that are malformed, or that contradict the attributes beside them.
type FormatError struct{ Reason string }

func (e *FormatError) Error() string { return "pixel data: " + e.Reason }

// LimitError reports pixel data that exceed a limit.
type LimitError struct {
	What  string
	Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("pixel data: more than %d %s", e.Limit, e.What)
}
