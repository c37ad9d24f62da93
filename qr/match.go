package qr

import (
	"slices"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

// candidate is a study that the PACS lists for the patient, with what deciding
// and sorting need beside its text.
type candidate struct {
	Study
	date            int   // as 20240131; zero where unreadable
	time            int64 // for newestFirst
	accessionAbsent bool  // the PACS does not tell it, not even as empty
}

// readStudy is a study without its modalities.
func readStudy(set *dataset.Set, patientID, studyInstanceUID string) candidate {
	c := candidate{
		Study: Study{
			PatientName:             trim(set.String(tag.PatientName)),
			PatientID:               patientID,
			DateOfBirth:             normalDate(trim(set.String(tag.PatientBirthDate))),
			StudyInstanceUID:        studyInstanceUID,
			StudyDescription:        trim(set.String(tag.StudyDescription)),
			StudyDate:               normalDate(trim(set.String(tag.StudyDate))),
			StudyTime:               normalTime(trim(set.String(tag.StudyTime))),
			AccessionNumber:         trim(set.String(tag.AccessionNumber)),
			ReferringPhysicianName:  trim(set.String(tag.ReferringPhysicianName)),
			PerformingPhysicianName: trim(set.String(tag.PerformingPhysicianName)),
			InstitutionName:         trim(set.String(tag.InstitutionName)),
		},
		accessionAbsent: !set.Has(tag.AccessionNumber),
	}
	c.date, _ = parseDate(c.StudyDate)
	return c
}

// merge adds what another match of the same study knows: PACS send a study
// twice, some of them once a modality. Where both know, the first is kept.
func (c *candidate) merge(other *candidate) {
	for _, field := range [...]struct{ to, from *string }{
		{&c.PatientName, &other.PatientName},
		{&c.DateOfBirth, &other.DateOfBirth},
		{&c.StudyDescription, &other.StudyDescription},
		{&c.AccessionNumber, &other.AccessionNumber},
		{&c.ReferringPhysicianName, &other.ReferringPhysicianName},
		{&c.PerformingPhysicianName, &other.PerformingPhysicianName},
		{&c.InstitutionName, &other.InstitutionName},
	} {
		if *field.to == "" {
			*field.to = *field.from
		}
	}
	// A time belongs to its date.
	if c.date == 0 && (other.date != 0 || c.StudyDate == "") {
		c.StudyDate, c.StudyTime, c.date = other.StudyDate, other.StudyTime, other.date
	}
	c.ModalitiesInStudy = addModalities(c.ModalitiesInStudy, other.ModalitiesInStudy)
	c.accessionAbsent = c.accessionAbsent && other.accessionAbsent
}

// maxModalities is more than there are, so that no study has as many; a peer that sends more gets no quadratic work for it.
const maxModalities = 200

// addModalities adds to list what it does not have yet. A zero-length value is
// no modality: PACS return one where they do not support the key.
func addModalities(list, more []string) []string {
	for _, m := range more {
		if len(list) == maxModalities {
			break
		}
		if m = trim(m); m != "" && !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}
