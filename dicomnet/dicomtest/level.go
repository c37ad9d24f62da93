package dicomtest

import "github.com/suyashkumar/dicom/pkg/tag"

// level is a Query/Retrieve level; a lower level has a larger value.
type level int

const (
	levelPatient level = iota
	levelStudy
	levelSeries
	levelImage
)

var levelNames = map[string]level{
	"PATIENT": levelPatient, "STUDY": levelStudy, "SERIES": levelSeries, "IMAGE": levelImage,
}

// uniqueKey is the unique key of each level (PS3.4 section C.6).
var uniqueKey = [...]tag.Tag{
	levelPatient: tag.PatientID, levelStudy: tag.StudyInstanceUID,
	levelSeries: tag.SeriesInstanceUID, levelImage: tag.SOPInstanceUID,
}

// levelOf returns the level of an attribute in the information models (PS3.4 tables C.6-1 to C.6-5), IMAGE for attributes that
// they do not list. Institution Name and Performing Physician's Name, attributes of the series, are at STUDY level, as in many
// archives.
func levelOf(t tag.Tag) level {
	if l, ok := levels[t]; ok {
		return l
	}
	return levelImage
}

var levels = map[tag.Tag]level{
	tag.PatientName: levelPatient, tag.PatientID: levelPatient, tag.IssuerOfPatientID: levelPatient,
	tag.PatientBirthDate: levelPatient, tag.PatientBirthTime: levelPatient, tag.PatientSex: levelPatient,
	tag.OtherPatientIDs: levelPatient, tag.OtherPatientNames: levelPatient, tag.EthnicGroup: levelPatient,
	tag.PatientComments: levelPatient, tag.SpecificCharacterSet: levelPatient, tag.OtherPatientIDsSequence: levelPatient,
	tag.NumberOfPatientRelatedStudies: levelPatient, tag.NumberOfPatientRelatedSeries: levelPatient,
	tag.NumberOfPatientRelatedInstances: levelPatient,

	tag.StudyInstanceUID: levelStudy, tag.StudyDate: levelStudy, tag.StudyTime: levelStudy,
	tag.AccessionNumber: levelStudy, tag.StudyID: levelStudy, tag.StudyDescription: levelStudy,
	tag.ReferringPhysicianName: levelStudy, tag.NameOfPhysiciansReadingStudy: levelStudy,
	tag.PatientAge: levelStudy, tag.PatientSize: levelStudy, tag.PatientWeight: levelStudy,
	tag.ModalitiesInStudy: levelStudy, tag.SOPClassesInStudy: levelStudy,
	tag.NumberOfStudyRelatedSeries: levelStudy, tag.NumberOfStudyRelatedInstances: levelStudy,
	tag.InstitutionName: levelStudy, tag.PerformingPhysicianName: levelStudy, tag.ProcedureCodeSequence: levelStudy,

	tag.SeriesInstanceUID: levelSeries, tag.Modality: levelSeries, tag.SeriesNumber: levelSeries,
	tag.SeriesDescription: levelSeries, tag.SeriesDate: levelSeries, tag.SeriesTime: levelSeries,
	tag.BodyPartExamined: levelSeries, tag.ProtocolName: levelSeries, tag.Laterality: levelSeries,
	tag.Manufacturer: levelSeries, tag.StationName: levelSeries,
	tag.NumberOfSeriesRelatedInstances: levelSeries, tag.RequestAttributesSequence: levelSeries,
	tag.PerformedProcedureStepStartDate: levelSeries, tag.PerformedProcedureStepStartTime: levelSeries,
}
