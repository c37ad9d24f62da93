package dicomtest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Instance is a composite SOP instance. It is immutable.
type Instance struct {
	elements map[tag.Tag]*dicom.Element
	sorted   []*dicom.Element
	// pixelData is not among the attributes, because no key asks for it and its bytes are the same in both transfer syntaxes
	// of this package.
	pixelData []byte
}

// uniqueKeys are the attributes that an information model requires of an instance.
var uniqueKeys = []tag.Tag{tag.SOPClassUID, tag.SOPInstanceUID, tag.StudyInstanceUID, tag.SeriesInstanceUID}

// NewInstance returns an instance of elements, with text as UTF-8, and of pixel data, which may be nil. It requires the SOP Class
// UID and the UIDs of instance, series and study.
func NewInstance(elements []*dicom.Element, pixelData []byte) (*Instance, error) {
	in := &Instance{
		elements:  make(map[tag.Tag]*dicom.Element, len(elements)),
		sorted:    slices.Clone(elements),
		pixelData: pixelData,
	}
	slices.SortStableFunc(in.sorted, func(a, b *dicom.Element) int { return compareTags(a.Tag, b.Tag) })
	for _, e := range in.sorted {
		in.elements[e.Tag] = e
	}
	for _, t := range uniqueKeys {
		if !validUID(in.Text(t)) {
			return nil, fmt.Errorf("an instance without a valid UID in %v", t)
		}
	}
	return in, nil
}

// validUID reports whether a UID has the characters and the length of PS3.5 section 9.1. Such a UID of a peer is safe as the name
// of a file.
func validUID(uid string) bool {
	return uid != "" && len(uid) <= 64 && strings.Trim(uid, "0123456789.") == ""
}

func compareTags(a, b tag.Tag) int {
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Element, b.Element))
}

// decodeInstance decodes the data set of a C-STORE-RQ.
func decodeInstance(data []byte, ts dataset.TransferSyntax) (*Instance, error) {
	set, err := dataset.Parse(data, ts, dataset.Limits{})
	if err != nil {
		return nil, err
	}
	ds, err := set.Dataset()
	if err != nil {
		return nil, err
	}
	pixelData, _ := set.Bytes(tag.PixelData)
	elements := slices.DeleteFunc(ds.Elements, func(e *dicom.Element) bool {
		// Data Set Trailing Padding (FFFC,FFFC) must be last, but Encode writes the pixel data last.
		return e.Tag == tag.PixelData || e.Tag.Group == 0xFFFC
	})
	return NewInstance(elements, pixelData)
}

// Text returns the first value of an attribute as text, or "".
func (in *Instance) Text(t tag.Tag) string {
	if values := in.values(t); len(values) > 0 {
		return values[0]
	}
	return ""
}

// values returns all values of a text or number attribute as text.
func (in *Instance) values(t tag.Tag) []string { return elementValues(in.elements[t]) }

func elementValues(e *dicom.Element) []string {
	if e == nil || e.Value == nil {
		return nil
	}
	switch v := e.Value.GetValue().(type) {
	case []string:
		values := make([]string, 0, len(v))
		for _, s := range v {
			values = append(values, strings.Trim(s, " \x00"))
		}
		if len(values) == 1 && values[0] == "" {
			return nil
		}
		return values
	case []int:
		values := make([]string, 0, len(v))
		for _, n := range v {
			values = append(values, strconv.Itoa(n))
		}
		return values
	case []float64:
		values := make([]string, 0, len(v))
		for _, n := range v {
			values = append(values, strconv.FormatFloat(n, 'g', -1, 64))
		}
		return values
	}
	return nil
}

// Encode returns the data set of the instance in Implicit or Explicit VR Little Endian.
func (in *Instance) Encode(ts dataset.TransferSyntax) ([]byte, error) {
	b, err := dataset.Encode(&dicom.Dataset{Elements: in.sorted}, ts)
	if err != nil || in.pixelData == nil {
		return b, err
	}
	b = append(b, 0xE0, 0x7F, 0x10, 0x00)
	switch ts {
	case dataset.ExplicitVRLittleEndian:
		// PS3.5 section 8.1.2 allows OW for 8 bits a pixel too, and Implicit VR requires it.
		b = append(b, 'O', 'W', 0, 0)
	case dataset.ImplicitVRLittleEndian:
	default:
		return nil, errors.New("pixel data can only be written in little endian")
	}
	n := uint32(len(in.pixelData))
	b = append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	return append(b, in.pixelData...), nil
}
