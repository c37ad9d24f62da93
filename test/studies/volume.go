package studies

import (
	"strconv"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// The CT volume of [Volume]: distances in millimetres.
const (
	volumeEdge      = 512
	volumeSpacing   = 0.75
	volumeThickness = 0.8
	volumeIntercept = -1024
)

// Volume returns a study of one CT series with so many axial slices of 512 x 512 pixels, half a megabyte each. Its values are constant over
// areas of at least 24 pixels and differ from slice to slice, so that the canvas of a viewer shows a test which slice it is.
func Volume(slices int) dicomtest.Study {
	return dicomtest.Study{
		PatientID: "VOLUME", PatientName: "VOLUME^VERA", PatientBirthDate: "19680220", PatientSex: "F",
		AccessionNumber: "VOL-1", StudyDate: "20250601", StudyTime: "101500", StudyDescription: "CT PHANTOM VOLUME", StudyID: "1",
		Series: []dicomtest.Series{{
			Modality: "CT", SeriesDescription: "AXIAL 0.8", BodyPartExamined: "PHANTOM", Instances: slices,
			Image: func(index int) dicomtest.Image { return slice(index, slices) },
		}},
	}
}

func slice(index, slices int) dicomtest.Image {
	const origin = -volumeSpacing * (volumeEdge - 1) / 2
	z := volumeThickness * float64(index)
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	position := strconv.FormatFloat(z, 'f', 1, 64)
	return dicomtest.Image{
		SOPClassUID: dicomtest.CTImageStorage,
		Attributes: []*dicom.Element{
			dataset.Integers(tag.SamplesPerPixel, 1),
			dataset.Text(tag.PhotometricInterpretation, "MONOCHROME2"),
			dataset.Integers(tag.Rows, volumeEdge),
			dataset.Integers(tag.Columns, volumeEdge),
			dataset.Integers(tag.BitsAllocated, 16),
			dataset.Integers(tag.BitsStored, 12),
			dataset.Integers(tag.HighBit, 11),
			dataset.Integers(tag.PixelRepresentation, 0),
			dataset.Text(tag.ImageType, "ORIGINAL", "PRIMARY", "AXIAL"),
			dataset.Text(tag.KVP, "120"),
			dataset.Text(tag.AcquisitionNumber, "1"),
			dataset.Text(tag.RescaleIntercept, strconv.Itoa(volumeIntercept)),
			dataset.Text(tag.RescaleSlope, "1"),
			dataset.Text(tag.RescaleType, "HU"),
			dataset.Text(tag.WindowCenter, "40"),
			dataset.Text(tag.WindowWidth, "400"),
			dataset.Text(tag.PatientPosition, "HFS"),
			dataset.Text(tag.FrameOfReferenceUID, "2.25.183264701923847561029384756102938477"),
			dataset.Text(tag.PositionReferenceIndicator),
			dataset.Text(tag.ImagePositionPatient, number(origin), number(origin), position),
			dataset.Text(tag.ImageOrientationPatient, "1", "0", "0", "0", "1", "0"),
			dataset.Text(tag.SliceLocation, position),
			dataset.Text(tag.SliceThickness, number(volumeThickness)),
			dataset.Text(tag.SpacingBetweenSlices, number(volumeThickness)),
			dataset.Text(tag.PixelSpacing, number(volumeSpacing), number(volumeSpacing)),
		},
		Frames: func() [][]byte { return [][]byte{slicePixels(index, slices)} },
	}
}

// slicePixels draws a body of soft tissue in air, whose section widens and narrows, with a spine, two lungs, and sixteen bars of
// 24 by 96 pixels whose densities are those of the slice.
func slicePixels(index, slices int) []byte {
	pixels := make([]byte, 0, 2*volumeEdge*volumeEdge)
	along := 2*float64(index)/float64(slices) - 1 // from -1 to 1
	width := 225 - 45*along*along
	for row := range volumeEdge {
		for column := range volumeEdge {
			x, y := float64(column-volumeEdge/2), float64(row-volumeEdge/2)
			within := func(centreX, centreY, radiusX, radiusY float64) bool {
				dx, dy := (x-centreX)/radiusX, (y-centreY)/radiusY
				return dx*dx+dy*dy < 1
			}
			hu := -1000
			switch {
			case column >= 64 && column < 448 && row >= 208 && row < 304:
				hu = barDensity((column-64)/24, index)
			case within(0, 115, 30, 30):
				hu = 700
			case within(-95, -95, 60*(1-along*along), 45*(1-along*along)), within(95, -95, 60*(1-along*along), 45*(1-along*along)):
				hu = -850
			case within(0, 0, width, 0.8*width):
				hu = 40
			}
			stored := hu - volumeIntercept
			pixels = append(pixels, byte(stored), byte(stored>>8))
		}
	}
	return pixels
}

// barDensity returns the density of a bar, from -160 to 240 HU: within the window of the images. Eight bars hold the digits of the index.
func barDensity(bar, index int) int {
	if bar < 8 {
		return -160 + 26*bar + index%26
	}
	return -160 + 400*(index>>(bar-8)&1)
}
