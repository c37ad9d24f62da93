package dicomtest

import (
	"crypto/sha256"
	"math/big"
	"slices"
	"strconv"

	"github.com/suyashkumar/dicom"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Study describes a synthetic study, from which Instances makes SOP instances. Its text is UTF-8; CharacterSet applies to the data
// sets.
type Study struct {
	PatientID, PatientName, PatientBirthDate, PatientSex string
	// CharacterSet is the Specific Character Set (0008,0005) of the instances, empty for the default repertoire.
	CharacterSet []string

	// StudyInstanceUID is derived from Patient ID and Accession Number if it is empty.
	StudyInstanceUID                                string
	StudyDate, StudyTime, StudyID, AccessionNumber  string
	StudyDescription                                string
	ReferringPhysicianName, PerformingPhysicianName string
	InstitutionName                                 string
	Series                                          []Series
	// Attributes are further attributes of each instance. They replace those that Instances makes.
	Attributes []*dicom.Element
}

// Series describes a series of a Study. CT, MR, US and CR result in images of the modality, SR in a Basic Text SR document, and any
// other modality in a Secondary Capture, unless Image describes the instances.
type Series struct {
	Modality, SeriesDescription, BodyPartExamined string
	// Instances is the number of instances; zero means 1.
	Instances int
	// Attributes are further attributes of each instance. They replace those that Instances makes, and those of the study.
	Attributes []*dicom.Element
	// Image, if not nil, describes instance index, counted from 0, in place of what Modality results in.
	Image func(index int) Image
}

// Image is what an instance has in addition to the modules of its patient, study, series and equipment.
type Image struct {
	SOPClassUID string
	Attributes  []*dicom.Element
	// TransferSyntax is the compressed transfer syntax of the frames; empty means native pixels.
	TransferSyntax dataset.TransferSyntax
	// Frames returns the frames, each compressed by itself if TransferSyntax is not empty. It is called whenever the instance is
	// encoded, so that a PACS does not hold pixels in memory, and returns the same frames each time.
	Frames func() [][]byte
	// GeneratedPixels is the length of native pixel data without meaning, in place of Frames. A PACS makes it while it sends it, so
	// that an instance of 2 GB needs no memory. It must be less than 4 GiB.
	GeneratedPixels int64
}

// JPEGBaseline is JPEG Baseline, Process 1, the compressed transfer syntax that a PACS stores.
const JPEGBaseline dataset.TransferSyntax = "1.2.840.10008.1.2.4.50"

// UID returns the Study Instance UID.
func (s Study) UID() string {
	if s.StudyInstanceUID != "" {
		return s.StudyInstanceUID
	}
	return derivedUID("study", s.PatientID, s.AccessionNumber)
}

// Modalities returns the modalities of the series without duplicates, in order of appearance.
func (s Study) Modalities() []string {
	var modalities []string
	for _, series := range s.Series {
		modalities = appendOnce(modalities, series.Modality)
	}
	return modalities
}

// Instances returns the SOP instances of the study. Equal studies have equal instances, including UIDs and pixels.
func (s Study) Instances() []*Instance {
	var instances []*Instance
	for i := range s.Series {
		for j := range max(1, s.Series[i].Instances) {
			instances = append(instances, s.instance(i, j))
		}
	}
	return instances
}

// derivedUID returns a UUID-derived UID (PS3.5 section B.2) of an RFC 9562 version 8 UUID: equal names give equal UIDs, and no
// registered root is needed.
func derivedUID(names ...string) string {
	h := sha256.New()
	for _, name := range names {
		h.Write([]byte(strconv.Itoa(len(name)) + ":" + name))
	}
	uuid := h.Sum(nil)[:16]
	uuid[6] = uuid[6]&0x0f | 0x80
	uuid[8] = uuid[8]&0x3f | 0x80
	return "2.25." + new(big.Int).SetBytes(uuid).String()
}

func appendOnce(list []string, value string) []string {
	if slices.Contains(list, value) {
		return list
	}
	return append(list, value)
}
