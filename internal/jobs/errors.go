package jobs

import (
	"errors"
	"fmt"
)

// NotFoundError reports a job that does not exist, is forgotten, or is somebody else's.
type NotFoundError struct{}

func (e *NotFoundError) Error() string { return "no such job" }

// LimitError reports that a caller has as many jobs that are not finished as it may.
type LimitError struct{ Max int }

func (e *LimitError) Error() string {
	return fmt.Sprintf("more than %d unfinished jobs of this caller", e.Max)
}

// ConflictError reports that the job, or the idempotency key, is not in a state that permits the request.
type ConflictError struct{ Kind ConflictKind }

// ConflictKind says what the conflict is.
type ConflictKind string

// The conflicts. Their values are codes of problems.
const (
	KeyReused      ConflictKind = "idempotency_key_reused" // the key was used for another order
	NotFinished    ConflictKind = "job_not_finished"       // of Retry and Delete
	AlreadyEnded   ConflictKind = "job_finished"           // of Cancel
	NothingToRetry ConflictKind = "nothing_to_retry"
)

func (e *ConflictError) Error() string { return string(e.Kind) }

// UnavailableError reports that JetStream does not answer. What was asked for may have been done or not.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return "JetStream is unavailable" }

// Unwrap returns what was missed.
func (e *UnavailableError) Unwrap() error { return e.Err }

// GoneError reports that the events after a sequence are not known: it is older than the job, or newer than its last event.
type GoneError struct{}

func (e *GoneError) Error() string { return "events are gone" }

// InvalidError reports an Order that cannot be filed, with all faults at once. Nothing was filed.
type InvalidError struct{ Faults []Fault }

func (e *InvalidError) Error() string { return fmt.Sprintf("invalid order: %d faults", len(e.Faults)) }

// Fault is one reason why an Order is invalid. It never holds a value.
type Fault struct {
	Item   int    // its index from 0; -1: the fault is of the order
	Field  string // in JSON, as patient_id; "": of the item or the order as a whole
	Detail string // completes a sentence that begins with the field
}

// WindowError reports a window that cannot be used.
type WindowError struct{ Reason WindowReason }

// WindowReason says why a window cannot be used.
type WindowReason int

// The reasons.
const (
	WindowMalformed WindowReason = iota
	WindowNeverOpens
)

func (e *WindowError) Error() string {
	if e.Reason == WindowNeverOpens {
		return "the window never opens"
	}
	return "not a window as 20:00-06:00"
}

// errStopped is the cause with which operations are cancelled because their job is.
var errStopped = errors.New("the job was cancelled")

// errDraining is the cause with which operations are cancelled that run longer than the drain timeout.
var errDraining = errors.New("shutting down")
