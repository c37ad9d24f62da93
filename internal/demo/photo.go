package demo

import (
	"bytes"
	"image"
	"image/jpeg"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// The photograph and its compression.
const (
	photoRows, photoColumns = 256, 384
	photoQuality            = 90
)

// photo describes a photograph of skin that is compressed with JPEG Baseline (PS3.3 section A.32.4).
func photo(int) dicomtest.Image {
	// The Photometric Interpretation of JPEG with subsampled chrominance (PS3.5 section 8.2.1).
	attributes := colour(photoRows, photoColumns, "YBR_FULL_422")
	return dicomtest.Image{
		SOPClassUID: dicomtest.VLPhotographicImageStorage,
		Attributes: append(attributes,
			dataset.Text(tag.ImageType, "ORIGINAL", "PRIMARY"),
			dataset.Text(tag.PatientOrientation),
			dataset.Text(tag.LossyImageCompression, "01"),
			dataset.Text(tag.LossyImageCompressionRatio, "15"),
			dataset.Text(tag.LossyImageCompressionMethod, "ISO_10918_1"),
			dataset.Sequence(tag.AcquisitionContextSequence),
		),
		TransferSyntax: dicomtest.JPEGBaseline,
		Frames:         photoFrames,
	}
}

func photoFrames() [][]byte {
	picture := image.NewRGBA(image.Rect(0, 0, photoColumns, photoRows))
	for y := range photoRows {
		for x := range photoColumns {
			for i, value := range skin(x, y) {
				picture.Pix[picture.PixOffset(x, y)+i] = byte(min(max(value, 0), 255))
			}
		}
	}
	var b bytes.Buffer
	// Writes to memory do not fail, and the picture is not too large.
	_ = jpeg.Encode(&b, picture, &jpeg.Options{Quality: photoQuality})
	return [][]byte{b.Bytes()}
}

// skin returns red, green, blue and opacity of a place: skin with a light from the left, a mole, and a ruler at the lower edge.
func skin(x, y int) [4]int {
	light := 36 - x/6 + noise(x/2, y/2, 0)/24
	if y >= photoRows-34 {
		long := x%50 < 2
		if y < photoRows-20 && (long || x%10 < 1 && y < photoRows-27) {
			return [4]int{20, 20, 20, 255}
		}
		return [4]int{240, 240, 236, 255}
	}
	mole := inEllipse(float64(x), float64(y), 206, 112, 44, 31) + float64(noise(x/6, y/6, 1))/900
	switch {
	case mole < 0.7:
		return [4]int{92 + noise(x/3, y/3, 2)/9, 56 + noise(x/3, y/3, 2)/12, 44, 255}
	case mole < 1:
		return [4]int{138 + light/2, 92 + light/2, 72 + light/2, 255}
	}
	return [4]int{196 + light, 148 + light, 124 + light, 255}
}
