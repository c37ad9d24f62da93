package wado

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/server/dicomweb"
	"dicom-qr-gateway/server/problem"
)

const (
	// maxInline is the length of a binary value up to which metadata contains it.
	maxInline = 4 << 10
	// maxText is that of text, which is inline as long as that takes little memory; maxShortText if the VR has a 16-bit length.
	maxText      = 1 << 20
	maxShortText = 65534
	// maxBatch limits the elements that are held at once.
	maxBatch, maxBatchElements = 32 << 10, 1000
)

var (
	tagCharacterSet        = dataset.Tag{Group: 0x0008, Element: 0x0005}
	tagPixelRepresentation = dataset.Tag{Group: 0x0028, Element: 0x0103}
)

// isPixelData reports whether a tag is that of pixel data: floats, doubles or integers (PS3.5 section 8).
func isPixelData(t dataset.Tag) bool {
	return t.Group == 0x7fe0 && (t.Element == 0x0008 || t.Element == 0x0009 || t.Element == 0x0010)
}

// attributesWriter writes the attributes of instances in the DICOM JSON Model while their data sets arrive. Pixel data and long binary
// values are URIs. It holds a few elements at a time, whatever the size of a data set.
type attributesWriter struct {
	json *dicomweb.JSONWriter
	// assumed is the character set of data sets that name none.
	assumed dataset.CharacterSet

	implicit bool
	uri      []byte // of the bulk data of the instance, to which a path is added
	levels   []level
	path     []step // to the innermost data set
	batch    []byte // elements in Explicit VR Little Endian, behind the character set
	prefix   int    // length of the character set
	elements int
}

// level is a data set: that of the instance, or an item.
type level struct {
	charset   []byte // the element that applies, encoded; nil: none
	named     bool   // the batch has an element of its own for it
	signed    bool   // Pixel Representation
	greatest  dataset.Tag
	seen      []dataset.Tag            // in ascending order, until one is out of order
	unordered map[dataset.Tag]struct{} // all, since one was; nil: none was
}

// step is a sequence on the path, and the number of the item.
type step struct {
	tag   dataset.Tag
	item  int
	begun bool // it has an item
}

func compareTags(a, b dataset.Tag) int {
	return (int(a.Group)<<16 | int(a.Element)) - (int(b.Group)<<16 | int(b.Element))
}

// repeats reports whether the data set had the element before; the first counts (PS3.5 section 7.1 forbids a second one).
func (l *level) repeats(t dataset.Tag) bool {
	if l.unordered == nil {
		if len(l.seen) == 0 || compareTags(t, l.greatest) > 0 {
			l.greatest = t
			l.seen = append(l.seen, t)
			return false
		}
		l.unordered = make(map[dataset.Tag]struct{}, len(l.seen)+1)
		for _, before := range l.seen {
			l.unordered[before] = struct{}{}
		}
		l.seen = nil
	}
	_, twice := l.unordered[t]
	l.unordered[t] = struct{}{}
	return twice
}

// write writes the attributes of an instance. uri is the URL of its bulk data. After an error the output is incomplete; readable says
// whether the data set or its arrival is the reason.
func (a *attributesWriter) write(r io.Reader, ts dataset.TransferSyntax, uri string) error {
	d := stream.NewDecoder(r, ts, stream.Limits{})
	defer d.Close()
	a.implicit, a.uri = ts == dataset.ImplicitVRLittleEndian, append(a.uri[:0], uri...)
	a.levels, a.path = append(a.levels[:0], level{}), a.path[:0]
	a.reset()
	a.json.BeginObject()
	for {
		token, err := d.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := a.token(d, &token); err != nil {
			return err
		}
	}
	if err := a.flush(); err != nil {
		return err
	}
	a.json.EndObject()
	return nil
}

func (a *attributesWriter) level() *level { return &a.levels[len(a.levels)-1] }

func (a *attributesWriter) token(d *stream.Decoder, t *stream.Token) error {
	switch t.Kind {
	case stream.Element:
		return a.element(d, t)
	case stream.SequenceStart:
		if a.excluded(t.Tag) {
			return d.Skip()
		}
		if err := a.flush(); err != nil {
			return err
		}
		a.json.BeginSequence(t.Tag)
		a.path = append(a.path, step{tag: t.Tag})
	case stream.ItemStart:
		s := &a.path[len(a.path)-1]
		if !s.begun {
			s.begun = true
			a.json.BeginItems()
		}
		s.item = t.Index
		a.json.BeginObject()
		a.levels = append(a.levels, level{charset: a.level().charset, signed: a.level().signed})
		a.reset()
	case stream.ItemEnd:
		if err := a.flush(); err != nil {
			return err
		}
		a.levels = a.levels[:len(a.levels)-1]
		a.reset()
		a.json.EndObject()
	case stream.SequenceEnd:
		last := len(a.path) - 1
		a.json.EndSequence(a.path[last].begun)
		a.path = a.path[:last]
	case stream.FragmentsStart:
		if a.excluded(t.Tag) {
			return d.Skip()
		}
		if err := a.bulkData(t.Tag, t.VR.Name()); err != nil {
			return err
		}
		return d.Skip()
	}
	return nil
}

// excluded reports whether the model has no attribute for an element: group lengths, commands and delimiters (section F.2.2), and what
// the data set repeats.
func (a *attributesWriter) excluded(t dataset.Tag) bool {
	return t.Element == 0 || t.Group == 0x0002 || t.Group == 0xfffe || a.level().repeats(t)
}

func (a *attributesWriter) element(d *stream.Decoder, t *stream.Token) error {
	if a.excluded(t.Tag) {
		return nil
	}
	l := a.level()
	vr := t.VR
	if a.implicit {
		vr = dataset.ImplicitVR(t.Tag, l.signed)
	}
	limit := int64(maxInline)
	if vr.Kind() == dataset.KindText {
		limit = maxShortText
		if name := vr.Name(); name == "UT" || name == "UC" || name == "UR" {
			limit = maxText
		}
	}
	if t.Length > limit || t.Length > 0 && isPixelData(t.Tag) {
		return a.bulkData(t.Tag, vr.Name())
	}
	value, err := d.Bytes(int(limit))
	if err != nil {
		return err
	}
	before := len(a.batch)
	a.batch = append(stream.AppendHeader(a.batch, t.Tag, vr, int64(len(value))), value...)
	a.elements++
	switch t.Tag {
	case tagCharacterSet:
		l.charset, l.named = bytes.Clone(a.batch[before:]), true
	case tagPixelRepresentation:
		l.signed = len(value) > 0 && value[0] == 1
	}
	if len(a.batch) >= maxBatch || a.elements >= maxBatchElements {
		return a.flush()
	}
	return nil
}

// reset empties the batch.
func (a *attributesWriter) reset() {
	l := a.level()
	a.batch, a.prefix = append(a.batch[:0], l.charset...), len(l.charset)
	a.elements, l.named = 0, false
}

// flush writes the batch. What is in it is read by the rules of a whole data set.
func (a *attributesWriter) flush() error {
	if a.elements == 0 {
		return nil
	}
	l := a.level()
	batch := a.batch
	if l.named { // the batch begins with the character set of before, which does not apply
		batch = a.batch[a.prefix:]
	}
	set, err := dataset.Parse(batch, dataset.ExplicitVRLittleEndian, dataset.Limits{})
	if err != nil {
		return err
	}
	if l.charset == nil {
		set.AssumeCharacterSet(a.assumed)
	}
	for v := range set.Values() {
		switch {
		case v.Tag() != tagCharacterSet:
			a.json.Attribute(v)
		case l.named:
			a.json.Text(tagCharacterSet, "CS", "ISO_IR 192") // which is that of the text here
		}
	}
	a.reset()
	return nil
}

func (a *attributesWriter) bulkData(t dataset.Tag, vr string) error {
	if err := a.flush(); err != nil {
		return err
	}
	end := len(a.uri)
	for _, s := range a.path {
		a.uri = append(strconv.AppendInt(append(appendTag(a.uri, s.tag), '.'), int64(s.item), 10), '.')
	}
	a.uri = appendTag(a.uri, t)
	a.json.BulkData(t, vr, a.uri)
	a.uri = a.uri[:end]
	return nil
}

func appendTag(b []byte, t dataset.Tag) []byte {
	const digits = "0123456789ABCDEF"
	for _, half := range [...]uint16{t.Group, t.Element} {
		b = append(b, digits[half>>12], digits[half>>8&0xf], digits[half>>4&0xf], digits[half&0xf])
	}
	return b
}

// malformed reports whether err is that of a data set which does not conform to PS3.5, or exceeds what is read.
func malformed(err error) bool {
	if _, ok := errors.AsType[*dataset.FormatError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*dataset.LimitError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*dataset.TransferSyntaxError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*stream.GroupError](err); ok {
		return true
	}
	_, ok := errors.AsType[*stream.TruncatedError](err)
	return ok
}

// unreadable returns the problem of a malformed data set.
func unreadable(err error) *problem.Problem {
	return &problem.Problem{
		Code: api.ProblemCodeProtocolError, Detail: "An instance of the PACS cannot be read.",
		Hint: "A data set that the PACS sent violates the rules of DICOM for its encoding. Retrieve the instance itself, which is passed on as it is, and check it.", Cause: err,
	}
}
