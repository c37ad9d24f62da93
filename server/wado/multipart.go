package wado

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
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
	for body, err := range t.bodies() {
		if err != nil {
			return err
		}
		if !t.begun {
			t.Begin(m.contentType(), 0)
		}
		head := append(m.next(applicationDICOM+"; transfer-syntax="+string(body.meta.TransferSyntax)), "\r\n"...)
		m.head = body.meta.Append(head)
		if err := t.send(t.writer, m.head, body); err != nil {
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
	for body, err := range t.bodies() {
		if err != nil {
			return err
		}
		if t.begun {
			body.close()
			continue
		}
		t.Begin(applicationDICOM+"; transfer-syntax="+string(body.meta.TransferSyntax), 0)
		if err := t.send(t.writer, body.meta.Append(nil), body); err != nil {
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
