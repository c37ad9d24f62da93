package pixeldata

import "dicom-qr-gateway/dicomnet/dataset"

// The attributes that describe pixel data (PS3.3 sections C.7.6.3 and C.7.6.24, PS3.5 section A.4).
var (
	tagNumberOfFrames        = dataset.Tag{Group: 0x0028, Element: 0x0008}
	tagSamplesPerPixel       = dataset.Tag{Group: 0x0028, Element: 0x0002}
	tagPhotometric           = dataset.Tag{Group: 0x0028, Element: 0x0004}
	tagPlanarConfiguration   = dataset.Tag{Group: 0x0028, Element: 0x0006}
	tagRows                  = dataset.Tag{Group: 0x0028, Element: 0x0010}
	tagColumns               = dataset.Tag{Group: 0x0028, Element: 0x0011}
	tagBitsAllocated         = dataset.Tag{Group: 0x0028, Element: 0x0100}
	tagBitsStored            = dataset.Tag{Group: 0x0028, Element: 0x0101}
	tagHighBit               = dataset.Tag{Group: 0x0028, Element: 0x0102}
	tagPixelRepresentation   = dataset.Tag{Group: 0x0028, Element: 0x0103}
	tagExtendedOffsetTable   = dataset.Tag{Group: 0x7FE0, Element: 0x0001}
	tagExtendedOffsetLengths = dataset.Tag{Group: 0x7FE0, Element: 0x0002}
	tagFloatPixelData        = dataset.Tag{Group: 0x7FE0, Element: 0x0008}
	tagDoublePixelData       = dataset.Tag{Group: 0x7FE0, Element: 0x0009}
	tagPixelData             = dataset.Tag{Group: 0x7FE0, Element: 0x0010}
)
