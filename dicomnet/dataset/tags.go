package dataset

import (
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// Names for types of github.com/suyashkumar/dicom, so that other packages do not depend on it.
type (
	// Tag is the tag of an element.
	Tag = tag.Tag
	// Element is one element of a Dataset. [Text], [Integers] and [Sequence] make elements.
	Element = dicom.Element
	// Dataset is a data set to encode, or one that [Set.Dataset] returns.
	Dataset = dicom.Dataset
)

// The tags that the gateway uses (PS3.6 section 6). They must not be changed.
var (
	SpecificCharacterSet                = tag.SpecificCharacterSet
	StudyDate                           = tag.StudyDate
	StudyTime                           = tag.StudyTime
	AccessionNumber                     = tag.AccessionNumber
	QueryRetrieveLevel                  = tag.QueryRetrieveLevel
	FailedSOPInstanceUIDList            = tag.FailedSOPInstanceUIDList
	Modality                            = tag.Modality
	ModalitiesInStudy                   = tag.ModalitiesInStudy
	InstitutionName                     = tag.InstitutionName
	ReferringPhysicianName              = tag.ReferringPhysicianName
	StudyDescription                    = tag.StudyDescription
	PerformingPhysicianName             = tag.PerformingPhysicianName
	PatientName                         = tag.PatientName
	PatientID                           = tag.PatientID
	IssuerOfPatientID                   = tag.IssuerOfPatientID
	IssuerOfPatientIDQualifiersSequence = tag.IssuerOfPatientIDQualifiersSequence
	PatientBirthDate                    = tag.PatientBirthDate
	StudyInstanceUID                    = tag.StudyInstanceUID
	SeriesInstanceUID                   = tag.SeriesInstanceUID
	UniversalEntityID                   = tag.UniversalEntityID
)

// LookupKeyword returns the tag of the attribute with a keyword of PS3.6, such as PatientID.
func LookupKeyword(keyword string) (Tag, bool) {
	info, err := tag.FindByKeyword(keyword)
	return info.Tag, err == nil
}

// Keyword returns the keyword of an attribute in PS3.6, such as PatientID; "" if the dictionary
// does not have the tag.
func Keyword(t Tag) string {
	info, err := tag.Find(t)
	if err != nil {
		return ""
	}
	return info.Keyword
}

// VM returns the value multiplicity of an attribute in PS3.6, such as 1 or 1-n; "" if the dictionary does not have the tag.
func VM(t Tag) string {
	info, err := tag.Find(t)
	if err != nil {
		return ""
	}
	return info.VM
}
