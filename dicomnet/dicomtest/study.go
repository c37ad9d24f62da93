package dicomtest

import (
	"crypto/sha256"
	"math/big"
	"slices"
	"strconv"
)

// Study describes a synthetic study; Instances makes real SOP instances of it.
// Text is UTF-8 here, whatever CharacterSet says of the data set.
type Study struct {
	PatientID, PatientName, PatientBirthDate, PatientSex string
	// CharacterSet is the Specific Character Set (0008,0005) of the instances,
	// empty for the default repertoire.
	CharacterSet []string

	// StudyInstanceUID is derived from the Patient ID and the Accession Number
	// where it is empty.
	StudyInstanceUID                                string
	StudyDate, StudyTime, StudyID, AccessionNumber  string
	StudyDescription                                string
	ReferringPhysicianName, PerformingPhysicianName string
	InstitutionName                                 string
	Series                                          []Series
}

// Series describes a series of a Study. CT, MR, US and CR become images of those
// modalities, SR a Basic Text SR document, any other a Secondary Capture.
type Series struct {
	Modality, SeriesDescription, BodyPartExamined string
	// Instances is how many instances the series has, at least 1.
	Instances int
}

// UID is the Study Instance UID, the derived one where none was given.
func (s Study) UID() string {
	if s.StudyInstanceUID != "" {
		return s.StudyInstanceUID
	}
	return derivedUID("study", s.PatientID, s.AccessionNumber)
}

// Modalities are the modalities of the series, each once, in order of appearance.
func (s Study) Modalities() []string {
	var modalities []string
	for _, series := range s.Series {
		modalities = appendOnce(modalities, series.Modality)
	}
	return modalities
}

// Instances makes the SOP instances of the study. The same study gives the same
// instances, UIDs and pixels included.
func (s Study) Instances() []*Instance {
	var instances []*Instance
	for i := range s.Series {
		for j := range max(1, s.Series[i].Instances) {
			instances = append(instances, s.instance(i, j))
		}
	}
	return instances
}

// derivedUID is a UUID-derived UID (PS3.5 section B.2) of an RFC 9562 version 8
// UUID, so that equal names give equal UIDs and no registered root is borrowed.
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
