// Package qr is what a query and a retrieve are: which keys to send, what to
// believe of the answer, in which order, and what to report. It knows DICOM
// associations through dicomnet and nothing of HTTP.
package qr

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
// Dates and times are as the PACS wrote them, except that the old forms
// 2024.01.31 and 12:00:00 lose their separators.
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

// Retrieval is the outcome of one study's C-MOVE.
type Retrieval struct {
	StudyInstanceUID string
	Status           RetrievalStatus
	DICOMStatus      string // four hex digits; "" where no final response came
	// Completed, Failed and Warning are nil where the PACS sent no counter. Those of a study that is ok are the final
	// response's own; of any other they tell how far it is known to have come, pending responses included.
	Completed, Failed, Warning *int
	// FailedSOPInstanceUIDs is never nil and holds nothing but valid UIDs.
	FailedSOPInstanceUIDs []string
}

// RetrieveResult is the outcome of a retrieve, one retrieval a study and in the same order; both are empty where nothing
// matched. Err is what made the first study that is not ok so (nil where all are), as a *dicomnet.OpError.
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

// Moved reports whether anything at all was moved: a study that is ok or
// partial, or a sub-operation of any other that completed, be it with a warning.
func (r *RetrieveResult) Moved() bool {
	for i := range r.Retrievals {
		m := &r.Retrievals[i]
		if m.Status == RetrievalOK || m.Status == RetrievalPartial || valueOf(m.Completed)+valueOf(m.Warning) > 0 {
			return true
		}
	}
	return false
}

// Progress follows a retrieve; nil functions are skipped. They run on the
// retrieving goroutine: one that blocks holds the operation up.
type Progress struct {
	// Matched is called once, when something matched and an association that takes C-MOVE is there. A retrieve that got so
	// far returns a result and no error.
	Matched func(studies []Study, warnings []Warning)
	// Moving is called at each pending C-MOVE response.
	Moving func(p SubOperations)
	// Retrieved is called once for each study, those that were not attempted included.
	Retrieved func(r Retrieval)
}

// SubOperations is one pending C-MOVE response.
type SubOperations struct {
	StudyInstanceUID                      string
	Index, Total                          int  // of the studies, Index from 1
	Remaining, Completed, Failed, Warning *int // nil where the PACS sent no counter
	// CompletedTotal and FailedTotal are over all studies so far. What arrived with a warning has completed.
	CompletedTotal, FailedTotal int
}
