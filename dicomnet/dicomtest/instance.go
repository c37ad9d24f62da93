package dicomtest

import (
	"cmp"
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
	// pixels are not among the attributes, because no key asks for them and their bytes are the same in both native transfer
	// syntaxes of this package.
	pixels pixels
}

// uniqueKeys are the attributes that an information model requires of an instance.
var uniqueKeys = []tag.Tag{tag.SOPClassUID, tag.SOPInstanceUID, tag.StudyInstanceUID, tag.SeriesInstanceUID}

// NewInstance returns an instance of elements, with text as UTF-8, and of pixel data, which may be nil. It requires the SOP Class
// UID and the UIDs of instance, series and study.
func NewInstance(elements []*dicom.Element, pixelData []byte) (*Instance, error) {
	var p pixels
	if pixelData != nil {
		p.value = func() []byte { return pixelData }
	}
	return newInstance(elements, p)
}

func newInstance(elements []*dicom.Element, p pixels) (*Instance, error) {
	in := &Instance{
		elements: make(map[tag.Tag]*dicom.Element, len(elements)),
		sorted:   slices.Clone(elements),
		pixels:   p,
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
	var p pixels
	if !slices.Contains(nativeLittleEndian, ts) {
		p.syntax, ts = ts, dataset.ExplicitVRLittleEndian
	}
	set, err := dataset.Parse(data, ts, dataset.Limits{})
	if err != nil {
		return nil, err
	}
	ds, err := set.Dataset()
	if err != nil {
		return nil, err
	}
	if value, has := set.Bytes(tag.PixelData); has {
		p.value = func() []byte { return value }
	}
	elements := slices.DeleteFunc(ds.Elements, func(e *dicom.Element) bool {
		// Data Set Trailing Padding (FFFC,FFFC) must be last, but Encode writes the pixel data last.
		return e.Tag == tag.PixelData || e.Tag.Group == 0xFFFC
	})
	return newInstance(elements, p)
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
