package qr

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// TooManyMatchesError is a PACS that sent more than Options.MaxMatches.
type TooManyMatchesError struct{ Max int }

func (e *TooManyMatchesError) Error() string {
	return fmt.Sprintf("more than %d matches", e.Max)
}

// OperationTimeoutError is an operation that took longer than
// Options.OperationTimeout, whatever the peer did meanwhile.
type OperationTimeoutError struct{ After time.Duration }

func (e *OperationTimeoutError) Error() string { return "operation timeout" }

// Timeout makes OperationTimeoutError a net.Error in spirit.
func (e *OperationTimeoutError) Timeout() bool { return true }

// NotAllowedError is a peer that Options.Allow does not permit. Nothing was dialled, and whether the name of the peer has an
// address is not told.
type NotAllowedError struct{}

func (e *NotAllowedError) Error() string { return "not allowed" }

// BusyError is a peer with which as many associations are open as may be, for longer than Options.QueueTimeout. Nothing was
// sent.
type BusyError struct{}

func (e *BusyError) Error() string { return "no free association" }

// FilterError is a Filter that cannot be asked for: the name of its field. Nothing was sent.
type FilterError struct{ Field string }

func (e *FilterError) Error() string { return "invalid filter: " + e.Field }

// MoveOutcomeError is a C-MOVE whose final status is success or a warning while its counters tell that not everything
// arrived. It unwraps to a *dicomnet.StatusError with that status.
type MoveOutcomeError struct{ Status dicomnet.Status }

func (e *MoveOutcomeError) Error() string {
	return fmt.Sprintf("status %s, but not everything was moved", e.Status)
}

// Unwrap gives the status to callers that branch on statuses alone.
func (e *MoveOutcomeError) Unwrap() error {
	return &dicomnet.StatusError{Op: dicomnet.StepMove, Status: e.Status}
}

// failure is what a caller is told of err: its own cancelling and the operation timeout come first, because whatever
// the association says once ctx is done (a C-CANCEL's status, an abort) only follows from them.
func failure(ctx context.Context, step dicomnet.Step, err error) error {
	op, isOp := errors.AsType[*dicomnet.OpError](err)
	if isOp {
		step = op.Step
	}
	if ctx.Err() != nil {
		if timeout, ok := errors.AsType[*OperationTimeoutError](context.Cause(ctx)); ok {
			return &dicomnet.OpError{Step: step, Err: timeout}
		}
		err := ctx.Err()
		if cause := context.Cause(ctx); !errors.Is(cause, err) {
			err = fmt.Errorf("%w: %w", err, cause)
		}
		return &dicomnet.OpError{Step: step, Err: err}
	}
	if isOp {
		return err
	}
	return &dicomnet.OpError{Step: step, Err: err}
}
