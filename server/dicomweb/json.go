// Package dicomweb is the part of DICOMweb (PS3.18) that the gateway serves: it reads the parameters of a search, negotiates the media
// type, and writes the answer in the DICOM JSON Model. It knows no route and sends nothing to a PACS.
package dicomweb

import (
	"io"
	"slices"

	"dicom-qr-gateway/dicomnet/dataset"
)

// JSONWriter writes objects of the DICOM JSON Model (PS3.18 annex F) as UTF-8. Its output is valid JSON whatever the data sets hold.
// It keeps at most a few KiB more than flushSize and the largest value in memory. After an error it writes nothing more; Flush returns
// the error.
type JSONWriter struct {
	out   io.Writer
	b     []byte
	err   error
	comma bool // the next object, attribute or value follows another one
}

// flushSize is the length from which the buffer is handed on.
const flushSize = 128 << 10

// NewJSONWriter returns a JSONWriter that writes to out.
func NewJSONWriter(out io.Writer) *JSONWriter { return &JSONWriter{out: out} }

// Reset makes w write to out and keeps its memory, unless a value made that large.
func (w *JSONWriter) Reset(out io.Writer) {
	b := w.b[:0]
	if cap(b) > 2*flushSize {
		b = nil
	}
	*w = JSONWriter{out: out, b: b}
}

// Len returns the number of bytes that are not handed on yet.
func (w *JSONWriter) Len() int { return len(w.b) }

// Flush hands on what is buffered. It returns the first error of the output.
func (w *JSONWriter) Flush() error {
	if w.err == nil && len(w.b) > 0 {
		_, w.err = w.out.Write(w.b)
	}
	w.b = w.b[:0]
	return w.err
}

// Err returns the first error of the output.
func (w *JSONWriter) Err() error { return w.err }

// flushIfFull hands on what is buffered if it is long. It is called between values and within long ones.
func (w *JSONWriter) flushIfFull() {
	if len(w.b) >= flushSize {
		_ = w.Flush() // the error sticks
	}
}

// BeginArray begins an array of objects.
func (w *JSONWriter) BeginArray() { w.begin('[') }

// EndArray ends an array of objects.
func (w *JSONWriter) EndArray() { w.end(']') }

// BeginObject begins the object of a data set. Its attributes must follow in ascending order of their tags.
func (w *JSONWriter) BeginObject() { w.begin('{') }

// EndObject ends the object of a data set.
func (w *JSONWriter) EndObject() { w.end('}') }

func (w *JSONWriter) begin(c byte) {
	if w.comma {
		w.b = append(w.b, ',')
	}
	w.b = append(w.b, c)
	w.comma = false
}

func (w *JSONWriter) end(c byte) {
	w.b = append(w.b, c)
	w.comma = true
	w.flushIfFull()
}

// Set writes a data set: all its attributes but those that the model excludes.
func (w *JSONWriter) Set(s *dataset.Set) {
	w.BeginObject()
	for v := range s.Values() {
		w.Attribute(v)
	}
	w.EndObject()
}

// Attribute writes an attribute of a data set, unless the model excludes it: file meta information and command elements, which are no
// part of a data set, and encapsulated pixel data, which has no inline form (section F.2.7).
func (w *JSONWriter) Attribute(v dataset.Value) {
	switch v.Tag().Group {
	case 0x0000, 0x0002, 0xfffe:
		return
	}
	if v.Encapsulated() {
		return
	}
	w.beginAttribute(v.Tag(), v.VR())
	w.value(v)
	w.endAttribute()
}

// Empty writes an attribute without a value (section F.2.5).
func (w *JSONWriter) Empty(t dataset.Tag, vr string) {
	w.beginAttribute(t, vr)
	w.endAttribute()
}

// plainText writes an attribute of a text VR but PN and the numbers. Without text it has no value.
func (w *JSONWriter) plainText(t dataset.Tag, vr string, text []byte) {
	w.beginAttribute(t, vr)
	if len(text) > 0 {
		w.b = append(w.b, `,"Value":[`...)
		w.string(text)
		w.b = append(w.b, ']')
	}
	w.endAttribute()
}

// Text writes an attribute whose values are strings, of any text VR but PN. Without values, or with one that is empty, it writes an
// attribute without a value.
func (w *JSONWriter) Text(t dataset.Tag, vr string, values ...string) {
	w.beginAttribute(t, vr)
	if len(values) > 1 || len(values) == 1 && values[0] != "" {
		w.beginValues()
		for _, value := range values {
			w.separate()
			w.textValue(vr, []byte(value))
		}
		w.endValues()
	}
	w.endAttribute()
}

// BeginSequence begins an attribute whose value are data sets. Each is written between BeginObject and EndObject, after one call of
// BeginItems.
func (w *JSONWriter) BeginSequence(t dataset.Tag) { w.beginAttribute(t, "SQ") }

// BeginItems begins the items of a sequence that is not empty.
func (w *JSONWriter) BeginItems() { w.beginValues() }

// EndSequence ends a sequence. items says whether BeginItems was called.
func (w *JSONWriter) EndSequence(items bool) {
	if items {
		w.endValues()
	}
	w.endAttribute()
}

// BulkData writes an attribute whose value is elsewhere (section F.2.6).
func (w *JSONWriter) BulkData(t dataset.Tag, vr string, uri []byte) {
	w.beginAttribute(t, vr)
	w.b = append(w.b, `,"BulkDataURI":`...)
	w.string(uri)
	w.endAttribute()
}

const upperHex = "0123456789ABCDEF"

func (w *JSONWriter) beginAttribute(t dataset.Tag, vr string) {
	if w.comma {
		w.b = append(w.b, ',')
	}
	w.b = append(appendTag(append(w.b, '"'), t), `":{"vr":"`...)
	w.b = append(append(w.b, vr...), '"')
}

func (w *JSONWriter) endAttribute() { w.end('}') }

func (w *JSONWriter) beginValues() {
	w.b = append(w.b, `,"Value":[`...)
	w.comma = false
}

func (w *JSONWriter) endValues() { w.b = append(w.b, ']') }

// separate begins the next element of an array.
func (w *JSONWriter) separate() {
	if w.comma {
		w.b = append(w.b, ',')
	}
	w.comma = true
	w.flushIfFull()
}

// appendTag appends the eight hexadecimal digits of a tag.
func appendTag(b []byte, t dataset.Tag) []byte {
	b = slices.Grow(b, 8)
	for _, half := range [...]uint16{t.Group, t.Element} {
		b = append(b, upperHex[half>>12], upperHex[half>>8&0xf], upperHex[half>>4&0xf], upperHex[half&0xf])
	}
	return b
}
