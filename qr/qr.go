// Package qr holds the policy of a query and a retrieval: which keys to send, which matches to accept, how to order
// them, the outcome of each C-MOVE, and what to report. It opens associations through package pool, runs DIMSE operations
// with package dicomnet, and is independent of HTTP.
package qr

import "dicom-qr-gateway/internal/pool"

// Peer is a PACS: its address, and the AE titles to use with it.
type Peer = pool.Peer

// Profile says what the C-FIND of a PACS supports.
type Profile = pool.Profile

// Filter selects studies of one patient. Zero fields do not restrict.
type Filter struct {
	PatientID                  string // required
	IssuerOfPatientID          string // exactly this issuer
	Modalities                 []string
	MaxYearsOld                int
	MaxResults                 int
	StudyInstanceUIDs          []string
	AccessionNumber            string
	StudyDateFrom, StudyDateTo string // as DA, 20240131
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
// matched. Err is why the first study that is not ok is not, as a *dicomnet.OpError; nil if all are ok.
type RetrieveResult struct {
	Studies    []Study
	Retrievals []Retrieval
	Warnings   []Warning
	Err        error
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
