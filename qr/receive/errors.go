package receive

import (
	"fmt"

	"dicom-qr-gateway/qr"
)

// TargetError reports a Target that is not a study, series or instance. Nothing was sent.
type TargetError = qr.TargetError

// NotFoundError reports that the PACS says that it does not have the Target.
type NotFoundError = qr.NotFoundError

// IncompleteError reports a retrieval that is not complete, although the PACS gave no reason.
type IncompleteError struct {
	Received int
	Missing  int // at least; zero: unknown
}

func (e *IncompleteError) Error() string {
	switch {
	case e.Missing > 0:
		return fmt.Sprintf("%d instances arrived, %d are missing", e.Received, e.Missing)
	case e.Received == 0:
		return "no instance arrived"
	}
	return fmt.Sprintf("%d instances arrived, others may be missing", e.Received)
}

// NoWayError reports that the PACS offers no way to retrieve: it does not accept C-GET, or its settings exclude it, and C-MOVE to
// the gateway is not possible, because its storage SCP is off or the PACS does not accept C-MOVE. Nothing was retrieved.
type NoWayError struct {
	// GetRefused says that C-GET was tried and the PACS accepts none, or grants no role of SCP for storage.
	GetRefused bool
	// SCPOff says that C-MOVE was not tried because the gateway has no storage SCP.
	SCPOff bool
}

func (e *NoWayError) Error() string {
	switch {
	case e.GetRefused && e.SCPOff:
		return "the PACS does not accept C-GET, and there is no storage SCP for C-MOVE"
	case e.SCPOff:
		return "there is no storage SCP for C-MOVE"
	default:
		return "the PACS accepts neither C-GET nor C-MOVE"
	}
}

// FloodError reports a PACS that sends far more instances than it lists, or more than one retrieval may have.
type FloodError struct{ Max int }

func (e *FloodError) Error() string { return fmt.Sprintf("more than %d instances", e.Max) }
