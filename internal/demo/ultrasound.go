package demo

import (
	"math"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// The sizes of the ultrasound images. Each data set stays under 1 MiB.
const (
	dopplerRows, dopplerColumns = 240, 320
	clipEdge                    = 128
	clipFrames                  = 20
	clipFrameTime               = 40 // milliseconds
)

// dopplerImage describes an ultrasound image in colour (PS3.3 section A.6).
func dopplerImage(int) dicomtest.Image {
	attributes := append(colour(dopplerRows, dopplerColumns, "RGB"), ultrasoundModule(dopplerRows, dopplerColumns)...)
	return dicomtest.Image{
		SOPClassUID: dicomtest.UltrasoundImageStorage,
		Attributes:  append(attributes, dataset.Integers(tag.UltrasoundColorDataPresent, 1)),
		Frames:      func() [][]byte { return [][]byte{dopplerPixels()} },
	}
}

// clipImage describes an ultrasound clip: a multi-frame image (PS3.3 section A.7).
func clipImage(int) dicomtest.Image {
	attributes := append(pixelModule("MONOCHROME2", 1, clipEdge, clipEdge, 8, 8), ultrasoundModule(clipEdge, clipEdge)...)
	return dicomtest.Image{
		SOPClassUID: dicomtest.UltrasoundMultiFrameImageStorage,
		Attributes: append(attributes,
			dataset.Text(tag.NumberOfFrames, decimal(clipFrames)),
			element(tag.FrameIncrementPointer, []int{int(tag.FrameTime.Group), int(tag.FrameTime.Element)}),
			dataset.Text(tag.FrameTime, decimal(clipFrameTime)),
			dataset.Text(tag.CineRate, decimal(1000/clipFrameTime)),
			dataset.Integers(tag.UltrasoundColorDataPresent, 0),
		),
		Frames: clipPixels,
	}
}

// ultrasoundModule returns the attributes of the US Image and US Region Calibration modules (PS3.3 section C.8.5) that both share.
func ultrasoundModule(rows, columns int) []*dicom.Element {
	const centimetres, centimetresPerPixel = 3, 0.05
	return []*dicom.Element{
		dataset.Text(tag.ImageType, "ORIGINAL", "PRIMARY"),
		dataset.Text(tag.PatientOrientation),
		dataset.Text(tag.LossyImageCompression, "00"),
		dataset.Sequence(tag.SequenceOfUltrasoundRegions, []*dicom.Element{
			dataset.Integers(tag.RegionSpatialFormat, 1), // 2D
			dataset.Integers(tag.RegionDataType, 1),      // tissue
			dataset.Integers(tag.RegionFlags, 2),
			dataset.Integers(tag.RegionLocationMinX0, 0),
			dataset.Integers(tag.RegionLocationMinY0, 0),
			dataset.Integers(tag.RegionLocationMaxX1, columns-1),
			dataset.Integers(tag.RegionLocationMaxY1, rows-1),
			dataset.Integers(tag.PhysicalUnitsXDirection, centimetres),
			dataset.Integers(tag.PhysicalUnitsYDirection, centimetres),
			element(tag.PhysicalDeltaX, []float64{centimetresPerPixel}),
			element(tag.PhysicalDeltaY, []float64{centimetresPerPixel}),
		}),
	}
}

// element returns an element of a VR for which package dataset has no constructor.
func element(t tag.Tag, value any) *dicom.Element {
	e, err := dicom.NewElement(t, value)
	if err != nil {
		panic(err) // the tag and the type of the value are constants
	}
	return e
}

// echo returns the brightness of a sector image at a place: depth and angle from its apex, at the middle of the upper edge, and the
// size of the heart's cavity. It returns 0 outside the sector.
func echo(row, column, columns int, cavity float64, frame int) (brightness int, depth, angle float64) {
	x, y := float64(column)-float64(columns-1)/2, float64(row)+8
	depth, angle = math.Hypot(x, y), math.Atan2(x, y)
	if math.Abs(angle) > 0.7 || depth < 14 || depth > float64(columns)*0.76 {
		return 0, depth, angle
	}
	brightness = 70 + noise(column, row, frame)/3 - int(depth/float64(columns)*60)
	middle := float64(columns) * 0.42
	wall := inEllipse(x, y, 0, middle, cavity, 1.35*cavity)
	switch {
	case wall < 1:
		brightness = 6 + noise(column, row, frame)/24
	case wall < 1.5:
		brightness += 70
	}
	return min(max(brightness, 0), 255), depth, angle
}

func dopplerPixels() []byte {
	pixels := make([]byte, 0, 3*dopplerRows*dopplerColumns)
	for row := range dopplerRows {
		for column := range dopplerColumns {
			value, depth, angle := echo(row, column, dopplerColumns, 46, 0)
			red, green, blue := value, value, value
			// The colours of flow: red towards the probe, blue away from it.
			if flow := math.Sin(depth/19) * math.Cos(angle*6); value > 0 && depth > 90 && depth < 185 && math.Abs(angle) < 0.28 && math.Abs(flow) > 0.35 {
				speed := int(math.Abs(flow) * 240)
				red, green, blue = speed, speed/4, 20
				if flow < 0 {
					red, blue = blue, red
				}
			}
			// The colour bar at the right edge.
			if column >= dopplerColumns-14 && column < dopplerColumns-4 && row >= 20 && row < 120 {
				red, green, blue = max(0, 255-5*(row-20)), 30, max(0, 5*(row-20)-250)
			}
			pixels = append(pixels, byte(red), byte(green), byte(blue))
		}
	}
	return pixels
}

// clipPixels returns the frames of one heartbeat.
func clipPixels() [][]byte {
	frames := make([][]byte, 0, clipFrames)
	for frame := range clipFrames {
		cavity := 20 + 5*math.Cos(2*math.Pi*float64(frame)/clipFrames)
		pixels := make([]byte, 0, clipEdge*clipEdge)
		for row := range clipEdge {
			for column := range clipEdge {
				value, _, _ := echo(row, column, clipEdge, cavity, frame)
				pixels = append(pixels, byte(value))
			}
		}
		frames = append(frames, pixels)
	}
	return frames
}
