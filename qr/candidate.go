package qr

import (
	"slices"

	"dicom-qr-gateway/dicomnet/dataset"
)

// candidate is a study that the PACS lists for the patient, with what filters and sorting need beside its text.
type candidate struct {
	Study
	date            int   // as 20240131; zero if unreadable
	time            int64 // see newestFirst
	accessionAbsent bool  // the match has no Accession Number, not even an empty one
}

// read reads the text of the study from a match, except its identity and its modalities.
func (c *candidate) read(set *dataset.Set) {
	for i := range studyTexts {
		a := &studyTexts[i]
		value := trim(set.String(a.Tag))
		if a.read != nil {
			value = a.read(value)
		}
		*a.Text(&c.Study) = value
	}
	c.accessionAbsent = c.AccessionNumber == "" && !set.Has(dataset.AccessionNumber)
	c.date, _ = parseDate(c.StudyDate)
}

// merge adds what another match of the same study has: PACS list a study twice, some once for each modality. If both have a
// value, the first stands.
func (c *candidate) merge(other *candidate) {
	for i := range studyTexts {
		if a := &studyTexts[i]; a.merge == fillIn && *a.Text(&c.Study) == "" {
			*a.Text(&c.Study) = *a.Text(&other.Study)
		}
	}
	// A time belongs to its date.
	if c.date == 0 && (other.date != 0 || c.StudyDate == "") {
		c.StudyDate, c.StudyTime, c.date = other.StudyDate, other.StudyTime, other.date
	}
	c.ModalitiesInStudy = addModalities(c.ModalitiesInStudy, other.ModalitiesInStudy)
	c.accessionAbsent = c.accessionAbsent && other.accessionAbsent
}

// maxModalities exceeds the number of modalities that the standard defines. It bounds the quadratic work of addModalities.
const maxModalities = 200

// addModalities appends the modalities that list does not have. An empty value is no modality: PACS that do not support the
// key return one.
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
