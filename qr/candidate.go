package qr

import (
	"slices"
	"strings"
	"unicode/utf8"

	"dicom-qr-gateway/dicomnet/dataset"
)

// candidate is a study that the PACS lists for the patient, with what filters and sorting need beside its text.
type candidate struct {
	Study
	date            int    // as 20240131; zero if unreadable
	time            uint64 // date and time, for newestFirst
	cut             bool   // a text is longer than maxText and was cut
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
		if len(value) > maxText {
			value, c.cut = cutText(value, maxText), true
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

// maxText limits the text that is kept of one attribute, in bytes: 64 characters are the most that the VRs of a study allow, and
// some archives exceed that.
const maxText = 1 << 10

// cutText returns the whole characters in the first n bytes of s. It does not keep s alive.
func cutText(s string, n int) string {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}

// textLength returns the length of all text of the study, in bytes.
func (s *Study) textLength() int {
	n := len(s.PatientName) + len(s.PatientID) + len(s.DateOfBirth) + len(s.StudyInstanceUID) + len(s.StudyDescription) +
		len(s.StudyDate) + len(s.StudyTime) + len(s.AccessionNumber) + len(s.ReferringPhysicianName) +
		len(s.PerformingPhysicianName) + len(s.InstitutionName)
	for _, modality := range s.ModalitiesInStudy {
		n += len(modality)
	}
	return n
}

// maxModality limits the length of one modality, in bytes. CS allows 16.
const maxModality = 64

// maxModalities exceeds the number of modalities that the standard defines. It bounds the quadratic work of addModalities.
const maxModalities = 200

// addModalities appends the modalities that list does not have. An empty value is no modality: PACS that do not support the
// key return one.
func addModalities(list, more []string) []string {
	for _, m := range more {
		if len(list) == maxModalities {
			break
		}
		if m = trim(m); len(m) > maxModality {
			m = cutText(m, maxModality)
		}
		if m != "" && !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}
