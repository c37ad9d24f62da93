package dicomtest

import (
	"fmt"
	"strconv"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// edge is the number of rows and columns of a synthetic image.
const edge = 16

// instance returns instance j of series i, both counted from 0.
func (s Study) instance(i, j int) *Instance {
	series := s.Series[i]
	image := s.image(i, j)
	seriesUID := derivedUID("series", s.UID(), strconv.Itoa(i))

	var b builder
	s.addPatientAndStudy(&b)
	s.addSeries(&b, i, seriesUID)
	b.text(tag.SOPClassUID, image.SOPClassUID)
	b.text(tag.SOPInstanceUID, derivedUID("instance", seriesUID, strconv.Itoa(j)))
	b.text(tag.InstanceNumber, strconv.Itoa(j+1))
	b.text(tag.ContentDate, s.StudyDate)
	b.text(tag.ContentTime, s.StudyTime)
	b.replace(image.Attributes)
	b.replace(s.Attributes)
	b.replace(series.Attributes)
	in, err := newInstance(b.elements, image.pixels())
	if err != nil {
		panic(fmt.Sprintf("dicomtest: %v", err))
	}
	return in
}

// image returns what describes instance j of series i.
func (s Study) image(i, j int) Image {
	series := s.Series[i]
	if series.Image != nil {
		return series.Image(j)
	}
	d := iodFor(series.Modality)
	var b builder
	d.add(&b, j)
	image := Image{SOPClassUID: d.sopClass}
	if d.bits > 0 {
		pixels := addImagePixels(&b, d, i+j)
		image.Frames = func() [][]byte { return [][]byte{pixels} }
	}
	image.Attributes = b.elements
	return image
}

// addPatientAndStudy adds the Patient and General Study modules (PS3.3 sections C.7.1.1 and C.7.2.1) and the character set.
func (s Study) addPatientAndStudy(b *builder) {
	if len(s.CharacterSet) > 0 {
		b.text(tag.SpecificCharacterSet, s.CharacterSet...)
	}
	b.text(tag.PatientName, s.PatientName)
	b.text(tag.PatientID, s.PatientID)
	b.text(tag.PatientBirthDate, s.PatientBirthDate)
	b.text(tag.PatientSex, s.PatientSex)
	b.text(tag.StudyInstanceUID, s.UID())
	b.text(tag.StudyDate, s.StudyDate)
	b.text(tag.StudyTime, s.StudyTime)
	b.text(tag.StudyID, s.StudyID)
	b.text(tag.AccessionNumber, s.AccessionNumber)
	b.text(tag.StudyDescription, s.StudyDescription)
	b.text(tag.ReferringPhysicianName, s.ReferringPhysicianName)
}

// addSeries adds the General Series and General Equipment modules (PS3.3 sections C.7.3.1 and C.7.5.1).
func (s Study) addSeries(b *builder, i int, uid string) {
	series := s.Series[i]
	b.text(tag.SeriesInstanceUID, uid)
	b.text(tag.SeriesNumber, strconv.Itoa(i+1))
	b.text(tag.Modality, series.Modality)
	b.text(tag.SeriesDescription, series.SeriesDescription)
	if series.Modality != "SR" {
		b.text(tag.BodyPartExamined, series.BodyPartExamined)
	}
	b.text(tag.PerformingPhysicianName, s.PerformingPhysicianName)
	b.text(tag.InstitutionName, s.InstitutionName)
	b.text(tag.Manufacturer, "SYNTHETIC")
}

// addImagePixels adds the Image Pixel module (PS3.3 section C.7.6.3) and returns the pixels: a gradient that depends on index.
func addImagePixels(b *builder, d iod, index int) []byte {
	allocated := 8
	if d.bits > 8 {
		allocated = 16
	}
	representation := 0
	if d.signed {
		representation = 1
	}
	b.numbers(tag.SamplesPerPixel, 1)
	b.text(tag.PhotometricInterpretation, "MONOCHROME2")
	b.numbers(tag.Rows, edge)
	b.numbers(tag.Columns, edge)
	b.numbers(tag.BitsAllocated, allocated)
	b.numbers(tag.BitsStored, d.bits)
	b.numbers(tag.HighBit, d.bits-1)
	b.numbers(tag.PixelRepresentation, representation)

	pixels := make([]byte, 0, edge*edge*allocated/8)
	for n := range edge * edge {
		value := (n + 7*index) % 256
		pixels = append(pixels, byte(value))
		if allocated == 16 {
			pixels = append(pixels, byte(value>>5))
		}
	}
	return pixels
}
