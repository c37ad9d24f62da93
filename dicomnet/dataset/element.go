package dataset

import (
	"fmt"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// Text returns an element with a text VR. Without values the element is empty, like a return key.
// Text panics if the dictionary does not give t a text VR.
func Text(t tag.Tag, values ...string) *dicom.Element {
	return build(t, append([]string{}, values...), classText)
}

// Integers returns an element with VR US, SS, UL or SL. It panics if the dictionary gives t another
// VR.
func Integers(t tag.Tag, values ...int) *dicom.Element {
	return build(t, append([]int{}, values...), classSigned, classUnsigned)
}

// Sequence returns a sequence element with the given items. It panics if the dictionary does not
// give t the VR SQ.
func Sequence(t tag.Tag, items ...[]*dicom.Element) *dicom.Element {
	return build(t, append([][]*dicom.Element{}, items...), classSequence)
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
