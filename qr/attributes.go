package qr

import (
	"cmp"
	"slices"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Level is a level of the Query/Retrieve information models (PS3.4 section C.6): the value of Query/Retrieve Level.
type Level string

// The levels, from the root down.
const (
	LevelPatient Level = "PATIENT"
	LevelStudy   Level = "STUDY"
	LevelSeries  Level = "SERIES"
	LevelImage   Level = "IMAGE"
)

// Multiplicity is the value multiplicity of an attribute (PS3.6).
type Multiplicity string

// The multiplicities in use.
const (
	Single Multiplicity = "1"
	Many   Multiplicity = "1-n"
)

// KeyType is the type of a key at its level (PS3.4 sections C.6.1 and C.6.2).
type KeyType string

// The types of keys.
const (
	Unique   KeyType = "U"
	Required KeyType = "R"
	Optional KeyType = "O"
)

// Attribute is one row of the table of attributes. The keys of a C-FIND, the decoding of a match, the merging of duplicates
// and the members of an answer follow from it; a test compares it with the dictionary of PS3.6.
type Attribute struct {
	Tag     dataset.Tag
	VR      string
	VM      Multiplicity
	Keyword string
	JSON    string // member of an answer; "" if answers do not have it
	Level   Level
	Key     KeyType

	// Text returns the field of a Study that holds the value, the first one if there are several; nil if a Study has no such
	// field.
	Text func(*Study) *string
	// List returns the field of a Study that holds all values; nil if a Study has no such field.
	List func(*Study) *[]string

	read  func(string) string // converts an old form of the value to the current one; nil: no conversion
	merge merging
}

// merging says what a second match of the same study adds.
type merging int

const (
	fillIn   merging = iota // its value, if the first match has none
	identity                // nothing: matches of one study agree in it
	dated                   // date and time, together: see candidate.merge
	union                   // the values that the first match does not have
)

// attributes is in the order of the members of an answer.
var attributes = []Attribute{
	{
		dataset.PatientName, "PN", Single, "PatientName", "PatientName", LevelPatient, Required,
		func(s *Study) *string { return &s.PatientName }, nil, nil, fillIn,
	},
	{
		dataset.PatientID, "LO", Single, "PatientID", "PatientID", LevelPatient, Unique,
		func(s *Study) *string { return &s.PatientID }, nil, nil, identity,
	},
	{
		dataset.PatientBirthDate, "DA", Single, "PatientBirthDate", "DateOfBirth", LevelPatient, Optional,
		func(s *Study) *string { return &s.DateOfBirth }, nil, normalDate, fillIn,
	},
	{
		dataset.StudyInstanceUID, "UI", Single, "StudyInstanceUID", "StudyInstanceUID", LevelStudy, Unique,
		func(s *Study) *string { return &s.StudyInstanceUID }, nil, nil, identity,
	},
	{
		dataset.StudyDescription, "LO", Single, "StudyDescription", "StudyDescription", LevelStudy, Optional,
		func(s *Study) *string { return &s.StudyDescription }, nil, nil, fillIn,
	},
	{
		dataset.ModalitiesInStudy, "CS", Many, "ModalitiesInStudy", "ModalitiesInStudy", LevelStudy, Optional,
		nil, func(s *Study) *[]string { return &s.ModalitiesInStudy }, nil, union,
	},
	{
		dataset.StudyDate, "DA", Single, "StudyDate", "StudyDate", LevelStudy, Required,
		func(s *Study) *string { return &s.StudyDate }, nil, normalDate, dated,
	},
	{
		dataset.StudyTime, "TM", Single, "StudyTime", "StudyTime", LevelStudy, Required,
		func(s *Study) *string { return &s.StudyTime }, nil, normalTime, dated,
	},
	{
		dataset.AccessionNumber, "SH", Single, "AccessionNumber", "AccessionNumber", LevelStudy, Required,
		func(s *Study) *string { return &s.AccessionNumber }, nil, nil, fillIn,
	},
	{
		dataset.ReferringPhysicianName, "PN", Single, "ReferringPhysicianName", "ReferringPhysicianName", LevelStudy, Optional,
		func(s *Study) *string { return &s.ReferringPhysicianName }, nil, nil, fillIn,
	},
	{
		dataset.PerformingPhysicianName, "PN", Many, "PerformingPhysicianName", "PerformingPhysicianName", LevelStudy, Optional,
		func(s *Study) *string { return &s.PerformingPhysicianName }, nil, nil, fillIn,
	},
	{
		dataset.InstitutionName, "LO", Single, "InstitutionName", "InstitutionName", LevelStudy, Optional,
		func(s *Study) *string { return &s.InstitutionName }, nil, nil, fillIn,
	},
	{dataset.IssuerOfPatientID, "LO", Single, "IssuerOfPatientID", "", LevelPatient, Optional, nil, nil, nil, identity},
	{
		dataset.IssuerOfPatientIDQualifiersSequence, "SQ", Single, "IssuerOfPatientIDQualifiersSequence", "", LevelPatient, Optional,
		nil, nil, nil, identity,
	},
	{dataset.Modality, "CS", Single, "Modality", "", LevelSeries, Required, nil, nil, nil, fillIn},
	{dataset.SeriesInstanceUID, "UI", Single, "SeriesInstanceUID", "", LevelSeries, Unique, nil, nil, nil, identity},
}

// StudyAttributes returns the attributes that an answer has for each study, in the order of its members. The caller must not
// change them.
func StudyAttributes() []Attribute {
	return slices.DeleteFunc(slices.Clone(attributes), func(a Attribute) bool { return a.JSON == "" })
}

// studyTexts are the attributes that decoding reads into a text field of a Study, in the order of tags, in which they are
// found fastest. The identity of a study is read before.
var studyTexts = slices.DeleteFunc(byTag(), func(a Attribute) bool { return a.Text == nil || a.merge == identity })

var studyTextTags = tagsOfAttributes(studyTexts)

func tagsOfAttributes(list []Attribute) []dataset.Tag {
	tags := make([]dataset.Tag, len(list))
	for i := range list {
		tags[i] = list[i].Tag
	}
	return tags
}

// byTag returns the attributes in the order of tags, which is their order in a data set.
func byTag() []Attribute {
	sorted := slices.Clone(attributes)
	slices.SortFunc(sorted, func(a, b Attribute) int { return compareTags(a.Tag, b.Tag) })
	return sorted
}

func compareTags(a, b dataset.Tag) int {
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Element, b.Element))
}
