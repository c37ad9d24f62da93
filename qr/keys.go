package qr

import (
	"fmt"
	"slices"

	"dicom-qr-gateway/dicomnet/dataset"
)

// maxListedUIDs bounds the list that is sent as the value of Study Instance UID. A longer list would save little, since all
// studies are of one patient, and PACS have undocumented limits on lists.
const maxListedUIDs = 64

// keys builds identifiers. Elements that never change are built once; encoding reads an Element and does not change it.
type keys struct {
	studyQuery  []*dataset.Element // of a C-FIND at STUDY level, every key universal
	seriesQuery []*dataset.Element // of a C-FIND at SERIES level, likewise
	studyLevel  *dataset.Element
}

func newKeys() *keys {
	return &keys{
		studyQuery:  universalKeys(LevelStudy, LevelPatient, LevelStudy),
		seriesQuery: universalKeys(LevelSeries, LevelSeries),
		studyLevel:  dataset.Text(dataset.QueryRetrieveLevel, string(LevelStudy)),
	}
}

// universalKeys returns the keys of a C-FIND at a level: the attributes of the table that belong to the levels of, without a
// value, in the order of tags, and Study Instance UID, the unique key above SERIES level. Each identifier has the character
// set ISO_IR 192, even if its text is all ASCII: DCMTK's archives convert their answers to the character set of the request
// and silently damage text that does not fit.
func universalKeys(level Level, of ...Level) []*dataset.Element {
	elements := []*dataset.Element{
		dataset.Text(dataset.SpecificCharacterSet, "ISO_IR 192"),
		dataset.Text(dataset.QueryRetrieveLevel, string(level)),
	}
	for i := range attributes {
		if a := &attributes[i]; a.Tag == dataset.StudyInstanceUID || slices.Contains(of, a.Level) {
			elements = append(elements, dataset.Text(a.Tag))
		}
	}
	slices.SortFunc(elements, func(a, b *dataset.Element) int { return compareTags(a.Tag, b.Tag) })
	return elements
}

// withValues returns the keys with the values of some of them in place of universal matching.
func withValues(universal []*dataset.Element, values ...*dataset.Element) *dataset.Dataset {
	elements := slices.Clone(universal)
	for _, value := range values {
		for i := range elements {
			if elements[i].Tag == value.Tag {
				elements[i] = value
			}
		}
	}
	return &dataset.Dataset{Elements: elements}
}

// study returns the identifier of the C-FIND at STUDY level. Modalities in Study never gets a value: PACS disagree about
// several values, and even about one (PS3.4 section C.2.2.2.8).
func (k *keys) study(p *plan) *dataset.Dataset {
	uids := p.uids
	if len(uids) > maxListedUIDs {
		uids = nil
	}
	return withValues(k.studyQuery,
		optional(dataset.StudyDate, p.dateRange()),
		optional(dataset.AccessionNumber, p.accession),
		dataset.Text(dataset.PatientID, p.patientID),
		dataset.Text(dataset.StudyInstanceUID, uids...),
	)
}

// series returns the identifier of the C-FIND that asks for the modality of each series of a study.
func (k *keys) series(studyInstanceUID string) *dataset.Dataset {
	return withValues(k.seriesQuery, dataset.Text(dataset.StudyInstanceUID, studyInstanceUID))
}

// move returns the identifier of a C-MOVE: the level and its unique key alone (PS3.4 section C.4.2.1.4).
func (k *keys) move(studyInstanceUID string) *dataset.Dataset {
	return &dataset.Dataset{Elements: []*dataset.Element{
		k.studyLevel,
		dataset.Text(dataset.StudyInstanceUID, studyInstanceUID),
	}}
}

// dateRange returns the value of Study Date: a range (PS3.4 section C.2.2.2.5), one day, or "" for any.
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

func optional(t dataset.Tag, value string) *dataset.Element {
	if value == "" {
		return dataset.Text(t)
	}
	return dataset.Text(t, value)
}
