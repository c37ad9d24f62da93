package qr

import (
	"slices"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
)

// candidate is a study that the PACS lists for the patient, with what filters and sorting need beside its text.
type candidate struct {
	Study
	date            int    // as 20240131; zero if unreadable
	time            uint64 // date and time, for newestFirst
	accessionAbsent bool   // the match has no Accession Number, not even an empty one
	malformed       bool   // an attribute of VM 1 has several values, or a modality is no code string
	// modalitiesDoubtful reports that a value of Modalities in Study may not be a modality, so that a filter must not rely on it.
	modalitiesDoubtful bool
}

// read reads the text of the study from a match, except its identity and its modalities.
func (c *candidate) read(set *dataset.Set) {
	var buffer [16]dataset.WholeText // more than there are
	for i, text := range set.AppendTexts(buffer[:0], studyTextTags) {
		a, value := &studyTexts[i], trim(text.Value)
		if text.HasBackslash {
			if a.VM == Many {
				value = strings.Join(set.Strings(a.Tag), `\`)
			} else {
				c.malformed = true
			}
		}
		if a.read != nil {
			value = a.read(value)
		}
		*a.Text(&c.Study) = value
	}
	c.accessionAbsent = c.AccessionNumber == "" && !set.Has(dataset.AccessionNumber)
	c.date = firstDate(c.StudyDate)
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
	c.modalitiesDoubtful = c.modalitiesDoubtful || other.modalitiesDoubtful
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
