package dataset

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// Encode encodes ds in ts, sorted, padded, and in the character set that its (0008,0005) names; the
// (0008,0005) of an item applies within the item (PS3.5 section 7.5.3). Sequences and items have
// defined lengths. Encode omits group lengths and the elements of groups 0000 and 0002, which are
// not part of a data set on an association.
//
// Text may end with padding, which Encode replaces by that of the VR. A backslash in a value of a
// multi-valued VR is an error, because it would separate two values. ESC and other control
// characters are errors too, except CR, LF, FF and TAB in LT, ST and UT. Encode does not check the
// length or format of values.
//
// The error is a *TransferSyntaxError, a *RepertoireError or a *ValueError. The last reports a
// value that does not match the VR or exceeds the length field, an unknown character set, a tag
// that occurs twice, or pixel data that is not unprocessed native bytes.
//
// Encode does not use the writer of github.com/suyashkumar/dicom v1.1.0, which neither sorts nor
// encodes text, pads dates with NUL, lets lengths over 65535 wrap, and cannot write OF, OD, OL, OV,
// SV and UV. Working around that would take more code than writing.
func Encode(ds *dicom.Dataset, ts TransferSyntax) ([]byte, error) {
	l, ok := layoutOf(ts)
	if !ok || l == explicitBE {
		return nil, &TransferSyntaxError{TransferSyntax: ts}
	}
	w := writer{layout: l, b: make([]byte, 0, 512)}
	if err := w.elements(ds.Elements, repertoire{set: defaultRepertoire}, 0); err != nil {
		return nil, err
	}
	return w.b, nil
}

// maxWriteDepth limits the recursion of the writer: elements are pointers and could form a cycle.
const maxWriteDepth = 64

// writer appends encoded elements to b.
type writer struct {
	layout layout
	b      []byte
}

// repertoire is a character set and its name in the data set.
type repertoire struct {
	set  *characterSet
	name string
}

func (w *writer) elements(elements []*dicom.Element, rep repertoire, depth int) error {
	sorted := sortedElements(elements)
	for i, e := range sorted {
		if i > 0 && sorted[i-1].Tag == e.Tag {
			return &ValueError{e.Tag, "occurs twice"}
		}
		if e.Tag == tag.SpecificCharacterSet {
			var err error
			if rep, err = repertoireOf(e, rep); err != nil {
				return err
			}
		}
		if err := w.element(e, rep, depth); err != nil {
			return err
		}
	}
	return nil
}

// sortedElements returns the elements to encode in ascending order of their tags. It does not change elements, and returns it without a
// copy if nothing is omitted and it is already sorted.
func sortedElements(elements []*dicom.Element) []*dicom.Element {
	omitted := func(e *dicom.Element) bool {
		return e == nil || e.Tag.Element == 0 || e.Tag.Group == 0 || e.Tag.Group == 2
	}
	byTag := func(a, b *dicom.Element) int { return cmp.Compare(tagNumber(a.Tag), tagNumber(b.Tag)) }
	if slices.ContainsFunc(elements, omitted) {
		elements = slices.DeleteFunc(slices.Clone(elements), omitted)
	}
	if !slices.IsSortedFunc(elements, byTag) {
		elements = slices.SortedStableFunc(slices.Values(elements), byTag)
	}
	return elements
}

func (w *writer) element(e *dicom.Element, rep repertoire, depth int) error {
	v := vrOf(e.RawValueRepresentation)
	if len(e.RawValueRepresentation) != 2 || v.traits() == nil {
		v = dictionaryVR(e.Tag)
	}
	if e.Tag == tag.PixelData && v != vrOB {
		v = vrOW
	}
	t := v.traits()
	w.b = binary.LittleEndian.AppendUint16(w.b, e.Tag.Group)
	w.b = binary.LittleEndian.AppendUint16(w.b, e.Tag.Element)
	long := w.layout == implicitLE || t.longForm
	if w.layout != implicitLE {
		w.b = append(w.b, byte(v>>8), byte(v))
		if t.longForm {
			w.b = append(w.b, 0, 0)
		}
	}
	w.b = append(w.b, 0, 0)
	if long {
		w.b = append(w.b, 0, 0)
	}
	start := len(w.b)
	if err := w.value(e, v, t, rep, depth); err != nil {
		return err
	}
	if (len(w.b)-start)%2 != 0 {
		w.b = append(w.b, padding(v, t))
	}
	return w.setLength(e.Tag, start, long)
}

// padding returns the byte that pads a value to even length.
func padding(v vr, t *traits) byte {
	if t.class == classText && v != vrUI {
		return ' '
	}
	return 0
}

// setLength writes the length of the value that begins at start into the length field before it.
func (w *writer) setLength(t tag.Tag, start int, long bool) error {
	n := len(w.b) - start
	switch {
	case long && int64(n) < undefinedLength:
		binary.LittleEndian.PutUint32(w.b[start-4:], uint32(n))
	case !long && n <= 65534:
		binary.LittleEndian.PutUint16(w.b[start-2:], uint16(n))
	default:
		return &ValueError{t, "value is too long for its length field"}
	}
	return nil
}

func (w *writer) value(e *dicom.Element, v vr, t *traits, rep repertoire, depth int) error {
	if e.Value == nil {
		return nil
	}
	switch data := e.Value.GetValue().(type) {
	case []string:
		if t.class != classText && !(t.class == classUnknown && len(data) == 0) {
			return mismatch(e.Tag, v)
		}
		return w.text(e.Tag, data, v, t, rep)
	case []byte:
		if t.class == classText || t.class == classSequence || len(data)%int(max(t.size, 1)) != 0 && t.size > 2 {
			return mismatch(e.Tag, v)
		}
		w.b = append(w.b, data...)
	case []int:
		return w.ints(e.Tag, data, v, t)
	case []float64:
		return w.floats(e.Tag, data, v, t)
	case dicom.PixelDataInfo:
		if !data.IntentionallyUnprocessed || data.IsEncapsulated || t.class != classBytes {
			return &ValueError{e.Tag, "pixel data is not unprocessed native bytes"}
		}
		w.b = append(w.b, data.UnprocessedValueData...)
	case []*dicom.SequenceItemValue:
		if t.class != classSequence {
			return mismatch(e.Tag, v)
		}
		return w.items(e.Tag, data, rep, depth+1)
	default:
		return mismatch(e.Tag, v)
	}
	return nil
}

func mismatch(t tag.Tag, v vr) error { return &ValueError{t, "value does not match VR " + v.String()} }

func (w *writer) items(t tag.Tag, items []*dicom.SequenceItemValue, rep repertoire, depth int) error {
	if depth > maxWriteDepth {
		return &ValueError{t, "nested too deeply"}
	}
	for _, i := range items {
		elements, _ := i.GetValue().([]*dicom.Element)
		w.b = append(w.b, 0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0)
		start := len(w.b)
		if err := w.elements(elements, rep, depth); err != nil {
			return err
		}
		if err := w.setLength(t, start, true); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) ints(t tag.Tag, values []int, v vr, tr *traits) error {
	bits, low := 8*int(tr.size), 0
	switch tr.class {
	case classUnsigned:
	case classSigned:
		low = math.MinInt >> (64 - bits)
	case classTag:
		bits = 16 // group and element alternate, as in the library
		if len(values)%2 != 0 {
			return mismatch(t, v)
		}
	default:
		return mismatch(t, v)
	}
	for _, n := range values {
		if n < low || bits < 64 && n > low+(1<<bits-1) {
			return &ValueError{t, "number out of range"}
		}
		for shift := 0; shift < bits; shift += 8 {
			w.b = append(w.b, byte(n>>shift))
		}
	}
	return nil
}

func (w *writer) floats(t tag.Tag, values []float64, v vr, tr *traits) error {
	if tr.class != classFloat {
		return mismatch(t, v)
	}
	for _, f := range values {
		if tr.size == 4 {
			w.b = binary.LittleEndian.AppendUint32(w.b, math.Float32bits(float32(f)))
		} else {
			w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(f))
		}
	}
	return nil
}
