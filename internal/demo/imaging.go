package demo

import (
	"strconv"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// ImagingPatientID is the patient of [ImagingStudies].
const ImagingPatientID = "5556667777"

// ImagingStudies returns the studies of PACS A whose images are worth a look in a viewer: a CT volume, an ultrasound study with an
// image in colour and a clip, and a photograph that is compressed with JPEG. The pixels are drawn whenever an instance is sent,
// the same each time.
func ImagingStudies() []dicomtest.Study {
	studies := []dicomtest.Study{
		{
			AccessionNumber: "ACC-5003", StudyDate: "20250310", StudyTime: "103000", StudyDescription: "CT CHEST VOLUME", StudyID: "3",
			Series: []dicomtest.Series{{
				Modality: "CT", SeriesDescription: "AXIAL 5.0 SOFT TISSUE", BodyPartExamined: "CHEST",
				Instances: ctSlices, Image: ctImage, Attributes: requested("ACC-5003", "RP-5003", "20250310", "103000"),
			}},
		},
		{
			AccessionNumber: "ACC-5002", StudyDate: "20250212", StudyTime: "142000", StudyDescription: "US HEART", StudyID: "2",
			Series: []dicomtest.Series{
				{
					Modality: "US", SeriesDescription: "COLOUR DOPPLER", BodyPartExamined: "HEART", Image: dopplerImage,
					Attributes: requested("ACC-5002", "RP-5002", "20250212", "142000"),
				},
				{
					Modality: "US", SeriesDescription: "CLIP", BodyPartExamined: "HEART", Image: clipImage,
					Attributes: requested("ACC-5002", "RP-5002", "20250212", "142000"),
				},
			},
		},
		{
			AccessionNumber: "ACC-5001", StudyDate: "20240920", StudyTime: "090000", StudyDescription: "PHOTO FOREARM", StudyID: "1",
			Series: []dicomtest.Series{{
				Modality: "XC", SeriesDescription: "SKIN", BodyPartExamined: "ARM", Image: photo,
				Attributes: append(requested("ACC-5001", "RP-5001", "20240920", "090000"), dataset.Text(tag.Laterality, "L")),
			}},
		},
	}
	for i := range studies {
		s := &studies[i]
		s.PatientID, s.PatientName = ImagingPatientID, "SAMPLE^IRIS"
		s.PatientBirthDate, s.PatientSex = "19750615", "F"
		s.ReferringPhysicianName, s.PerformingPhysicianName = "REF^MD", "PERF^MD"
		s.InstitutionName = "Hospital"
	}
	return studies
}

// requested returns the attributes of a series that the RIS ordered (PS3.3 sections C.7.3.1 and 10.6).
func requested(accessionNumber, procedure, date, time string) []*dicom.Element {
	return []*dicom.Element{
		dataset.Text(tag.SeriesDate, date),
		dataset.Text(tag.SeriesTime, time),
		dataset.Text(tag.PerformedProcedureStepStartDate, date),
		dataset.Text(tag.PerformedProcedureStepStartTime, time),
		dataset.Text(tag.PerformedProcedureStepID, "PPS-"+accessionNumber),
		dataset.Sequence(tag.RequestAttributesSequence, []*dicom.Element{
			dataset.Text(tag.RequestedProcedureID, procedure),
			dataset.Text(tag.ScheduledProcedureStepID, "SPS-"+accessionNumber),
		}),
	}
}

// pixelModule returns the Image Pixel module (PS3.3 section C.7.6.3) of unsigned pixels without Planar Configuration.
func pixelModule(photometric string, samples, rows, columns, allocated, stored int) []*dicom.Element {
	return []*dicom.Element{
		dataset.Integers(tag.SamplesPerPixel, samples),
		dataset.Text(tag.PhotometricInterpretation, photometric),
		dataset.Integers(tag.Rows, rows),
		dataset.Integers(tag.Columns, columns),
		dataset.Integers(tag.BitsAllocated, allocated),
		dataset.Integers(tag.BitsStored, stored),
		dataset.Integers(tag.HighBit, stored-1),
		dataset.Integers(tag.PixelRepresentation, 0),
	}
}

func colour(rows, columns int, photometric string) []*dicom.Element {
	return append(pixelModule(photometric, 3, rows, columns, 8, 8), dataset.Integers(tag.PlanarConfiguration, 0))
}

// decimal returns a number as a value of VR DS.
func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// noise returns a number from 0 to 255 that looks random and is the same for the same place.
func noise(x, y, z int) int {
	h := uint32(x)*0x9E3779B1 ^ uint32(y)*0x85EBCA77 ^ uint32(z)*0xC2B2AE3D
	h ^= h >> 15
	h *= 0x2C1B3C6D
	h ^= h >> 12
	return int(h >> 24)
}

func square(v float64) float64 { return v * v }

// inEllipse returns a value below 1 inside an ellipse.
func inEllipse(x, y, centreX, centreY, a, b float64) float64 {
	return square((x-centreX)/a) + square((y-centreY)/b)
}
