package qr

import (
	"fmt"
	"slices"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

// maxListedUIDs bounds the list that is sent as the value of Study Instance UID. A longer list would save little, since all
// studies are of one patient, and PACS have undocumented limits on lists.
const maxListedUIDs = 64

// keys builds identifiers. Elements that never change are built once; encoding reads an Element and does not change it.
type keys struct {
	studyQuery  []*dicom.Element // of a C-FIND at STUDY level, every key universal
	seriesQuery []*dicom.Element // of a C-FIND at SERIES level, likewise
	studyLevel  *dicom.Element
}

func newKeys() *keys {
	return &keys{
		studyQuery:  universalKeys(LevelStudy, LevelPatient, LevelStudy),
		seriesQuery: universalKeys(LevelSeries, LevelSeries),
		studyLevel:  dataset.Text(tag.QueryRetrieveLevel, string(LevelStudy)),
	}
}

// universalKeys returns the keys of a C-FIND at a level: the attributes of the table that belong to the levels of, without a
// value, in the order of tags, and Study Instance UID, the unique key above SERIES level. Each identifier has the character
// set ISO_IR 192, even if its text is all ASCII: DCMTK's archives convert their answers to the character set of the request
// and silently damage text that does not fit.
func universalKeys(level Level, of ...Level) []*dicom.Element {
	elements := []*dicom.Element{
		dataset.Text(tag.SpecificCharacterSet, "ISO_IR 192"),
		dataset.Text(tag.QueryRetrieveLevel, string(level)),
	}
	for i := range attributes {
		if a := &attributes[i]; a.Tag == tag.StudyInstanceUID || slices.Contains(of, a.Level) {
			elements = append(elements, dataset.Text(a.Tag))
		}
	}
	slices.SortFunc(elements, func(a, b *dicom.Element) int { return compareTags(a.Tag, b.Tag) })
	return elements
}

// withValues returns the keys with the values of some of them in place of universal matching.
func withValues(universal []*dicom.Element, values ...*dicom.Element) *dicom.Dataset {
	elements := slices.Clone(universal)
	for _, value := range values {
		for i := range elements {
			if elements[i].Tag == value.Tag {
				elements[i] = value
			}
		}
	}
	return &dicom.Dataset{Elements: elements}
}

// study returns the identifier of the C-FIND at STUDY level. Modalities in Study never gets a value: PACS disagree about
// several values, and even about one (PS3.4 section C.2.2.2.8).
func (k *keys) study(p *plan) *dicom.Dataset {
	uids := p.uids
	if len(uids) > maxListedUIDs {
		uids = nil
	}
	return withValues(k.studyQuery,
		optional(tag.StudyDate, p.dateRange()),
		optional(tag.AccessionNumber, p.accession),
		dataset.Text(tag.PatientID, p.patientID),
		dataset.Text(tag.StudyInstanceUID, uids...),
	)
}

// series returns the identifier of the C-FIND that asks for the modality of each series of a study.
func (k *keys) series(studyInstanceUID string) *dicom.Dataset {
	return withValues(k.seriesQuery, dataset.Text(tag.StudyInstanceUID, studyInstanceUID))
}

// move returns the identifier of a C-MOVE: the level and its unique key alone (PS3.4 section C.4.2.1.4).
func (k *keys) move(studyInstanceUID string) *dicom.Dataset {
	return &dicom.Dataset{Elements: []*dicom.Element{
		k.studyLevel,
		dataset.Text(tag.StudyInstanceUID, studyInstanceUID),
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

func optional(t tag.Tag, value string) *dicom.Element {
	if value == "" {
		return dataset.Text(t)
	}
	return dataset.Text(t, value)
}
