package qr

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
)

// form says how much a C-FIND at STUDY level asks for. PACS that refuse or misread one form are asked again in a plainer one.
type form struct {
	requiredKeys bool // no optional keys
	patientAlone bool // no value but that of Patient ID, and of one Study Instance UID: every other filter is applied here
}

// plainerForms are the forms for a PACS that refuses a C-FIND with every key and filter. Which of them it refuses is not known.
var plainerForms = [...]form{
	{requiredKeys: true},
	{patientAlone: true},
	{requiredKeys: true, patientAlone: true},
}

// keys builds identifiers. Elements that never change are built once; encoding reads an Element and does not change it.
type keys struct {
	study    []*dataset.Element // of a C-FIND at STUDY level, every key universal
	required []*dataset.Element // the same, without optional keys
	series   []*dataset.Element // of a C-FIND at SERIES level, every key universal
	level    *dataset.Element   // STUDY
	charset  *dataset.Element
}

func newKeys() *keys {
	return &keys{
		study:    universalKeys(LevelStudy, func(a *Attribute) bool { return a.Level != LevelSeries }),
		required: universalKeys(LevelStudy, func(a *Attribute) bool { return a.Level != LevelSeries && a.Key != Optional }),
		series: universalKeys(LevelSeries, func(a *Attribute) bool {
			return a.Level == LevelSeries || a.Tag == dataset.StudyInstanceUID
		}),
		level:   dataset.Text(dataset.QueryRetrieveLevel, string(LevelStudy)),
		charset: utf8CharacterSet(),
	}
}

func utf8CharacterSet() *dataset.Element {
	return dataset.Text(dataset.SpecificCharacterSet, "ISO_IR 192")
}

// universalKeys returns the keys of a C-FIND at a level: the chosen attributes of the table without a value, in the order of
// tags. Each identifier has the character set ISO_IR 192, even if its text is all ASCII: DCMTK's archives convert their
// answers to the character set of the request and silently damage text that does not fit.
func universalKeys(level Level, chosen func(*Attribute) bool) []*dataset.Element {
	elements := []*dataset.Element{utf8CharacterSet(), dataset.Text(dataset.QueryRetrieveLevel, string(level))}
	for i := range attributes {
		if a := &attributes[i]; chosen(a) {
			elements = append(elements, dataset.Key(a.Tag))
		}
	}
	slices.SortFunc(elements, func(a, b *dataset.Element) int { return compareTags(a.Tag, b.Tag) })
	return elements
}

// withValues returns the keys with the values of some of them in place of universal matching. A value without a key of its own
// is added.
func withValues(universal []*dataset.Element, values ...*dataset.Element) *dataset.Dataset {
	elements := slices.Clone(universal)
	for _, value := range values {
		i, found := slices.BinarySearchFunc(elements, value, func(e, v *dataset.Element) int { return compareTags(e.Tag, v.Tag) })
		if found {
			elements[i] = value
		} else {
			elements = slices.Insert(elements, i, value)
		}
	}
	return &dataset.Dataset{Elements: elements}
}

// forStudies returns the identifier of the C-FIND at STUDY level. studyInstanceUID is "" for any study: a list of UIDs is never
// sent, because some PACS compare it literally and others refuse it. Modalities in Study never gets a value either: PACS
// disagree about several values, and even about one (PS3.4 section C.2.2.2.8).
func (k *keys) forStudies(p *plan, f form, studyInstanceUID string) *dataset.Dataset {
	universal := k.study
	if f.requiredKeys {
		universal = k.required
	}
	values := make([]*dataset.Element, 0, 4)
	if !p.anyPatient() {
		values = append(values, dataset.Text(dataset.PatientID, p.patientID))
	}
	if studyInstanceUID != "" {
		values = append(values, dataset.Text(dataset.StudyInstanceUID, studyInstanceUID))
	}
	if !f.patientAlone {
		if r := p.dateRange(); r != "" {
			values = append(values, dataset.Text(dataset.StudyDate, r))
		}
		if p.sendsAccession() {
			values = append(values, dataset.Text(dataset.AccessionNumber, p.accession))
		}
	}
	return withValues(universal, values...)
}

// forSeries returns the identifier of the C-FIND that asks for the modality of each series of a study.
func (k *keys) forSeries(m dicomnet.Model, p *plan, studyInstanceUID string) *dataset.Dataset {
	values := []*dataset.Element{dataset.Text(dataset.StudyInstanceUID, studyInstanceUID)}
	if m == dicomnet.PatientRoot {
		values = append(values, dataset.Text(dataset.PatientID, p.patientID))
	}
	return withValues(k.series, values...)
}

// forMove returns the identifier of a C-MOVE: the level and its unique keys alone (PS3.4 section C.4.2.1.4). Patient Root has
// the Patient ID as the unique key above the study.
func (k *keys) forMove(m dicomnet.Model, s *Study) *dataset.Dataset {
	elements := []*dataset.Element{k.level, dataset.Text(dataset.StudyInstanceUID, s.StudyInstanceUID)}
	if m == dicomnet.PatientRoot {
		elements = slices.Insert(elements, 1, dataset.Text(dataset.PatientID, s.PatientID))
		if !isASCII(s.PatientID) {
			elements = slices.Insert(elements, 0, k.charset)
		}
	}
	return &dataset.Dataset{Elements: elements}
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// sendsValues reports whether a C-FIND has values beside that of Patient ID unless its form says otherwise.
func (p *plan) sendsValues() bool { return p.dated() || p.sendsAccession() || len(p.uids) == 1 }

// maxAccession is the length that SH allows. Archives hold longer Accession Numbers, but not every PACS accepts one as a key.
const maxAccession = 16

func (p *plan) sendsAccession() bool {
	return p.accession != "" && utf8.RuneCountInString(p.accession) <= maxAccession
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
