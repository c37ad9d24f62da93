package dataset

import (
	"fmt"
	"strconv"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// Text returns an element with a text VR. Without values the element is empty, like a return key.
// Text panics if the dictionary does not give t a text VR.
func Text(t tag.Tag, values ...string) *dicom.Element {
	return build(t, append([]string{}, values...), classText)
}

// Key returns an element whose Value is nil, which Encode writes without a value, like a return key.
func Key(t tag.Tag) *dicom.Element {
	v := dictionaryVR(t)
	return &dicom.Element{Tag: t, ValueRepresentation: tag.GetVRKind(t, v.String()), RawValueRepresentation: v.String()}
}

// Integers returns an element with VR US, SS, UL or SL. It panics if the dictionary gives t another
// VR.
func Integers(t tag.Tag, values ...int) *dicom.Element {
	return build(t, append([]int{}, values...), classSigned, classUnsigned)
}

// Sequence returns a sequence element with the given items. It panics if the dictionary gives t
// another VR than SQ.
func Sequence(t tag.Tag, items ...[]*dicom.Element) *dicom.Element {
	data := append([][]*dicom.Element{}, items...)
	if dictionaryVR(t) == vrUN {
		return newElement(t, vrSQ, 0, data)
	}
	return build(t, data, classSequence)
}

// NewElement returns an element of any VR with values that are given as text: numbers in decimal, a
// tag (AT) as eight hexadecimal digits. Without values it is empty, like a return key. vr "" stands
// for the VR of the dictionary, UN if it does not have t.
//
// The error is a *ValueError: the standard does not define the VR, or a value is not one of the VR.
// SQ, UN and the VRs of bytes and words cannot have values here. The value of a text VR is checked
// only by [Encode].
func NewElement(t tag.Tag, vr string, values ...string) (*dicom.Element, error) {
	v := dictionaryVR(t)
	if vr != "" {
		v = vrOf(vr)
	}
	tr := v.traits()
	if tr == nil {
		return nil, &ValueError{t, "VR is not defined"}
	}
	data, err := dataOf(v, tr, values)
	if err != nil {
		return nil, mismatch(t, v)
	}
	return newElement(t, v, 0, data), nil
}

// dataOf returns values as the data of an element. It returns any error if one does not have the VR.
func dataOf(v vr, tr *traits, values []string) (any, error) {
	switch tr.class {
	case classText:
		return append([]string{}, values...), nil
	case classSigned, classUnsigned:
		return integersOf(tr, values)
	case classTag:
		ints := make([]int, 0, 2*len(values))
		for _, value := range values {
			n, err := strconv.ParseUint(value, 16, 32)
			if err != nil || len(value) != 8 {
				return nil, strconv.ErrSyntax
			}
			ints = append(ints, int(n>>16), int(n&0xffff))
		}
		return ints, nil
	case classFloat:
		floats := make([]float64, len(values))
		for i, value := range values {
			var err error
			if floats[i], err = strconv.ParseFloat(value, 8*int(tr.size)); err != nil {
				return nil, err
			}
		}
		return floats, nil
	case classUnknown, classBytes, classSequence:
		if len(values) > 0 {
			return nil, strconv.ErrSyntax
		}
	}
	switch {
	case tr.class == classSequence:
		return [][]*dicom.Element{}, nil
	case v == vrUN:
		return []string{}, nil
	}
	return []byte{}, nil
}

// integersOf returns values as little endian words, because not every UV fits an int.
func integersOf(tr *traits, values []string) ([]byte, error) {
	size := int(tr.size)
	words := make([]byte, 0, size*len(values))
	for _, value := range values {
		var n uint64
		var err error
		if tr.class == classUnsigned {
			n, err = strconv.ParseUint(value, 10, 8*size)
		} else {
			var signed int64
			signed, err = strconv.ParseInt(value, 10, 8*size)
			n = uint64(signed)
		}
		if err != nil {
			return nil, err
		}
		for shift := 0; shift < 8*size; shift += 8 {
			words = append(words, byte(n>>shift))
		}
	}
	return words, nil
}

// build panics if the VR of t is in none of the classes: only a mistake in the program leads there.
func build(t tag.Tag, data any, classes ...class) *dicom.Element {
	v := dictionaryVR(t)
	for _, c := range classes {
		if tr := v.traits(); tr != nil && tr.class == c {
			return newElement(t, v, 0, data)
		}
	}
	panic(fmt.Sprintf("dataset: %v has VR %v in the dictionary", t, v))
}

// newElement returns an element whose data is of a type that dicom.NewValue accepts.
func newElement(t tag.Tag, v vr, length uint32, data any) *dicom.Element {
	value, err := dicom.NewValue(data)
	if err != nil {
		panic(err)
	}
	return &dicom.Element{
		Tag:                    t,
		ValueRepresentation:    tag.GetVRKind(t, v.String()),
		RawValueRepresentation: v.String(),
		ValueLength:            length,
		Value:                  value,
	}
}
