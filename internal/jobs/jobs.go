// Package jobs runs batches: it files jobs, works on their items and reports what became of each. All state is in NATS JetStream, so that
// several gateways share the work and a crash at any instant loses nothing. An item is done at least once; its outcome is recorded once.
package jobs

import (
	"time"

	"dicom-qr-gateway/qr"
)

// Priority orders the jobs of one PACS: an item of a job with a higher one is done first.
type Priority string

// The priorities.
const (
	High   Priority = "high"
	Normal Priority = "normal"
	Low    Priority = "low"
)

// Priorities are all priorities in the order in which their items are done.
func Priorities() []Priority { return []Priority{High, Normal, Low} }

// Order is what a caller wants done. File checks it as a whole.
type Order struct {
	PACS        string // name of a configured PACS
	Destination string // AE title that receives what is moved; it may be "" for a dry run
	Items       []Item
	DryRun      bool      // studies are found, and nothing is moved
	NotBefore   time.Time // zero: at once
	Window      *Window   // in which items may begin, each day; nil: always
	Priority    Priority  // "": Normal
	// IdempotencyKey makes the second filing of the same order by the same caller return the job of the first; "": none.
	IdempotencyKey string
}

// Item selects studies: those of a patient that match the filters, those with an Accession Number, or one study. At least one of
// PatientID, AccessionNumber and StudyInstanceUID is not empty.
type Item struct {
	PatientID         string   `json:"patient_id,omitempty"`
	IssuerOfPatientID string   `json:"issuer_of_patient_id,omitempty"`
	AccessionNumber   string   `json:"accession_number,omitempty"`
	StudyInstanceUID  string   `json:"study_instance_uid,omitempty"`
	StudyInstanceUIDs []string `json:"study_instance_uids,omitempty"`
	Modalities        []string `json:"modalities,omitempty"`
	MaxYearsOld       int      `json:"max_years_old,omitempty"`
	MaxResults        int      `json:"max_results,omitempty"`
	StudyDateFrom     string   `json:"study_date_from,omitempty"` // as DA
	StudyDateTo       string   `json:"study_date_to,omitempty"`   // as DA
}

// JobState is the state of a job. It follows from those of its items.
type JobState string

// The states of a job.
const (
	JobQueued    JobState = "queued"    // an item could begin, and none of this run has begun
	JobRunning   JobState = "running"   // an item runs; or some have begun, and others could
	JobWaiting   JobState = "waiting"   // every item without an outcome waits for a time
	JobFinished  JobState = "finished"  // every item has an outcome
	JobCancelled JobState = "cancelled" // it was cancelled; items that still run are being stopped
)

// ItemState is the state of an item.
type ItemState string

// The states of an item. Those after Waiting are outcomes.
const (
	Queued         ItemState = "queued"
	Running        ItemState = "running"
	Waiting        ItemState = "waiting" // for NextAttemptAt
	Moved          ItemState = "moved"   // every study that matched
	Partial        ItemState = "partial" // some of it was moved
	Failed         ItemState = "failed"  // nothing was moved
	NoStudyMatched ItemState = "no_study_matched"
	Cancelled      ItemState = "cancelled"
	Found          ItemState = "found" // outcome of a dry run
)

// Ended reports whether the state is an outcome.
func (s ItemState) Ended() bool {
	switch s {
	case Moved, Partial, Failed, NoStudyMatched, Cancelled, Found:
		return true
	}
	return false
}

// Job is a job as it is now.
type Job struct {
	ID          string
	State       JobState
	PACS        string
	Destination string
	DryRun      bool
	NotBefore   time.Time // zero: none
	Window      *Window   // nil: none
	Priority    Priority
	FiledAt     time.Time
	FiledBy     string    // the name of the caller
	FinishedAt  time.Time // zero: not every item has an outcome
	ExpiresAt   time.Time // when the job is forgotten
	Run         int       // 1, and one more for each retry
	Counts      Counts
}

// Counts are the items of a job by state. Items is their sum.
type Counts struct {
	Items, Queued, Running, Waiting                          int
	Moved, Partial, Failed, NoStudyMatched, Cancelled, Found int
}

// ItemReport is an item as it is now.
type ItemReport struct {
	Number        int // from 1, in the order of filing
	Item          Item
	State         ItemState
	Attempts      int       // that were begun in this run
	NextAttemptAt time.Time // of an item that waits; zero: unknown
	EndedAt       time.Time // of the outcome; zero: none
	Failure       *Failure  // why not everything was moved, or why the last attempt failed; nil: no reason
	// Retrievals are the outcomes of the studies that matched, over all attempts.
	Retrievals []qr.Retrieval
	// Studies are those that a dry run found: UID, description, modalities, date and Accession Number.
	Studies  []qr.Study
	Warnings []qr.Warning
	// Cut is how many Failed SOP Instance UIDs, studies and retrievals were left out because the report would be too long.
	Cut int
}

// Failure says why an attempt failed, as a problem does. It holds no patient data.
type Failure struct {
	Code   string      `json:"code"`
	Title  string      `json:"title,omitempty"`
	Detail string      `json:"detail,omitempty"`
	Hint   string      `json:"hint,omitempty"`
	DICOM  *DICOMFault `json:"dicom,omitempty"`
}

// DICOMFault is the part of a Failure that a PACS caused, in the words of the standard. Fields that do not apply are "".
type DICOMFault struct {
	Step    string `json:"step,omitempty"`
	Status  string `json:"status,omitempty"`
	Meaning string `json:"meaning,omitempty"`
	Result  string `json:"result,omitempty"`
	Source  string `json:"source,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// EventKind is the kind of an Event.
type EventKind string

// The kinds of events.
const (
	EventJob      EventKind = "job"      // the record and the counts: first of all, and when the job changes as a whole
	EventItem     EventKind = "item"     // an outcome
	EventWaiting  EventKind = "waiting"  // an attempt failed, and the item waits for the next
	EventFinished EventKind = "finished" // every item has an outcome
)

// Event is something that happened to a job.
type Event struct {
	// Sequence orders events; Events continues after it. Zero: the event describes the present and has no place in the order.
	Sequence uint64
	Time     time.Time
	Kind     EventKind
	Job      *Job        // as it was then
	Item     *ItemReport // of EventItem and EventWaiting, as it was then
}

// Page selects a part of a list.
type Page struct{ Offset, Limit int }

// Selection selects a part of the items of a job.
type Selection struct {
	Offset, Limit int       // Limit zero: all
	State         ItemState // "": any
}
