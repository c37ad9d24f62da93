package demo

import (
	"math"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// The CT volume: distances in millimetres.
const (
	ctSlices         = 32
	ctEdge           = 128
	ctPixelSpacing   = 3.0
	ctSliceThickness = 5.0
	ctIntercept      = -1024
	ctFrameOfRef     = "2.25.183264701923847561029384756102938475"
)

// ctImage describes slice index of the CT volume, from the diaphragm upwards (PS3.3 section A.3).
func ctImage(index int) dicomtest.Image {
	const origin = -ctPixelSpacing * (ctEdge - 1) / 2
	z := ctSliceThickness * float64(index)
	attributes := pixelModule("MONOCHROME2", 1, ctEdge, ctEdge, 16, 12)
	return dicomtest.Image{
		SOPClassUID: dicomtest.CTImageStorage,
		Attributes: append(attributes,
			dataset.Text(tag.ImageType, "ORIGINAL", "PRIMARY", "AXIAL"),
			dataset.Text(tag.KVP, "120"),
			dataset.Text(tag.XRayTubeCurrent, "200"),
			dataset.Text(tag.ConvolutionKernel, "STANDARD"),
			dataset.Text(tag.AcquisitionNumber, "1"),
			dataset.Text(tag.RescaleIntercept, decimal(ctIntercept)),
			dataset.Text(tag.RescaleSlope, "1"),
			dataset.Text(tag.RescaleType, "HU"),
			dataset.Text(tag.WindowCenter, "40", "-600"),
			dataset.Text(tag.WindowWidth, "400", "1500"),
			dataset.Text(tag.WindowCenterWidthExplanation, "SOFT TISSUE", "LUNG"),
			dataset.Text(tag.PatientPosition, "HFS"),
			dataset.Text(tag.PatientOrientation, "L", "P"),
			dataset.Text(tag.FrameOfReferenceUID, ctFrameOfRef),
			dataset.Text(tag.PositionReferenceIndicator),
			dataset.Text(tag.ImagePositionPatient, decimal(origin), decimal(origin), decimal(z)),
			dataset.Text(tag.ImageOrientationPatient, "1", "0", "0", "0", "1", "0"),
			dataset.Text(tag.SliceLocation, decimal(z)),
			dataset.Text(tag.SliceThickness, decimal(ctSliceThickness)),
			dataset.Text(tag.SpacingBetweenSlices, decimal(ctSliceThickness)),
			dataset.Text(tag.PixelSpacing, decimal(ctPixelSpacing), decimal(ctPixelSpacing)),
		),
		Frames: func() [][]byte { return [][]byte{ctPixels(index)} },
	}
}

func ctPixels(slice int) []byte {
	const centre = (ctEdge - 1) / 2.0
	pixels := make([]byte, 0, 2*ctEdge*ctEdge)
	for row := range ctEdge {
		for column := range ctEdge {
			x, y := ctPixelSpacing*(float64(column)-centre), ctPixelSpacing*(float64(row)-centre)
			hu := hounsfield(x, y, ctSliceThickness*float64(slice)) + noise(column, row, slice)/11 - 11
			value := min(max(hu-ctIntercept, 0), 4095)
			pixels = append(pixels, byte(value), byte(value>>8))
		}
	}
	return pixels
}

// hounsfield returns the density at a place in a chest: x to the patient's left, y to the back, z to the head. The last tissue that
// covers the place counts.
func hounsfield(x, y, z float64) int {
	const (
		air, fat, muscle, lung, blood, bone, marrow, table = -1000, -100, 50, -860, 45, 700, 200, -200
		height                                             = ctSlices * ctSliceThickness
	)
	body := inEllipse(x, y, 0, 0, 165-0.08*z, 112-0.05*z)
	if body > 1 {
		if math.Abs(x) < 180 && y > 126 && y < 135 {
			return table
		}
		return air
	}
	hu := fat
	if body < 0.84 {
		hu = muscle
	}
	// Ribs run forwards and down, so that each slice cuts them elsewhere.
	if body > 0.68 && body < 0.76 && math.Mod(z-0.35*y+500, 26) < 11 {
		hu = bone
	}
	lungs := math.Sqrt(max(0, 1-square((z-0.35*height)/(0.75*height))))
	for _, side := range []float64{-1, 1} {
		if inEllipse(x, y, side*72, -2, 56*lungs+1, 76*lungs+1) < 1 {
			hu = lung
			// Vessels: bright spots whose places change slowly from slice to slice.
			if noise(int(x+200)/9, int(y+200)/9, int(z)/10) > 236 {
				hu = blood
			}
		}
	}
	if square(x+70)+square(y-12)+square(z-85) < square(11) {
		hu = muscle - 10 // a nodule in the right lung
	}
	if z < 25 && inEllipse(x, y, -62, 0, 68, 80) < 1-z/25 {
		hu = muscle + 10 // the dome of the liver
	}
	heart := 1 - square((z-55)/58)
	if heart > 0 && inEllipse(x, y, 22, -28, 62*math.Sqrt(heart)+1, 48*math.Sqrt(heart)+1) < 1 {
		hu = blood
	}
	switch {
	case inEllipse(x, y, 16, 46, 13, 13) < 1:
		hu = blood + 120 // the aorta with contrast agent
	case inEllipse(x, y, -2, 30, 8, 7) < 1 && z > 70:
		hu = air // the trachea
	case inEllipse(x, y, 0, 92, 8, 8) < 1:
		hu = 30 // the spinal canal
	case inEllipse(x, y, 0, 70, 17, 15) < 1:
		if hu = marrow; inEllipse(x, y, 0, 70, 14, 12) > 1 {
			hu = bone
		}
	case inEllipse(x, y, 0, 92, 14, 14) < 1, math.Abs(x) < 4 && y > 90 && y < 108, math.Abs(x) < 12 && y < -94 && y > -103:
		hu = bone // the arch, the spinous process and the sternum
	}
	return hu
}
