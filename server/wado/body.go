package wado

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"sync"

	"dicom-qr-gateway/dicomnet/part10"
	"dicom-qr-gateway/dicomnet/transcode"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server/problem"
)

// body is a data set as it is sent.
type body struct {
	meta      part10.Meta
	in        *receive.Arrived
	converted *transcode.Reader // nil: as it came
	begin     *buffer           // of a converted one, which has been read already
	n         int               // bytes of it
}

// buffer is where converted data sets pass through.
type buffer = [128 << 10]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// bodies yields what is sent of each instance of the retrieval. It skips instances whose transfer syntax the caller does not accept, with
// lenient handling. It ends with the first error. The caller must send or close each body.
func (t *Transfer) bodies() iter.Seq2[*body, error] {
	return func(yield func(*body, error) bool) {
		for in, err := range t.Source.All() {
			var b *body
			if err == nil {
				b, err = t.body(in)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if b != nil && !yield(b, nil) {
				return
			}
		}
	}
}

// body returns what is sent of an instance; nil if nothing is. A converted data set has been read to the length of a buffer, so that most
// of those that cannot be converted are known before anything is sent of them.
func (t *Transfer) body(in *receive.Arrived) (*body, error) {
	syntax, ok := t.Syntaxes.For(in.TransferSyntax, transcode.Converts)
	if !ok {
		return nil, t.skip(in)
	}
	b := &body{meta: part10.Meta{SOPClassUID: in.SOPClassUID, SOPInstanceUID: in.SOPInstanceUID, TransferSyntax: syntax}, in: in}
	if syntax == in.TransferSyntax {
		return b, nil
	}
	var err error
	if b.converted, err = transcode.NewReader(in, in.TransferSyntax, transcode.Limits{}); err != nil {
		return nil, err
	}
	b.begin = buffers.Get().(*buffer)
	for b.n < len(b.begin) && err == nil {
		var n int
		n, err = b.converted.Read(b.begin[b.n:])
		b.n += n
	}
	if err != nil && err != io.EOF { //nolint:errorlint // io.EOF alone is the end
		b.close()
		return nil, conversionError(err)
	}
	return b, nil
}

// conversionError returns the error to answer with if a data set cannot be converted.
func conversionError(err error) error {
	if _, undecodable := errors.AsType[*transcode.FrameError](err); undecodable {
		return &problem.Problem{Code: api.ProblemCodeTransferSyntaxUnavailable, Cause: err}
	}
	return readError(err)
}

func (b *body) close() {
	if b.converted != nil {
		b.converted.Close()
		buffers.Put(b.begin)
		b.converted, b.begin = nil, nil
	}
}

// writeTo writes the data set: without a copy if it is as it came.
func (b *body) writeTo(w io.Writer) (int64, error) {
	if b.converted == nil {
		return b.in.WriteTo(w)
	}
	n, err := io.Copy(w, bytes.NewReader(b.begin[:b.n]))
	if err != nil {
		return n, err
	}
	m, err := io.CopyBuffer(onlyWriter{w}, onlyReader{b.converted}, b.begin[:])
	if err != nil {
		err = conversionError(err)
	}
	return n + m, err
}

// onlyWriter hides other methods, so that io.CopyBuffer uses its buffer.
type onlyWriter struct{ io.Writer }

// send writes an instance behind head, passes it on at its end, and closes it.
func (t *Transfer) send(w io.Writer, head []byte, b *body) error {
	defer b.close()
	if _, err := w.Write(head); err != nil {
		return err
	}
	n, err := b.writeTo(w)
	if err != nil {
		return err
	}
	if t.Taken != nil {
		t.Taken(b.in, n)
	}
	return t.writer.flushPart()
}
