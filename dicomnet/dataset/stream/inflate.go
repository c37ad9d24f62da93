package stream

import (
	"compress/flate"
	"errors"
	"io"
	"sync"

	"dicom-qr-gateway/dicomnet/dataset"
)

// inflater inflates a data set (PS3.5 annex A.5) within limits.
type inflater struct {
	src      countingReader
	flate    io.ReadCloser
	out      int64
	maxBytes int64
	maxRatio int64
}

// freeOutput is how many inflated bytes are free of the limit on the ratio: a blank image of usual size is compressed a thousandfold.
const freeOutput = 64 << 20

// countingReader counts what it reads and keeps the error of the reader below, which the library may wrap.
type countingReader struct {
	r   io.Reader
	n   int64
	err error
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

var inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}

func newInflater(r io.Reader, maxBytes, maxRatio int64) *inflater {
	i := &inflater{src: countingReader{r: r}, maxBytes: maxBytes, maxRatio: maxRatio}
	i.flate = inflaters.Get().(io.ReadCloser)
	_ = i.flate.(flate.Resetter).Reset(&i.src, nil)
	return i
}

// release returns the memory of the inflater. The inflater must not be used afterwards.
func (i *inflater) release() {
	if i.flate != nil {
		_ = i.flate.(flate.Resetter).Reset(eof{}, nil)
		inflaters.Put(i.flate)
		i.flate = nil
	}
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

func (i *inflater) Read(p []byte) (int, error) {
	if i.flate == nil {
		return 0, io.EOF
	}
	n, err := i.flate.Read(p)
	i.out += int64(n)
	switch {
	case i.out > i.maxBytes:
		return 0, &dataset.LimitError{What: "bytes", Limit: int(i.maxBytes)}
	case i.out > freeOutput && i.out > i.maxRatio*i.src.n:
		return 0, &dataset.LimitError{What: "times of its deflated size", Limit: int(i.maxRatio)}
	case err == nil:
		return n, nil
	case err == io.EOF:
		return n, err
	case i.src.err != nil:
		return n, i.src.err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, &TruncatedError{Offset: i.out}
	}
	return n, formatError(i.out, "deflated data is corrupt")
}

// readDeflatedHead is ReadHead for a deflated data set.
func readDeflatedHead(r io.Reader, buf []byte, limit int) (Head, []byte, error) {
	raw := &tee{r: r, buf: buf, left: limit, limit: limit}
	in := newInflater(raw, int64(limit), int64(limit))
	defer in.release()
	h := headReader{r: in, limit: limit}
	head, err := h.read(explicitLE)
	return head, raw.buf, err
}

// tee appends what it reads to buf, limit bytes at most.
type tee struct {
	r           io.Reader
	buf         []byte
	left, limit int
}

func (t *tee) Read(p []byte) (int, error) {
	if t.left <= 0 {
		return 0, &dataset.LimitError{What: "bytes", Limit: t.limit}
	}
	n, err := t.r.Read(p[:min(len(p), t.left)])
	t.buf = append(t.buf, p[:n]...)
	t.left -= n
	return n, err
}
