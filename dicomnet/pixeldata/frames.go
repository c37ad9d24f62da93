package pixeldata

import (
	"bytes"
	"io"
	"iter"
	"slices"
)

// Frame is a frame while it is read. It is valid until the next iteration.
type Frame struct {
	Number int   // from 1
	Size   int64 // in bytes, -1 if only the end of the frame will show
	r      io.Reader
	data   []byte // of a frame that is held
}

func heldFrame(number int, data []byte) *Frame {
	return &Frame{Number: number, Size: int64(len(data)), r: bytes.NewReader(data), data: data}
}

// Read reads the frame: native samples in little endian, or the code stream of an encapsulated frame without the padding that fills it up to
// an even length. It returns io.EOF at the end of the frame; any other error means that the frame could not be read as a whole.
func (f *Frame) Read(p []byte) (int, error) { return f.r.Read(p) }

// WriteTo writes the rest of the frame to w.
func (f *Frame) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, f.r) //nolint:wrapcheck // of the frame or of w
}

// frameReader finds frames in the order of the data set.
type frameReader interface {
	// next returns the next of the wanted frames. What is left of the frame before is skipped.
	next() (*Frame, error)
}

// Frames yields the frames with the given numbers, which must be distinct and at least 1, in their order. A frame that is not read is skipped.
// It can be called once.
//
// A frame before its turn is held in memory, and so is one of encapsulated pixel data without offset table until its end is certain, within
// Limits.Held. The sequence ends with the first error: a *NoFrameError, an *IndeterminateError, a *FormatError, a *LimitError, a *BusyError, or an
// error of package stream. A *NoFrameError comes first. A frame whose Read failed must not be taken for whole.
func (s *Source) Frames(numbers []int) iter.Seq2[*Frame, error] {
	return func(yield func(*Frame, error) bool) {
		sorted := slices.Sorted(slices.Values(numbers))
		if len(sorted) == 0 {
			return
		}
		if sorted[0] < 1 || sorted[len(sorted)-1] > s.Count || len(slices.Compact(sorted)) < len(numbers) {
			yield(nil, &NoFrameError{})
			return
		}
		hold := &holder{left: s.limits.Held, limit: s.limits.Held, memory: s.limits.Memory}
		defer hold.release()
		frames, err := s.reader(sorted, hold)
		if err != nil {
			yield(nil, err)
			return
		}
		early := map[int]*Frame{}
		for _, number := range numbers {
			frame, err := turn(number, frames, early, hold)
			if !yield(frame, err) || err != nil {
				return
			}
		}
	}
}

// turn returns the frame with the given number, and holds those that come before it.
func turn(number int, frames frameReader, early map[int]*Frame, hold *holder) (*Frame, error) {
	frame := early[number]
	for frame == nil {
		next, err := frames.next()
		switch {
		case err != nil:
			return nil, err
		case next.Number == number:
			frame = next
		case next.data != nil:
			early[next.Number] = next
		default:
			b, err := hold.append(nil, next)
			if err != nil {
				return nil, err
			}
			early[next.Number] = heldFrame(next.Number, b)
		}
	}
	delete(early, number)
	hold.left += int64(len(frame.data))
	return frame, nil
}

// reader returns the reader for the form of the pixel data.
func (s *Source) reader(wanted []int, hold *holder) (frameReader, error) {
	if s.Form != Encapsulated {
		return s.nativeReader(wanted, hold), nil
	}
	return s.encapsulatedReader(wanted, hold)
}

// holder counts the bytes of frames that are held.
type holder struct {
	left, limit int64
	memory      Memory // nil: no budget
	taken       int64  // of memory
}

// quantum is what is taken of Memory at once.
const quantum = 1 << 20

// take returns a *LimitError or a *BusyError if n bytes more must not be held.
func (h *holder) take(n int64) error {
	if h.left -= n; h.left < 0 {
		return &LimitError{What: "bytes of frames that must be held", Limit: h.limit}
	}
	if more := h.limit - h.left - h.taken; h.memory != nil && more > 0 {
		more = (more + quantum - 1) / quantum * quantum
		if !h.memory.TryTake(more) {
			return &BusyError{}
		}
		h.taken += more
	}
	return nil
}

func (h *holder) release() {
	if h.memory != nil {
		h.memory.Give(h.taken)
	}
}

// append appends what r has to b. What is allocated grows with what arrives.
func (h *holder) append(b []byte, r io.Reader) ([]byte, error) {
	for {
		b = slices.Grow(b, 512)
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if taken := h.take(int64(n)); taken != nil {
			return nil, taken
		}
		if err == io.EOF {
			return b, nil
		} else if err != nil {
			return nil, err //nolint:wrapcheck // of the data set
		}
	}
}
