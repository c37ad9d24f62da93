package wado

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"sync"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/part10"
	"dicom-qr-gateway/qr/receive"
)

// multipart writes a body of multipart/related (RFC 2387, PS3.18 section 8.6.1.2). It begins with a boundary, and spells Content-Type
// exactly so, because clients depend on both.
type multipart struct {
	out      io.Writer
	part     string // type of the root part
	boundary string
	begun    bool
	head     []byte
}

func newMultipart(out io.Writer, part string) *multipart {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return &multipart{out: out, part: part, boundary: hex.EncodeToString(random[:])}
}

func (m *multipart) contentType() string {
	return `multipart/related; type="` + m.part + `"; boundary=` + m.boundary
}

// next returns the beginning of a part, to which header fields are added; the caller must write it. The slice is valid until the next
// call.
func (m *multipart) next(mediaType string) []byte {
	b := m.head[:0]
	if m.begun {
		b = append(b, "\r\n"...)
	}
	m.begun = true
	b = append(append(b, "--"...), m.boundary...)
	b = append(append(b, "\r\nContent-Type: "...), mediaType...)
	b = append(b, "\r\n"...)
	m.head = b
	return b
}

// end writes the closing boundary.
func (m *multipart) end() error {
	closing := "--" + m.boundary + "--\r\n"
	if m.begun {
		closing = "\r\n" + closing
	}
	_, err := io.WriteString(m.out, closing)
	return err
}

// SendMultipart sends the instances of a retrieval as parts, in the order in which they become available. Without an error the answer
// has ended properly.
func SendMultipart(t *Transfer) error {
	m := newMultipart(t.writer, applicationDICOM)
	for in, err := range t.Source.All() {
		if err != nil {
			return err
		}
		body, err := t.body(in)
		if err != nil {
			return err
		}
		if body == nil {
			continue
		}
		if !t.begun {
			t.Begin(m.contentType(), 0)
		}
		head := append(m.next(applicationDICOM+"; transfer-syntax="+string(body.meta.TransferSyntax)), "\r\n"...)
		m.head = body.meta.Append(head)
		if _, err := t.writer.Write(m.head); err != nil {
			return err
		}
		if err := t.send(in, body); err != nil {
			return err
		}
	}
	outcome, err := t.end()
	if err != nil {
		return err
	}
	if !t.begun { // lenient, and the caller can read none of the instances
		return Incomplete(&outcome)
	}
	if !outcome.Complete {
		document, err := json.Marshal(Incomplete(&outcome).Document(t.CorrelationID))
		if err != nil {
			return err
		}
		if _, err := t.writer.Write(append(append(m.next("application/problem+json"), "\r\n"...), document...)); err != nil {
			return err
		}
	}
	if err := m.end(); err != nil {
		return err
	}
	t.finish(&outcome)
	return nil
}

// SendSingle sends one instance without multipart.
func SendSingle(t *Transfer) error {
	for in, err := range t.Source.All() {
		if err != nil {
			return err
		}
		body, err := t.body(in)
		if err != nil {
			return err
		}
		if body == nil || t.begun {
			continue
		}
		t.Begin(applicationDICOM+"; transfer-syntax="+string(body.meta.TransferSyntax), 0)
		if _, err := t.writer.Write(body.meta.Append(nil)); err != nil {
			return err
		}
		if err := t.send(in, body); err != nil {
			return err
		}
	}
	outcome, err := t.end()
	if err != nil {
		return err
	}
	if !t.begun {
		return Incomplete(&outcome)
	}
	t.finish(&outcome)
	return nil
}

// body is a data set as it is sent.
type body struct {
	meta part10.Meta
	from io.Reader // WriterTo if it is sent as it came
}

// body returns what is sent of an instance; nil if nothing is.
func (t *Transfer) body(in *receive.Arrived) (*body, error) {
	syntax, ok := t.Syntaxes.For(in.TransferSyntax, converts)
	if !ok {
		return nil, t.skip(in)
	}
	b := &body{meta: part10.Meta{SOPClassUID: in.SOPClassUID, SOPInstanceUID: in.SOPInstanceUID, TransferSyntax: syntax}, from: in}
	if syntax != in.TransferSyntax {
		converted, err := convert(in, in.TransferSyntax)
		if err != nil {
			return nil, err
		}
		b.from = converted
	}
	return b, nil
}

// send sends the data set, and passes it on at its end.
func (t *Transfer) send(in *receive.Arrived, b *body) error {
	if err := t.copy(t.writer, in, b.from); err != nil {
		return err
	}
	return t.writer.flushPart()
}

// buffers are those of data sets that are converted.
var buffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// copy writes a data set to w: directly if it is as it came.
func (t *Transfer) copy(w io.Writer, in *receive.Arrived, from io.Reader) error {
	n, err := copyTo(w, from)
	if err == nil && t.Taken != nil {
		t.Taken(in, n)
	}
	return err
}

func copyTo(w io.Writer, from io.Reader) (int64, error) {
	if direct, ok := from.(io.WriterTo); ok {
		return direct.WriteTo(w)
	}
	buffer := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(buffer)
	return io.CopyBuffer(onlyWriter{w}, from, buffer[:])
}

// onlyWriter hides the other methods of a writer.
type onlyWriter struct{ io.Writer }

// The seams to package transcode.
var (
	converts = func(dataset.TransferSyntax) bool { return false }
	convert  = func(io.Reader, dataset.TransferSyntax) (io.Reader, error) { return nil, io.ErrUnexpectedEOF }
)
