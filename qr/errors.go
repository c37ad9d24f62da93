package qr

import (
	"fmt"
	"time"

	"dicom-qr-gateway/dicomnet"
)

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
