// Package qr is what a query and a retrieve are: which keys to send, what to
// believe of the answer, in which order, and what to report. It knows DICOM
// associations through dicomnet and nothing of HTTP. (stub of the face)
package qr

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// Peer is the PACS to talk to and the name to call under.
type Peer struct {
	Host                          string // IPv4, IPv6 address (no brackets) or host name
	Port                          int
	CalledAETitle, CallingAETitle string
	TLS                           bool
}

// Filter is which studies of one patient are wanted. Zero fields do not restrict.
type Filter struct {
	PatientID                  string // required
	Modalities                 []string
	MaxYearsOld                int
	MaxResults                 int
	StudyInstanceUIDs          []string
	AccessionNumber            string
	StudyDateFrom, StudyDateTo string // DICOM DA form, 20240131
}

// Study is one match, all text UTF-8, missing attributes "" (or an empty slice, never nil).
type Study struct {
	PatientName, PatientID, DateOfBirth, StudyInstanceUID, StudyDescription string
	ModalitiesInStudy                                                       []string
	StudyDate, StudyTime, AccessionNumber                                   string
	ReferringPhysicianName, PerformingPhysicianName, InstitutionName        string
}

// WarningCode is stable and machine-readable.
type WarningCode string

// The warnings.
const (
	WarningOtherPatientDropped     WarningCode = "other_patient_dropped"
	WarningNoStudyUIDDropped       WarningCode = "no_study_instance_uid_dropped"
	WarningOptionalKeysUnsupported WarningCode = "optional_keys_unsupported"
	WarningCharacterSetAssumed     WarningCode = "character_set_assumed"
	WarningCharacterSetUnknown     WarningCode = "character_set_unknown"
	WarningTextUndecodable         WarningCode = "text_undecodable"
	WarningValueMalformed          WarningCode = "value_malformed"
	WarningMatchUndecodable        WarningCode = "match_undecodable"
	WarningDuplicatesMerged        WarningCode = "duplicates_merged"
	WarningModalitiesUnknown       WarningCode = "modalities_unknown"
	WarningUndatedDropped          WarningCode = "undated_dropped"
)

// Warning is what a careful reader should know of an answer; Message holds no patient data.
type Warning struct {
	Code    WarningCode
	Message string
}

// QueryResult is a complete answer; Studies may be empty.
type QueryResult struct {
	Studies  []Study
	Warnings []Warning
}

// RetrievalStatus is the outcome of one study.
type RetrievalStatus string

// The outcomes.
const (
	RetrievalOK           RetrievalStatus = "ok"
	RetrievalPartial      RetrievalStatus = "partial"
	RetrievalFailed       RetrievalStatus = "failed"
	RetrievalCancelled    RetrievalStatus = "cancelled"
	RetrievalNotAttempted RetrievalStatus = "not_attempted"
)

// Retrieval is the outcome of one study's C-MOVE.
type Retrieval struct {
	StudyInstanceUID           string
	Status                     RetrievalStatus
	DICOMStatus                string // four hex digits; "" where no final response came
	Completed, Failed, Warning *int   // nil where the PACS sent no counter
	FailedSOPInstanceUIDs      []string
}

// RetrieveResult is the outcome of a retrieve in which something was matched. Err is what made the
// first failed study fail (nil where all are ok), as a *dicomnet.OpError where the network was the cause.
type RetrieveResult struct {
	Studies    []Study
	Retrievals []Retrieval
	Warnings   []Warning
	Err        error
}

// Succeeded counts the studies that are ok; Moved reports whether anything at all was moved.
func (r *RetrieveResult) Succeeded() int { panic("stub") }

// Moved reports whether any sub-operation completed or any study is ok.
func (r *RetrieveResult) Moved() bool { panic("stub") }

// Progress follows a retrieve; nil functions are skipped. They run on the
// retrieving goroutine: one that blocks holds the operation up.
type Progress struct {
	Matched   func(studies []Study, warnings []Warning)
	Moving    func(p SubOperations)
	Retrieved func(r Retrieval)
}

// SubOperations is one pending C-MOVE response.
type SubOperations struct {
	StudyInstanceUID                      string
	Index, Total                          int // of the studies, Index from 1
	Remaining, Completed, Failed, Warning *int
	CompletedTotal, FailedTotal           int // over all studies so far
}

// TooManyMatchesError is a PACS that sent more than Options.MaxMatches.
type TooManyMatchesError struct{ Max int }

func (e *TooManyMatchesError) Error() string { return "too many matches" }

// Options are the settings of a Gateway.
type Options struct {
	Timeouts         dicomnet.Timeouts
	OperationTimeout time.Duration // zero: none
	MaxMatches       int           // zero: 10000
	TLS              *tls.Config   // for peers with TLS set
	DialContext      func(ctx context.Context, network, address string) (net.Conn, error)
	Trace            *dicomnet.Trace
	Now              func() time.Time // nil: time.Now
}

// Gateway runs operations; safe for concurrent use.
type Gateway struct{}

// New makes a Gateway.
func New(o Options) *Gateway { panic("stub") }

// Query is C-FIND of the studies that f describes.
func (g *Gateway) Query(ctx context.Context, p Peer, f Filter) (*QueryResult, error) { panic("stub") }

// Retrieve is the query, then a C-MOVE to destination of each study found. An error means that nothing was
// attempted to be moved (the query failed); no match is a result without studies.
func (g *Gateway) Retrieve(ctx context.Context, p Peer, f Filter, destination string, progress Progress) (*RetrieveResult, error) {
	panic("stub")
}

// Wait blocks until the associations that are being released in the background are gone, or ctx is done.
func (g *Gateway) Wait(ctx context.Context) error { panic("stub") }
