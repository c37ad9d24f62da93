package pixeldata

import (
	"errors"
	"io"

	"dicom-qr-gateway/dicomnet/dataset/stream"
)

// fragments reads the fragments of encapsulated pixel data, one token ahead.
type fragments struct {
	decoder *stream.Decoder
	token   stream.Token // the current fragment, or FragmentsEnd
	origin  int64        // of the first fragment's item, in the data set
}

// offset returns where the item of the current fragment begins, relative to that of the first (PS3.5 annex A.4).
func (f *fragments) offset() uint64 { return uint64(f.token.Offset - itemHeader - f.origin) }

const itemHeader = 8

func (f *fragments) ended() bool { return f.token.Kind == stream.FragmentsEnd }

// next goes to the next fragment, or to the end.
func (f *fragments) next() error {
	token, err := f.decoder.Next()
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err //nolint:wrapcheck // of the data set
	}
	f.token = token
	return nil
}

// encapsulatedReader returns the reader that fits the offset tables of the data set.
func (s *Source) encapsulatedReader(wanted []int, hold *holder) (frameReader, error) {
	f := &fragments{decoder: s.decoder}
	if err := f.next(); err != nil {
		return nil, err
	}
	var offsets []uint64
	if f.token.Kind == stream.OffsetTable {
		var err error
		if offsets, err = readTable(s.decoder, f.token.Length, 4, s.limits.Attributes); err != nil {
			return nil, err
		}
		if err := f.next(); err != nil {
			return nil, err
		}
	}
	if f.ended() {
		return nil, &FormatError{Reason: "encapsulated pixel data has no fragment"}
	}
	f.origin = f.token.Offset - itemHeader
	if len(s.offsets) > 0 {
		offsets = s.offsets
	} else {
		s.lengths = nil
	}
	family := familyOf(s.TransferSyntax)
	switch {
	case s.Count == 1:
		// All fragments are of the frame, whatever the table says.
		return &indexedReader{fragments: f, wanted: wanted, family: family, offsets: []uint64{0}, lengths: ofOne(s.lengths)}, nil
	case len(offsets) > 0:
		if err := checkTable(offsets, s.lengths, s.Count); err != nil {
			return nil, err
		}
		return &indexedReader{fragments: f, wanted: wanted, family: family, offsets: offsets, lengths: s.lengths}, nil
	case family.starts == nil:
		return nil, &IndeterminateError{Reason: "there is no offset table, and the transfer syntax does not mark frames"}
	}
	return &markedReader{fragments: f, family: family, wanted: wanted, count: s.Count, hold: hold}, nil
}

// ofOne returns the lengths of the Extended Offset Table if they can be those of a single frame.
func ofOne(lengths []uint64) []uint64 {
	if len(lengths) == 1 {
		return lengths
	}
	return nil
}

// checkTable checks an offset table, and the lengths of the Extended Offset Table, for which there may be none.
func checkTable(offsets, lengths []uint64, frames int) error {
	if len(offsets) != frames || lengths != nil && len(lengths) != frames {
		return &IndeterminateError{Reason: "the offset table has not one entry for each frame"}
	}
	for i, offset := range offsets {
		if i == 0 && offset != 0 || i > 0 && offset <= offsets[i-1] {
			return &IndeterminateError{Reason: "the offsets of the frames do not ascend from 0"}
		}
	}
	return nil
}

// indexedReader reads frames whose places are in an offset table.
type indexedReader struct {
	*fragments
	wanted  []int
	family  family
	offsets []uint64
	lengths []uint64 // without padding; nil: not known
	open    *fragmentsOfFrame
}

func (r *indexedReader) next() (*Frame, error) {
	number := r.wanted[0]
	r.wanted = r.wanted[1:]
	if r.open != nil {
		// The rest of the frame before.
		if err := r.open.skip(); err != nil {
			return nil, err
		}
	}
	start := r.offsets[number-1]
	for !r.ended() && r.offset() < start {
		if err := r.fragments.next(); err != nil {
			return nil, err
		}
	}
	if r.ended() || r.offset() != start {
		return nil, &IndeterminateError{Reason: "no fragment begins where the offset table says that a frame does"}
	}
	frame := &Frame{Number: number, Size: -1}
	r.open = &fragmentsOfFrame{fragments: r.fragments}
	if number < len(r.offsets) {
		r.open.end = r.offsets[number]
	}
	if r.lengths != nil {
		frame.Size = int64(r.lengths[number-1])
		frame.r = &exactly{r: r.open, left: frame.Size}
	} else {
		frame.r = &trimmer{r: r.open, family: r.family}
	}
	return frame, nil
}

// fragmentsOfFrame reads the fragments of one frame.
type fragmentsOfFrame struct {
	*fragments
	end  uint64 // the offset of the next frame; 0: the frame is the last
	done bool
	err  error
}

func (f *fragmentsOfFrame) Read(p []byte) (int, error) {
	for !f.done && f.err == nil {
		n, err := f.decoder.Read(p)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) {
			return n, err //nolint:wrapcheck // of the data set
		}
		f.advance()
	}
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// advance goes to the next fragment, and finds out if it belongs to the frame.
func (f *fragmentsOfFrame) advance() {
	f.err = f.next()
	switch {
	case f.err != nil:
	case f.ended():
		if f.done = true; f.end > 0 {
			f.err = &IndeterminateError{Reason: "the offset table says that there are more frames than there are"}
		}
	case f.end > 0 && f.offset() > f.end:
		f.err = &IndeterminateError{Reason: "no fragment begins where the offset table says that a frame does"}
	default:
		f.done = f.offset() == f.end && f.end > 0
	}
}

func (f *fragmentsOfFrame) skip() error {
	for !f.done && f.err == nil {
		f.advance()
	}
	return f.err
}

// exactly reads a frame whose length is known, and at most one byte of padding behind it.
type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left > 0 {
		n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
		if e.left -= int64(n); errors.Is(err, io.EOF) {
			err = errLength
		}
		return n, err //nolint:wrapcheck // of the data set
	}
	var rest [2]byte
	n, err := io.ReadFull(e.r, rest[:])
	switch {
	case n == len(rest):
		return 0, errLength
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && n == 1:
		return 0, io.EOF
	}
	return 0, err //nolint:wrapcheck // of the data set
}

var errLength = &IndeterminateError{Reason: "a frame has not the length that the Extended Offset Table says"}
