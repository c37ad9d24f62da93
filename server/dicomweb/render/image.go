package render

import (
	"image"
	"math"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pixeldata"
)

// Image is a frame to render, with native pixels.
type Image struct {
	pixeldata.Layout
	Form       pixeldata.Form // Native, Float or Double
	Attributes *dataset.Set   // those that keep selects
	Frame      int            // the number of the frame, from 1
	Pixels     []byte
}

// Photometric Interpretations (PS3.3 section C.7.6.3.1.2).
const (
	monochrome1  = "MONOCHROME1"
	monochrome2  = "MONOCHROME2"
	rgb          = "RGB"
	yBRFull      = "YBR_FULL"
	yBRFull422   = "YBR_FULL_422"
	paletteColor = "PALETTE COLOR"
)

const segmentationStorage = "1.2.840.10008.5.1.4.1.1.66.4"

// supported returns an *UnsupportedError unless frames of the layout can be rendered. a has the attributes that keep selects.
func supported(l *pixeldata.Layout, form pixeldata.Form, a *dataset.Set) error {
	switch {
	case a.String(tagSOPClassUID) == segmentationStorage:
		return &UnsupportedError{Reason: "a segmentation is no image"}
	case l.BitsStored > l.BitsAllocated || l.HighBit >= l.BitsAllocated || l.HighBit+1 < l.BitsStored || l.BitsStored < 1:
		return &UnsupportedError{Reason: "Bits Stored and High Bit are not within Bits Allocated"}
	}
	whole := l.BitsAllocated == 8 || l.BitsAllocated == 16
	switch l.Photometric {
	case monochrome1, monochrome2:
		if l.Samples == 1 && (whole || l.BitsAllocated == 1 || l.BitsAllocated == 32 || form == pixeldata.Double) {
			return nil
		}
	case paletteColor:
		if l.Samples == 1 && whole {
			return nil
		}
	case rgb, yBRFull:
		if l.Samples == 3 && whole {
			return nil
		}
	case yBRFull422:
		if l.Samples == 3 && l.BitsAllocated == 8 {
			return nil
		}
	}
	return &UnsupportedError{Reason: "Photometric Interpretation and Bits Allocated"}
}

// picture returns the image in its own size, as *image.Gray or *image.RGBA.
func (m *Image) picture(w *Window) (image.Image, error) {
	if err := supported(&m.Layout, m.Form, m.Attributes); err != nil {
		return nil, err
	}
	size := m.Size()
	if m.Photometric == yBRFull422 {
		size = 2 * int64(m.Rows) * int64(m.Columns)
		if m.Rows*m.Columns%2 != 0 {
			return nil, &pixeldata.FormatError{Reason: "an odd number of pixels in YBR_FULL_422"}
		}
	}
	if size == 0 || int64(len(m.Pixels)) < size {
		return nil, &pixeldata.FormatError{Reason: "a frame is shorter than its pixels"}
	}
	bounds := image.Rect(0, 0, m.Columns, m.Rows)
	switch m.Photometric {
	case monochrome1, monochrome2:
		grey := image.NewGray(bounds)
		m.grey(grey.Pix, w)
		return grey, nil
	case paletteColor:
		tables, ok := palette(m.Attributes, m.Signed)
		if !ok {
			return nil, &pixeldata.FormatError{Reason: "a PALETTE COLOR image has no palette"}
		}
		colours := image.NewRGBA(bounds)
		m.palette(colours.Pix, &tables)
		return colours, nil
	}
	colours := image.NewRGBA(bounds)
	m.colour(colours.Pix)
	return colours, nil
}

// decimal returns the first value of an attribute of VR DS, or what it is otherwise.
func decimal(set *dataset.Set, tag dataset.Tag, otherwise float64) float64 {
	values := decimals(set, tag)
	if len(values) == 0 || math.IsNaN(values[0]) {
		return otherwise
	}
	return values[0]
}

// groups returns the data sets that may have a transformation of the frame, the most specific first: the functional group of the frame, the
// shared one (PS3.3 section C.7.6.16), and the data set itself.
func (m *Image) groups(sequence dataset.Tag) []*dataset.Set {
	var sets []*dataset.Set
	if frames := m.Attributes.Items(tagPerFrameGroups); m.Frame <= len(frames) {
		sets = append(sets, frames[m.Frame-1].Items(sequence)...)
	}
	for _, shared := range m.Attributes.Items(tagSharedFunctionalGroup) {
		sets = append(sets, shared.Items(sequence)...)
	}
	return append(sets, m.Attributes)
}
