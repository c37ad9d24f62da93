// Package audit makes the audit messages of DICOM PS3.15 section A.5 and writes each as one line of JSON. The names of elements
// and attributes are those of the schema in section A.5.1, and the codes are those of PS3.16 annex D.
package audit

import (
	"iter"
	"time"
)

// Record is an AuditMessage. CorrelationID is not a field of the standard; it identifies the log lines and the answer of the
// request.
//
// A long record is read more than once, by several goroutines and until the log has it, so what Objects yields must not change. An
// object and what it refers to are valid until the next one is asked for.
type Record struct {
	Event         Event            // EventIdentification
	Participants  []Participant    // ActiveParticipant
	Source        Source           // AuditSourceIdentification
	Objects       iter.Seq[Object] // ParticipantObjectIdentification; nil: none
	CorrelationID string           // correlation_id
}

// Code is a CodedValueType.
type Code struct {
	Code         string `json:"csd-code"`
	System       string `json:"codeSystemName,omitempty"`
	OriginalText string `json:"originalText,omitempty"`
}

// Event is an EventIdentification.
type Event struct {
	ID                 Code      `json:"EventID"`
	ActionCode         string    `json:"EventActionCode"`
	DateTime           time.Time `json:"EventDateTime"`
	OutcomeIndicator   Outcome   `json:"EventOutcomeIndicator"`
	TypeCodes          []Code    `json:"EventTypeCode,omitempty"`
	OutcomeDescription string    `json:"EventOutcomeDescription,omitempty"`
}

// Outcome says how an event ended (table A.5.2-1).
type Outcome string

// The outcomes.
const (
	Success        Outcome = "0"
	MinorFailure   Outcome = "4"
	SeriousFailure Outcome = "8"
)

// The actions in use (table A.5.2-1).
const (
	Create  = "C"
	Read    = "R"
	Update  = "U"
	Delete  = "D"
	Execute = "E"
)

// Participant is an ActiveParticipant.
type Participant struct {
	UserID            string          `json:"UserID"`
	AlternativeUserID string          `json:"AlternativeUserID,omitempty"`
	UserName          string          `json:"UserName,omitempty"`
	IsRequestor       bool            `json:"UserIsRequestor"`
	Roles             []Code          `json:"RoleIDCode,omitempty"`
	AccessPointID     string          `json:"NetworkAccessPointID,omitempty"`
	AccessPointType   AccessPointType `json:"NetworkAccessPointTypeCode,omitempty"`
}

// AccessPointType says what NetworkAccessPointID holds.
type AccessPointType string

// The kinds of network access points in use.
const (
	MachineName AccessPointType = "1"
	IPAddress   AccessPointType = "2"
)

// AETitles returns the AlternativeUserID of a DICOM application (table A.5.2-1).
func AETitles(title string) string { return "AETITLES=" + title }

// Source is an AuditSourceIdentification.
type Source struct {
	ID        string `json:"AuditSourceID"`
	TypeCodes []Code `json:"AuditSourceTypeCode"`
}

// ApplicationServer is the source type of a server process (table A.5.2-1).
var ApplicationServer = Code{Code: "4", OriginalText: "Application Server Process or Thread"}

// Object is a ParticipantObjectIdentification. Query is the data set of a query. JSON holds it, and the Value of a Detail, in
// base64, as the schema does.
type Object struct {
	ID           string       `json:"ParticipantObjectID"`
	TypeCode     string       `json:"ParticipantObjectTypeCode"`
	TypeCodeRole string       `json:"ParticipantObjectTypeCodeRole"`
	IDTypeCode   Code         `json:"ParticipantObjectIDTypeCode"`
	Name         string       `json:"ParticipantObjectName,omitempty"`
	Query        []byte       `json:"ParticipantObjectQuery,omitempty"`
	Details      []Detail     `json:"ParticipantObjectDetail,omitempty"`
	Description  *Description `json:"ParticipantObjectDescription,omitempty"`
}

// Detail is a ParticipantObjectDetail.
type Detail struct {
	Type  string `json:"type"`
	Value []byte `json:"value"`
}

// Description is a ParticipantObjectDescription.
type Description struct {
	Accessions []Accession `json:"Accession,omitempty"`
}

// Accession is an accession number of the study.
type Accession struct {
	Number string `json:"Number"`
}

// Types and roles of objects (table A.5.2-1).
const (
	Person       = "1"
	SystemObject = "2"
	RolePatient  = "1"
	RoleReport   = "3"
	RoleSecurity = "13"
	RoleJob      = "20"
)

// Types of details.
const (
	TransferSyntax   = "TransferSyntax"    // of the query, section A.5.3.10
	AlertDescription = "Alert Description" // section A.5.3.11
	OmittedAlerts    = "alerts_omitted"    // how many alerts before have no record
)

func dcm(code, text string) Code { return Code{Code: code, System: "DCM", OriginalText: text} }

// Events.
var (
	ApplicationActivity = dcm("110100", "Application Activity")
	BeginTransferring   = dcm("110102", "Begin Transferring DICOM Instances")
	TransferredEvent    = dcm("110104", "DICOM Instances Transferred")
	NetworkEntry        = dcm("110108", "Network Entry")
	OrderRecord         = dcm("110109", "Order Record")
	QueryEvent          = dcm("110112", "Query")
	SecurityAlert       = dcm("110113", "Security Alert")
)

// Types of events.
var (
	ApplicationStart   = dcm("110120", "Application Start")
	ApplicationStop    = dcm("110121", "Application Stop")
	Attach             = dcm("110124", "Attach")
	NodeAuthentication = dcm("110126", "Node Authentication")
	UseOfRestricted    = dcm("110132", "Use of Restricted Function")
	Verification       = Code{Code: "1.2.840.10008.1.1", System: "DCMUID", OriginalText: "Verification SOP Class"}
)

// Roles of participants.
var (
	RoleApplication = dcm("110150", "Application")
	RoleDestination = dcm("110152", "Destination Role ID")
	RoleSource      = dcm("110153", "Source Role ID")
)

// Types of the IDs of objects.
var (
	StudyInstanceUID = dcm("110180", "Study Instance UID")
	SOPClassUID      = dcm("110181", "SOP Class UID")
	NodeID           = dcm("110182", "Node ID")
	PatientNumber    = Code{Code: "2", System: "RFC-3881", OriginalText: "Patient Number"}
	URI              = Code{Code: "12", System: "RFC-3881", OriginalText: "URI"}
)
