package audit

import (
	"errors"
	"slices"
	"sync"
)

// entry is a record that is to be written.
type entry struct {
	result  chan error // gets one value, unless Write returned before
	encoder *encoder   // whose buffer line is, if it is one part and not kept

	// Guarded by the lock of the Log:
	line    line
	awaited bool // Write waits for the result
	kept    int  // the length of the line, once Write has returned an error other than ErrFull
	written bool // the sink has it
	lost    bool // Write has returned ErrFull; if it is not being written yet, it will not be
}

// line is the line of a record.
type line interface {
	// parts passes all parts of the line, each of at most maxPart bytes, until pass returns an error.
	parts(pass func(part []byte) error) error
}

// oneLine is a line of one part.
type oneLine []byte

func (l oneLine) parts(pass func(part []byte) error) error { return pass(l) }

// longLine is a line of several parts that are made while they are written.
type longLine struct{ record *Record }

func (l longLine) parts(pass func(part []byte) error) error {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	*e = encoder{b: slices.Grow(e.b[:0], maxPart), pass: pass}
	e.line(l.record)
	e.flush()
	e.pass = nil
	return e.err
}

// keptLine is a line of several parts that are in memory, independent of the record.
type keptLine [][]byte

func (l keptLine) parts(pass func(part []byte) error) error {
	for _, part := range l {
		if err := pass(part); err != nil {
			return err
		}
	}
	return nil
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

var errLong = errors.New("longer than wanted")

// newEntry returns the entry of a record, encoded if it is one part.
func newEntry(r *Record) *entry {
	e := encoders.Get().(*encoder)
	*e = encoder{b: e.b[:0], pass: func([]byte) error { return errLong }}
	e.line(r)
	entry := &entry{result: make(chan error, 1), awaited: true}
	if e.err != nil {
		encoders.Put(e)
		entry.line = longLine{r}
		return entry
	}
	entry.encoder, entry.line = e, oneLine(e.b)
	return entry
}

// release makes the buffer of the line available to others.
func (e *entry) release() {
	if e.encoder != nil {
		encoders.Put(e.encoder)
		e.encoder = nil
	}
}

// size returns the length of the line, or a length above maxPendingBytes if it is longer than that. The line must not be kept.
func (e *entry) size() int {
	size := 0
	_ = e.line.parts(func(part []byte) error {
		if size += len(part); size > maxPendingBytes {
			return errLong
		}
		return nil
	})
	return size
}

// compact returns the line in memory of just its length, independent of the record. The line must not be kept.
func (e *entry) compact() line {
	if whole, ok := e.line.(oneLine); ok {
		return append(oneLine(nil), whole...)
	}
	var kept keptLine
	_ = e.line.parts(func(part []byte) error {
		kept = append(kept, append([]byte(nil), part...))
		return nil
	})
	return kept
}
