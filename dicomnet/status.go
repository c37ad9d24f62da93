package dicomnet

import "fmt"

// Status is a DIMSE status code (PS3.7 annex C).
type Status uint16

// Statuses that this package compares with or sends.
const (
	StatusSuccess              Status = 0x0000
	StatusPending              Status = 0xFF00
	StatusPendingWarning       Status = 0xFF01
	StatusCancel               Status = 0xFE00
	StatusSOPClassNotSupported Status = 0x0122
	StatusProcessingFailure    Status = 0x0110
	StatusDuplicateInstance    Status = 0x0111
	StatusInvalidInstance      Status = 0x0117
	StatusNotAuthorized        Status = 0x0124
	StatusUnrecognizedOp       Status = 0x0211
	StatusOutOfResources       Status = 0xA700
	StatusCannotPerform        Status = 0xA702
	StatusMoveDestination      Status = 0xA801
	StatusIdentifierMismatch   Status = 0xA900
	StatusWarning              Status = 0xB000
	StatusUnableToProcess      Status = 0xC000
)

// StatusClass is the class of a status. All classes but ClassPending are final.
type StatusClass int

// Classes of PS3.7 section C.1. ClassUnknown is for codes that no class covers; they are final and
// count as a failure.
const (
	ClassSuccess StatusClass = iota
	ClassPending
	ClassCancel
	ClassWarning
	ClassFailure
	ClassUnknown
)

// Class returns the class by the ranges of PS3.7 annex C and PS3.4 tables C.4-1 and C.4-2.
func (s Status) Class() StatusClass {
	switch {
	case s == StatusSuccess:
		return ClassSuccess
	case s == StatusPending || s == StatusPendingWarning:
		return ClassPending
	case s == StatusCancel:
		return ClassCancel
	case s == 0x0001 || s == 0x0107 || s == 0x0116 || s>>12 == 0xB:
		return ClassWarning
	case s>>8 == 0x01 || s>>8 == 0x02 || s>>12 == 0xA || s>>12 == 0xC:
		return ClassFailure
	}
	return ClassUnknown
}

// Pending reports whether more responses follow.
func (s Status) Pending() bool { return s.Class() == ClassPending }

// String returns the code as four upper-case hexadecimal digits.
func (s Status) String() string { return fmt.Sprintf("%04X", uint16(s)) }

// Meaning returns the standard's meaning of the code for the operation op. If the standard has
// none, it describes the class.
func (s Status) Meaning(op Step) string {
	if op == StepMove || op == StepGet {
		if text, ok := moveMeanings[s]; ok {
			return text
		}
	}
	if op == StepFind {
		if text, ok := findMeanings[s]; ok {
			return text
		}
	}
	if text, ok := generalMeanings[s]; ok {
		return text
	}
	switch s.Class() {
	case ClassWarning:
		return "warning"
	case ClassFailure:
		if s>>12 == 0xC {
			return "unable to process"
		}
		if s>>12 == 0xA {
			return "refused: out of resources or identifier not acceptable"
		}
		return "failure"
	}
	return "unknown status"
}

var generalMeanings = map[Status]string{
	0x0000: "success",
	0x0001: "requested optional attributes are not supported",
	0x0105: "no such attribute",
	0x0106: "invalid attribute value",
	0x0107: "attribute list error",
	0x0110: "processing failure",
	0x0111: "duplicate SOP instance",
	0x0112: "no such SOP instance",
	0x0113: "no such event type",
	0x0114: "no such argument",
	0x0115: "invalid argument value",
	0x0116: "attribute value out of range",
	0x0117: "invalid SOP instance",
	0x0118: "no such SOP class",
	0x0119: "class-instance conflict",
	0x0120: "missing attribute",
	0x0121: "missing attribute value",
	0x0122: "refused: SOP class not supported",
	0x0123: "no such action type",
	0x0124: "refused: not authorized",
	0x0210: "duplicate invocation",
	0x0211: "unrecognized operation",
	0x0212: "mistyped argument",
	0x0213: "resource limitation",
	0xFE00: "cancelled",
	0xFF00: "pending",
	0xFF01: "pending, optional keys are not supported",
}

var findMeanings = map[Status]string{
	0xA700: "refused: out of resources",
	0xA900: "identifier does not match SOP class",
	0xFE00: "matching terminated due to cancel request",
}

var moveMeanings = map[Status]string{
	0xA701: "refused: out of resources, unable to calculate number of matches",
	0xA702: "refused: out of resources, unable to perform sub-operations",
	0xA801: "refused: move destination unknown",
	0xA900: "identifier does not match SOP class",
	0xAA00: "none of the frames requested were found in the SOP instance",
	0xAA01: "unable to create new object for this SOP class",
	0xAA02: "unable to extract frames",
	0xAA03: "time-based request received for a non-time-based original SOP instance",
	0xAA04: "invalid request",
	0xB000: "sub-operations complete, one or more failures or warnings",
	0xFE00: "sub-operations terminated due to cancel indication",
}

// StatusDetail holds the elements that describe a status in a response (PS3.7 annex C).
// ErrorComment is sanitised free text of the peer: printable ASCII only. It may still contain
// patient data and belongs in debug logs only.
type StatusDetail struct {
	ErrorComment      string
	ErrorID           uint16
	OffendingElements []uint32
}
