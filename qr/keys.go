package qr

import (
	"fmt"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

// maxListedUIDs bounds the list that is sent as the value of Study Instance UID. What a longer one would save is little,
// for the studies are one patient's, and PACS have limits on lists that none of them documents.
const maxListedUIDs = 64

// keys builds identifiers. What never changes is built once: an Element is read, never written, by whoever encodes it.
type keys struct {
	charset                *dicom.Element
	studyLevel, seriesLvl  *dicom.Element
	time, modalities       *dicom.Element
	institution, referring *dicom.Element
	description, performer *dicom.Element
	name, birthDate        *dicom.Element
	modality, seriesUID    *dicom.Element
}

func newKeys() *keys {
	return &keys{
		charset:     dataset.Text(tag.SpecificCharacterSet, "ISO_IR 192"),
		studyLevel:  dataset.Text(tag.QueryRetrieveLevel, "STUDY"),
		seriesLvl:   dataset.Text(tag.QueryRetrieveLevel, "SERIES"),
		time:        dataset.Text(tag.StudyTime),
		modalities:  dataset.Text(tag.ModalitiesInStudy),
		institution: dataset.Text(tag.InstitutionName),
		referring:   dataset.Text(tag.ReferringPhysicianName),
		description: dataset.Text(tag.StudyDescription),
		performer:   dataset.Text(tag.PerformingPhysicianName),
		name:        dataset.Text(tag.PatientName),
		birthDate:   dataset.Text(tag.PatientBirthDate),
		modality:    dataset.Text(tag.Modality),
		seriesUID:   dataset.Text(tag.SeriesInstanceUID),
	}
}

// studies is the identifier of the C-FIND at STUDY level, in the order of tags.
// The character set is ISO_IR 192 also where all is ASCII: DCMTK's archives convert their answers to that of the request, and
// make a mess of those that do not fit, without a word. Modalities in Study never gets a value: what several would mean, and even one,
// is a matter of the PACS (PS3.4 section C.2.2.2.8).
func (k *keys) studies(p *plan) *dicom.Dataset {
	uids := p.uids
	if len(uids) > maxListedUIDs {
		uids = nil
	}
	return &dicom.Dataset{Elements: []*dicom.Element{
		k.charset,
		optional(tag.StudyDate, p.dateRange()),
		k.time,
		optional(tag.AccessionNumber, p.accession),
		k.studyLevel,
		k.modalities,
		k.institution,
		k.referring,
		k.description,
		k.performer,
		k.name,
		dataset.Text(tag.PatientID, p.patientID),
		k.birthDate,
		dataset.Text(tag.StudyInstanceUID, uids...),
	}}
}

// series is the identifier of the C-FIND that tells the modalities of a study.
func (k *keys) series(studyInstanceUID string) *dicom.Dataset {
	return &dicom.Dataset{Elements: []*dicom.Element{
		k.charset,
		k.seriesLvl,
		k.modality,
		dataset.Text(tag.StudyInstanceUID, studyInstanceUID),
		k.seriesUID,
	}}
}

// move is the identifier of a C-MOVE: the unique key and nothing else (PS3.4
// section C.4.2.1.4).
func (k *keys) move(studyInstanceUID string) *dicom.Dataset {
	return &dicom.Dataset{Elements: []*dicom.Element{
		k.studyLevel,
		dataset.Text(tag.StudyInstanceUID, studyInstanceUID),
	}}
}

// dateRange is the value of Study Date: a range (PS3.4 section C.2.2.2.5), one day, or "" for any.
func (p *plan) dateRange() string {
	switch {
	case !p.dated():
		return ""
	case p.latest == 0:
		return fmt.Sprintf("%08d-", p.earliest)
	case p.earliest == 0:
		return fmt.Sprintf("-%08d", p.latest)
	case p.earliest == p.latest:
		return fmt.Sprintf("%08d", p.earliest)
	}
	return fmt.Sprintf("%08d-%08d", p.earliest, p.latest)
}

func optional(t tag.Tag, value string) *dicom.Element {
	if value == "" {
		return dataset.Text(t)
	}
	return dataset.Text(t, value)
}
