package render

import "dicom-qr-gateway/dicomnet/dataset"

// The attributes that decide what an image looks like (PS3.3 sections C.7.6.3, C.7.6.16, C.11.1 and C.11.2).
var (
	tagSOPClassUID           = dataset.Tag{Group: 0x0008, Element: 0x0016}
	tagPixelPaddingValue     = dataset.Tag{Group: 0x0028, Element: 0x0120}
	tagPixelPaddingLimit     = dataset.Tag{Group: 0x0028, Element: 0x0121}
	tagWindowCenter          = dataset.Tag{Group: 0x0028, Element: 0x1050}
	tagWindowWidth           = dataset.Tag{Group: 0x0028, Element: 0x1051}
	tagVOILUTFunction        = dataset.Tag{Group: 0x0028, Element: 0x1056}
	tagRescaleIntercept      = dataset.Tag{Group: 0x0028, Element: 0x1052}
	tagRescaleSlope          = dataset.Tag{Group: 0x0028, Element: 0x1053}
	tagModalityLUTSequence   = dataset.Tag{Group: 0x0028, Element: 0x3000}
	tagVOILUTSequence        = dataset.Tag{Group: 0x0028, Element: 0x3010}
	tagLUTDescriptor         = dataset.Tag{Group: 0x0028, Element: 0x3002}
	tagLUTData               = dataset.Tag{Group: 0x0028, Element: 0x3006}
	tagRepresentativeFrame   = dataset.Tag{Group: 0x0028, Element: 0x6010}
	tagFrameVOILUTSequence   = dataset.Tag{Group: 0x0028, Element: 0x9132}
	tagPixelValueTransform   = dataset.Tag{Group: 0x0028, Element: 0x9145}
	tagSharedFunctionalGroup = dataset.Tag{Group: 0x5200, Element: 0x9229}
	tagPerFrameGroups        = dataset.Tag{Group: 0x5200, Element: 0x9230}
)

// The palettes: red, green and blue (PS3.3 section C.7.9).
var (
	tagPaletteDescriptors = [3]dataset.Tag{{Group: 0x0028, Element: 0x1101}, {Group: 0x0028, Element: 0x1102}, {Group: 0x0028, Element: 0x1103}}
	tagPaletteData        = [3]dataset.Tag{{Group: 0x0028, Element: 0x1201}, {Group: 0x0028, Element: 0x1202}, {Group: 0x0028, Element: 0x1203}}
	tagSegmentedPalettes  = [3]dataset.Tag{{Group: 0x0028, Element: 0x1221}, {Group: 0x0028, Element: 0x1222}, {Group: 0x0028, Element: 0x1223}}
)

// keep selects the attributes that rendering needs.
func keep(tag dataset.Tag) bool {
	return tag.Group == 0x0028 || tag == tagSharedFunctionalGroup || tag == tagPerFrameGroups || tag == tagSOPClassUID
}
