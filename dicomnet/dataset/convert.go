package dataset

import (
	"math"
	"slices"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// Dataset converts the set to the type of github.com/suyashkumar/dicom. It contains all elements,
// sorted and each tag once. Text is UTF-8 without padding, as [Set.String] returns it, and binary
// words are little endian, as in the library. (0008,0005) is unchanged, so that [Encode] writes the
// same characters again.
//
// An empty text element has one empty value, as in the library. Pixel data is unprocessed, and
// omitted (IntentionallySkipped) if it is encapsulated. MaxValues limits the number of all text
// values together.
//
// The error is always nil: Parse has already rejected what exceeds the limits, and malformed values
// affect only themselves.
func (s *Set) Dataset() (*dicom.Dataset, error) {
	budget := MaxValues
	return &dicom.Dataset{Elements: s.elements(&budget)}, nil
}

// elements converts the elements of s. budget is the number of text values that may still be
// returned.
func (s *Set) elements(budget *int) []*dicom.Element {
	entries := s.sortedEntries()
	elements := make([]*dicom.Element, len(entries))
	for i := range entries {
		elements[i] = s.element(&entries[i], budget)
	}
	return elements
}

func (s *Set) element(e *entry, budget *int) *dicom.Element {
	t := tagOf(e.tag)
	v := s.elementVR(e)
	length := e.len
	if e.flags&flagUndefinedLength != 0 {
		length = tag.VLUndefinedLength
	}
	var data any
	switch c := v.traits().class; {
	case t == tag.PixelData:
		data = s.pixelData(e)
	case c == classSequence || c == classUnknown && s.isSequence(e):
		v = vrSQ
		items := [][]*dicom.Element{}
		for _, item := range s.items(e) {
			items = append(items, item.elements(budget))
		}
		data = items
	case c == classText:
		values := s.strings(nil, e, max(*budget, 1))
		*budget -= len(values)
		if len(values) == 0 {
			values = []string{""}
		}
		data = values
	case v == vrSV || v == vrUV:
		data = s.words(e, 8)
	case c == classSigned || c == classUnsigned:
		data = s.ints(e, v.traits())
	case c == classTag:
		data = s.ints(e, vrUS.traits()) // group and element alternate, as in the library
	case c == classFloat:
		data = s.floats(e, int(v.traits().size))
	default:
		data = s.words(e, int(v.traits().size))
	}
	return newElement(t, v, length, data)
}

func (s *Set) ints(e *entry, t *traits) []int {
	ints := make([]int, 0, int(e.len)/int(t.size))
	for i := 0; ; i++ {
		n, ok := s.integer(e, t, i)
		if !ok {
			return ints
		}
		ints = append(ints, int(n))
	}
}

func (s *Set) floats(e *entry, size int) []float64 {
	b, l := s.value(e), s.valueLayout(e)
	floats := make([]float64, 0, len(b)/size)
	for ; len(b) >= size; b = b[size:] {
		if size == 4 {
			floats = append(floats, float64(math.Float32frombits(l.uint32(b))))
		} else {
			floats = append(floats, math.Float64frombits(l.unsigned(b[:8])))
		}
	}
	if len(b) > 0 {
		s.addWarning(ValueMalformed)
	}
	return floats
}

// words returns a copy of the value in little endian order.
func (s *Set) words(e *entry, size int) []byte {
	b := slices.Clone(s.value(e))
	if b == nil {
		b = []byte{}
	}
	if s.valueLayout(e) == explicitBE && size > 1 && e.flags&flagUndefinedLength == 0 {
		for w := b; len(w) >= size; w = w[size:] {
			slices.Reverse(w[:size])
		}
	}
	return b
}

// pixelData converts pixel data without decoding it.
func (s *Set) pixelData(e *entry) dicom.PixelDataInfo {
	if e.flags&flagUndefinedLength != 0 {
		return dicom.PixelDataInfo{IntentionallySkipped: true, IsEncapsulated: true}
	}
	size := 1
	if s.elementVR(e) == vrOW {
		size = 2
	}
	return dicom.PixelDataInfo{IntentionallyUnprocessed: true, UnprocessedValueData: s.words(e, size)}
}
