package qr

import (
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/qr/match"
)

// SearchAttribute is one row of the table of attributes that a [Search] knows: those of a study, of its series and of its
// instances. Attributes of the patient are at STUDY level, as in the Study Root model (PS3.4 section C.6.2).
type SearchAttribute struct {
	Path    match.Path
	VR      string
	Keyword string
	Level   Level
	Key     KeyType // at its level; the standard defines no key of a search beyond these
	// Default reports a return attribute of PS3.18 section 10.6.3, which every search at the level asks for. The others are asked
	// for if the caller includes them or all.
	Default bool
}

// SearchAttributes returns the rows of a level: LevelStudy, LevelSeries or LevelImage. The caller must not change them.
func SearchAttributes(level Level) []SearchAttribute { return searchLevels[level].attributes }

// LevelOf returns the level of an attribute, LevelStudy for one of the patient. It reports false if the table does not have the
// attribute, or has it at several levels.
func LevelOf(t dataset.Tag) (Level, bool) {
	level, ok := attributeLevels[t]
	return level, ok && level != ""
}

// searchLevel is what a search needs to know about one level.
type searchLevel struct {
	attributes    []SearchAttribute
	unique        dataset.Tag
	defaults, all asked
}

var searchLevels = map[Level]*searchLevel{
	LevelStudy:  newSearchLevel(LevelStudy, dataset.StudyInstanceUID),
	LevelSeries: newSearchLevel(LevelSeries, dataset.SeriesInstanceUID),
	LevelImage:  newSearchLevel(LevelImage, sopInstanceUID),
}

func newSearchLevel(level Level, unique dataset.Tag) *searchLevel {
	attributes := attributesOf(level)
	return &searchLevel{attributes, unique, askedFor(attributes, false), askedFor(attributes, true)}
}

func attributesOf(level Level) []SearchAttribute {
	var list []SearchAttribute
	for i := range searchAttributes {
		if searchAttributes[i].Level == level {
			list = append(list, searchAttributes[i])
		}
	}
	return list
}

// attributeLevels maps the first tag of each path to its level; "" stands for several.
var attributeLevels = func() map[dataset.Tag]Level {
	levels := make(map[dataset.Tag]Level, len(searchAttributes))
	for i := range searchAttributes {
		a := &searchAttributes[i]
		if level, seen := levels[a.Path[0]]; seen && level != a.Level {
			levels[a.Path[0]] = ""
			continue
		}
		levels[a.Path[0]] = a.Level
	}
	return levels
}()

// tags returns a path of tags, each written as one number.
func tags(numbers ...uint32) match.Path {
	p := make(match.Path, 0, len(numbers))
	for _, n := range numbers {
		p = append(p, dataset.Tag{Group: uint16(n >> 16), Element: uint16(n)})
	}
	return p
}

// The tags of the table that code needs.
var (
	retrieveURL            = dataset.Tag{Group: 0x0008, Element: 0x1190}
	sopInstanceUID         = dataset.Tag{Group: 0x0008, Element: 0x0018}
	seriesNumber           = dataset.Tag{Group: 0x0020, Element: 0x0011}
	instanceNumber         = dataset.Tag{Group: 0x0020, Element: 0x0013}
	studyRelatedSeries     = dataset.Tag{Group: 0x0020, Element: 0x1206}
	studyRelatedInstances  = dataset.Tag{Group: 0x0020, Element: 0x1208}
	seriesRelatedInstances = dataset.Tag{Group: 0x0020, Element: 0x1209}
)

// searchAttributes are in the order of levels and tags.
var searchAttributes = []SearchAttribute{
	{tags(0x00080020), "DA", "StudyDate", LevelStudy, Required, true},
	{tags(0x00080030), "TM", "StudyTime", LevelStudy, Required, true},
	{tags(0x00080050), "SH", "AccessionNumber", LevelStudy, Required, true},
	{tags(0x00080056), "CS", "InstanceAvailability", LevelStudy, Optional, true},
	{tags(0x00080061), "CS", "ModalitiesInStudy", LevelStudy, Optional, true},
	{tags(0x00080062), "UI", "SOPClassesInStudy", LevelStudy, Optional, false},
	{tags(0x00080080), "LO", "InstitutionName", LevelStudy, Optional, false},
	{tags(0x00080090), "PN", "ReferringPhysicianName", LevelStudy, Optional, true},
	{tags(0x00080201), "SH", "TimezoneOffsetFromUTC", LevelStudy, Optional, true},
	{tags(0x00081030), "LO", "StudyDescription", LevelStudy, Optional, false},
	{tags(0x00081032), "SQ", "ProcedureCodeSequence", LevelStudy, Optional, false},
	{tags(0x00081050), "PN", "PerformingPhysicianName", LevelStudy, Optional, false},
	{tags(0x00081060), "PN", "NameOfPhysiciansReadingStudy", LevelStudy, Optional, false},
	{tags(0x00081080), "LO", "AdmittingDiagnosesDescription", LevelStudy, Optional, false},
	{tags(0x00100010), "PN", "PatientName", LevelStudy, Required, true},
	{tags(0x00100020), "LO", "PatientID", LevelStudy, Required, true},
	{tags(0x00100021), "LO", "IssuerOfPatientID", LevelStudy, Optional, false},
	{tags(0x00100024), "SQ", "IssuerOfPatientIDQualifiersSequence", LevelStudy, Optional, false},
	{tags(0x00100030), "DA", "PatientBirthDate", LevelStudy, Optional, true},
	{tags(0x00100032), "TM", "PatientBirthTime", LevelStudy, Optional, false},
	{tags(0x00100040), "CS", "PatientSex", LevelStudy, Optional, true},
	{tags(0x00101000), "LO", "OtherPatientIDs", LevelStudy, Optional, false},
	{tags(0x00101001), "PN", "OtherPatientNames", LevelStudy, Optional, false},
	{tags(0x00101010), "AS", "PatientAge", LevelStudy, Optional, false},
	{tags(0x00101020), "DS", "PatientSize", LevelStudy, Optional, false},
	{tags(0x00101030), "DS", "PatientWeight", LevelStudy, Optional, false},
	{tags(0x00102160), "SH", "EthnicGroup", LevelStudy, Optional, false},
	{tags(0x00102180), "SH", "Occupation", LevelStudy, Optional, false},
	{tags(0x001021B0), "LT", "AdditionalPatientHistory", LevelStudy, Optional, false},
	{tags(0x00104000), "LT", "PatientComments", LevelStudy, Optional, false},
	{tags(0x0020000D), "UI", "StudyInstanceUID", LevelStudy, Unique, true},
	{tags(0x00200010), "SH", "StudyID", LevelStudy, Required, true},
	{tags(0x00201200), "IS", "NumberOfPatientRelatedStudies", LevelStudy, Optional, false},
	{tags(0x00201202), "IS", "NumberOfPatientRelatedSeries", LevelStudy, Optional, false},
	{tags(0x00201204), "IS", "NumberOfPatientRelatedInstances", LevelStudy, Optional, false},
	{tags(0x00201206), "IS", "NumberOfStudyRelatedSeries", LevelStudy, Optional, true},
	{tags(0x00201208), "IS", "NumberOfStudyRelatedInstances", LevelStudy, Optional, true},

	{tags(0x00080021), "DA", "SeriesDate", LevelSeries, Optional, false},
	{tags(0x00080031), "TM", "SeriesTime", LevelSeries, Optional, false},
	{tags(0x00080060), "CS", "Modality", LevelSeries, Required, true},
	{tags(0x00080070), "LO", "Manufacturer", LevelSeries, Optional, false},
	{tags(0x00080201), "SH", "TimezoneOffsetFromUTC", LevelSeries, Optional, true},
	{tags(0x00081010), "SH", "StationName", LevelSeries, Optional, false},
	{tags(0x0008103E), "LO", "SeriesDescription", LevelSeries, Optional, true},
	{tags(0x00081040), "LO", "InstitutionalDepartmentName", LevelSeries, Optional, false},
	{tags(0x00081070), "PN", "OperatorsName", LevelSeries, Optional, false},
	{tags(0x00081090), "LO", "ManufacturerModelName", LevelSeries, Optional, false},
	{tags(0x00180015), "CS", "BodyPartExamined", LevelSeries, Optional, false},
	{tags(0x00181030), "LO", "ProtocolName", LevelSeries, Optional, false},
	{tags(0x00185100), "CS", "PatientPosition", LevelSeries, Optional, false},
	{tags(0x0020000E), "UI", "SeriesInstanceUID", LevelSeries, Unique, true},
	{tags(0x00200011), "IS", "SeriesNumber", LevelSeries, Required, true},
	{tags(0x00200052), "UI", "FrameOfReferenceUID", LevelSeries, Optional, false},
	{tags(0x00200060), "CS", "Laterality", LevelSeries, Optional, false},
	{tags(0x00201209), "IS", "NumberOfSeriesRelatedInstances", LevelSeries, Optional, true},
	{tags(0x00400244), "DA", "PerformedProcedureStepStartDate", LevelSeries, Optional, true},
	{tags(0x00400245), "TM", "PerformedProcedureStepStartTime", LevelSeries, Optional, true},
	{tags(0x00400253), "SH", "PerformedProcedureStepID", LevelSeries, Optional, false},
	{tags(0x00400254), "LO", "PerformedProcedureStepDescription", LevelSeries, Optional, false},
	{tags(0x00400275, 0x00400009), "SH", "ScheduledProcedureStepID", LevelSeries, Optional, true},
	{tags(0x00400275, 0x00401001), "SH", "RequestedProcedureID", LevelSeries, Optional, true},

	{tags(0x00080008), "CS", "ImageType", LevelImage, Optional, false},
	{tags(0x00080016), "UI", "SOPClassUID", LevelImage, Optional, true},
	{tags(0x00080018), "UI", "SOPInstanceUID", LevelImage, Unique, true},
	{tags(0x0008001A), "UI", "RelatedGeneralSOPClassUID", LevelImage, Optional, false},
	{tags(0x00080022), "DA", "AcquisitionDate", LevelImage, Optional, false},
	{tags(0x00080023), "DA", "ContentDate", LevelImage, Optional, false},
	{tags(0x0008002A), "DT", "AcquisitionDateTime", LevelImage, Optional, false},
	{tags(0x00080032), "TM", "AcquisitionTime", LevelImage, Optional, false},
	{tags(0x00080033), "TM", "ContentTime", LevelImage, Optional, false},
	{tags(0x00080056), "CS", "InstanceAvailability", LevelImage, Optional, true},
	{tags(0x00080201), "SH", "TimezoneOffsetFromUTC", LevelImage, Optional, true},
	{tags(0x00083002), "UI", "AvailableTransferSyntaxUID", LevelImage, Optional, false},
	{tags(0x00200012), "IS", "AcquisitionNumber", LevelImage, Optional, false},
	{tags(0x00200013), "IS", "InstanceNumber", LevelImage, Required, true},
	{tags(0x00280002), "US", "SamplesPerPixel", LevelImage, Optional, false},
	{tags(0x00280004), "CS", "PhotometricInterpretation", LevelImage, Optional, false},
	{tags(0x00280008), "IS", "NumberOfFrames", LevelImage, Optional, true},
	{tags(0x00280010), "US", "Rows", LevelImage, Optional, true},
	{tags(0x00280011), "US", "Columns", LevelImage, Optional, true},
	{tags(0x00280100), "US", "BitsAllocated", LevelImage, Optional, true},
	{tags(0x0040A043), "SQ", "ConceptNameCodeSequence", LevelImage, Optional, false},
	{tags(0x0040A491), "CS", "CompletionFlag", LevelImage, Optional, false},
	{tags(0x0040A493), "CS", "VerificationFlag", LevelImage, Optional, false},
	{tags(0x00700080), "CS", "ContentLabel", LevelImage, Optional, false},
	{tags(0x00700081), "LO", "ContentDescription", LevelImage, Optional, false},
}
