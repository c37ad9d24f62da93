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

// read takes the study out of a match, but for its identity and its modalities.
func (c *candidate) read(set *dataset.Set) {
	// In the order of tags, in which they are found fastest.
	c.StudyDate = normalDate(trim(set.String(tag.StudyDate)))
	c.StudyTime = normalTime(trim(set.String(tag.StudyTime)))
	c.accessionAbsent = !set.Has(tag.AccessionNumber)
	c.AccessionNumber = trim(set.String(tag.AccessionNumber))
	c.InstitutionName = trim(set.String(tag.InstitutionName))
	c.ReferringPhysicianName = trim(set.String(tag.ReferringPhysicianName))
	c.StudyDescription = trim(set.String(tag.StudyDescription))
	c.PerformingPhysicianName = trim(set.String(tag.PerformingPhysicianName))
	c.PatientName = trim(set.String(tag.PatientName))
	c.DateOfBirth = normalDate(trim(set.String(tag.PatientBirthDate)))
	c.date, _ = parseDate(c.StudyDate)
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
