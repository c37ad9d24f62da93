// Package qr holds the policy of a query and a retrieval: which keys to send, which matches to accept, how to order
// them, the outcome of each C-MOVE, and what to report. It opens associations through package pool, runs DIMSE operations
// with package dicomnet, and is independent of HTTP.
package qr

import (
	"fmt"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
)

// Peer is a PACS: its address, and the AE titles to use with it.
type Peer = pool.Peer

// Profile says what the C-FIND of a PACS supports.
type Profile = pool.Profile

// Filter selects studies of one patient. Zero fields do not restrict.
type Filter struct {
	PatientID string // required, unless AnyPatient is set
	// AnyPatient permits an empty PatientID: the studies may be of any patient. Then AccessionNumber, with at most 16 characters, or a single
	// Study Instance UID is required.
	AnyPatient                 bool
	IssuerOfPatientID          string // exactly this issuer
	Modalities                 []string
	MaxYearsOld                int
	MaxResults                 int
	StudyInstanceUIDs          []string
	AccessionNumber            string
	StudyDateFrom, StudyDateTo string // as DA, 20240131
	// Except are Study Instance UIDs that Retrieve does not move: they were moved before. Query ignores it.
	Except []string
}

// Check returns a *FilterError if the filter cannot be sent as a query.
func (f Filter) Check(today time.Time) error {
	_, err := newPlan(&f, today)
	return err
}

// Study is one matching study. All text is UTF-8; a missing attribute is "", or an empty slice that is never nil. Dates and
// times are as the PACS wrote them, except that the old forms 2024.01.31 and 12:00:00 lose their separators. The table in
// attributes.go says which attribute each field holds.
type Study struct {
	PatientName, PatientID, DateOfBirth, StudyInstanceUID, StudyDescription string
	ModalitiesInStudy                                                       []string
	StudyDate, StudyTime, AccessionNumber                                   string
	ReferringPhysicianName, PerformingPhysicianName, InstitutionName        string
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

// Retrieval is the outcome of the C-MOVE of one study.
type Retrieval struct {
	StudyInstanceUID string
	Status           RetrievalStatus
	DICOMStatus      string // four hex digits; "" if there was no final response
	// Completed, Failed and Warning are nil if the PACS sent no such counter. Those of a study that is ok are from the final
	// response; those of any other study include what pending responses reported.
	Completed, Failed, Warning *int
	// FailedSOPInstanceUIDs is never nil and holds only valid UIDs.
	FailedSOPInstanceUIDs []string
}

// RetrieveResult is the outcome of a retrieve: one Retrieval for each study, in the same order; both are empty if nothing
// matched. Err is why the first study that is not ok is not, as a *dicomnet.OpError; nil if all are ok. LastErr is the same for the last
// study that was attempted.
type RetrieveResult struct {
	Studies    []Study
	Retrievals []Retrieval
	Warnings   []Warning
	Err        error
	LastErr    error
}

// Succeeded counts the studies that are ok.
func (r *RetrieveResult) Succeeded() int {
	n := 0
	for i := range r.Retrievals {
		if r.Retrievals[i].Status == RetrievalOK {
			n++
		}
	}
	return n
}

// Moved reports whether anything was moved: a study that is ok or partial, or a completed sub-operation of any other study,
// with or without a warning.
func (r *RetrieveResult) Moved() bool {
	for i := range r.Retrievals {
		m := &r.Retrievals[i]
		if m.Status == RetrievalOK || m.Status == RetrievalPartial || valueOf(m.Completed)+valueOf(m.Warning) > 0 {
			return true
		}
	}
	return false
}

// TooManyMatchesError reports a PACS that sent more matches than Options.MaxMatches.
type TooManyMatchesError struct{ Max int }

func (e *TooManyMatchesError) Error() string {
	return fmt.Sprintf("more than %d matches", e.Max)
}

// OperationTimeoutError reports an operation that took longer than Options.OperationTimeout, whatever the peer did meanwhile.
type OperationTimeoutError struct{ After time.Duration }

func (e *OperationTimeoutError) Error() string { return "operation timeout" }

// Timeout returns true: the error is a timeout like those of net.Error.
func (e *OperationTimeoutError) Timeout() bool { return true }

// FilterError reports a Filter that cannot be sent as a query, by the name of its field. Nothing was sent.
type FilterError struct{ Field string }

func (e *FilterError) Error() string { return "invalid filter: " + e.Field }

// MoveOutcomeError reports a C-MOVE whose final status is success or warning although its counters show that not everything
// arrived. It unwraps to a *dicomnet.StatusError with that status.
type MoveOutcomeError struct{ Status dicomnet.Status }

func (e *MoveOutcomeError) Error() string {
	return fmt.Sprintf("status %s, but not everything was moved", e.Status)
}

// Unwrap returns the status for callers that branch on statuses.
func (e *MoveOutcomeError) Unwrap() error {
	return &dicomnet.StatusError{Op: dicomnet.StepMove, Status: e.Status}
}

// SearchTooBroadError reports a search with more matches than the gateway reads. Nothing was returned, because a cut answer
// would look complete.
type SearchTooBroadError struct{ Max int }

func (e *SearchTooBroadError) Error() string {
	return fmt.Sprintf("search with more than %d matches", e.Max)
}

// ModalityUnknownError reports a search by modality on a PACS that does not return the modalities of its studies, with too many
// studies to ask for the modalities of each.
type ModalityUnknownError struct{}

func (e *ModalityUnknownError) Error() string { return "modalities of studies unknown" }

// RelationalQueryError reports a search for series or instances that names neither a study nor a patient, on a PACS without
// relational queries (PS3.4 section C.4.1.2.2.1).
type RelationalQueryError struct{}

func (e *RelationalQueryError) Error() string { return "relational query unsupported" }
