package dataset

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// ValueError is an element that cannot be written.
type ValueError struct {
	Tag    tag.Tag
	Reason string
}

func (e *ValueError) Error() string { return fmt.Sprintf("element %v: %s", e.Tag, e.Reason) }

// RepertoireError is text with a character that the Specific Character Set of its data set does not have.
type RepertoireError struct {
	Tag          tag.Tag
	CharacterSet string // the value of (0008,0005), "" for the default repertoire
}

func (e *RepertoireError) Error() string {
	return fmt.Sprintf("element %v: text does not fit the character set %q", e.Tag, e.CharacterSet)
}

// Encode writes ds in ts, sorted, padded, and in the character set that its (0008,0005) names; that of an item counts
// within the item (PS3.5 section 7.5.3). Sequences and items have defined lengths. Group lengths are left out, and so are
// elements of groups 0000 and 0002, which are no part of a data set on an association.
//
// Text of any VR may carry padding, which is replaced by the proper one. In a value of several-valued text a backslash is
// an error: it would become two values. So are ESC and other control characters, apart from CR, LF, FF and TAB in LT, ST
// and UT. Lengths of values and their formats are the caller's.
//
// The errors are *TransferSyntaxError, *ValueError (a value which is not of the VR, which exceeds the length field, an
// unknown character set, a tag that occurs twice, pixel data that are not plain bytes) and *RepertoireError.
//
// The writer of github.com/suyashkumar/dicom v1.1.0 is not used: it neither sorts nor encodes text, pads dates with NUL,
// lets lengths over 65535 wrap, and cannot write OF, OD, OL, OV, SV and UV. The measures against that would be longer
// than the writing itself.
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

// maxWriteDepth bounds the recursion of the writer; elements are pointers and could form a ring.
const maxWriteDepth = 64

type writer struct {
	layout layout
	b      []byte
}

// repertoire is a character set with the name it has in the data set.
type repertoire struct {
	set  *characterSet
	name string
}

func (w *writer) elements(elements []*dicom.Element, rep repertoire, depth int) error {
	sorted := make([]*dicom.Element, 0, len(elements))
	for _, e := range elements {
		if e != nil && e.Tag.Element != 0 && e.Tag.Group != 0 && e.Tag.Group != 2 {
			sorted = append(sorted, e)
		}
	}
	slices.SortStableFunc(sorted, func(a, b *dicom.Element) int { return cmp.Compare(number(a.Tag), number(b.Tag)) })
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
	long := w.layout == implicitLE || t.long
	if w.layout != implicitLE {
		w.b = append(w.b, byte(v>>8), byte(v))
		if t.long {
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

func padding(v vr, t *traits) byte {
	if t.class == classText && v != vrUI {
		return ' '
	}
	return 0
}

func (w *writer) setLength(t tag.Tag, start int, long bool) error {
	n := len(w.b) - start
	switch {
	case long && int64(n) < undefinedLength:
		binary.LittleEndian.PutUint32(w.b[start-4:], uint32(n))
	case !long && n <= 65534:
		binary.LittleEndian.PutUint16(w.b[start-2:], uint16(n))
	default:
		return &ValueError{t, "value is longer than its length field can say"}
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
			return &ValueError{e.Tag, "pixel data are not plain bytes"}
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

func mismatch(t tag.Tag, v vr) error { return &ValueError{t, "value is not of VR " + v.String()} }

func (w *writer) items(t tag.Tag, items []*dicom.SequenceItemValue, rep repertoire, depth int) error {
	if depth > maxWriteDepth {
		return &ValueError{t, "is nested too deeply"}
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
		bits = 16 // group and element in turn, as the library has them
		if len(values)%2 != 0 {
			return mismatch(t, v)
		}
	default:
		return mismatch(t, v)
	}
	for _, n := range values {
		if n < low || bits < 64 && n > low+(1<<bits-1) {
			return &ValueError{t, "number is out of range"}
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
