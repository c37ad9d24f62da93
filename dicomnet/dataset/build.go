package dataset

import (
	"fmt"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// Text makes an element with a text VR; it panics where the dictionary does not
// know t as such. Without values the element is empty, as a return key is.
func Text(t tag.Tag, values ...string) *dicom.Element {
	return build(t, append([]string{}, values...), classText)
}

// Integers makes an element of US, SS, UL or SL; it panics where the dictionary does not know t as such.
func Integers(t tag.Tag, values ...int) *dicom.Element {
	return build(t, append([]int{}, values...), classSigned, classUnsigned)
}

// Sequence makes a sequence of items; it panics where the dictionary does not know t as such.
func Sequence(t tag.Tag, items ...[]*dicom.Element) *dicom.Element {
	return build(t, append([][]*dicom.Element{}, items...), classSequence)
}

// build panics for what only a mistake in the program can be.
func build(t tag.Tag, data any, classes ...class) *dicom.Element {
	v := dictionaryVR(t)
	for _, c := range classes {
		if tr := v.traits(); tr != nil && tr.class == c {
			return newElement(t, v, 0, data)
		}
	}
	panic(fmt.Sprintf("dataset: %v has VR %v in the dictionary", t, v))
}

// newElement is for data of the types that the library takes.
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
