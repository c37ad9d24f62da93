package pool

import (
	"context"
	"errors"
	"fmt"

	"dicom-qr-gateway/dicomnet"
)

// NotAllowedError reports a peer that Options.Allow does not permit. Nothing was dialled. The error is the same whether or
// not the name of the peer has an address.
type NotAllowedError struct{}

func (e *NotAllowedError) Error() string { return "not allowed" }

// BusyError reports that an operation got no slot, and why. Nothing was sent, unless the Reason is ShareLost: then the operation had one.
type BusyError struct{ Reason BusyReason }

// BusyReason says what an operation lacked.
type BusyReason int

// What an operation can lack.
const (
	// NoAssociation: all slots of the peer stayed in use for Options.QueueTimeout.
	NoAssociation BusyReason = iota
	// QueueFull: as many operations wait for the peer as may.
	QueueFull
	// TooManyOperations: a slot was free, but Options.MaxOperations operations ran for Options.QueueTimeout.
	TooManyOperations
	// CallerShare: this caller has its share of the operations that run, or that wait for the peer.
	CallerShare
	// TooManyRetrievals: the peer had no slot for another retrieval within Options.QueueTimeout.
	TooManyRetrievals
	// ShareLost: the association was closed, because other gateways may use its slot by now (Share.Revoke).
	ShareLost
)

func (e *BusyError) Error() string {
	switch e.Reason {
	case QueueFull:
		return "too many operations wait for this peer"
	case TooManyOperations:
		return "too many operations run"
	case CallerShare:
		return "too many operations of this caller"
	case TooManyRetrievals:
		return "too many retrievals from this peer"
	case ShareLost:
		return "the association was closed because its lease could not be renewed"
	default:
		return "no free association"
	}
}

// revoked returns the error of an operation whose association was closed by Share.Revoke.
func revoked(err error) error {
	step := dicomnet.StepAssociate
	if op, ok := errors.AsType[*dicomnet.OpError](err); ok {
		step = op.Step
	}
	return &dicomnet.OpError{Step: step, Err: &BusyError{Reason: ShareLost}}
}

// Failure returns err as a *dicomnet.OpError at step, or at the step that err names itself. If ctx is done, the cause of its
// end replaces err: whatever the association reports after that (the status of a C-CANCEL, an abort) only follows from it.
// A cause that is a timeout of its own (it has Timeout() true) stands alone; any other is wrapped together with ctx.Err().
func Failure(ctx context.Context, step dicomnet.Step, err error) error {
	op, isOp := errors.AsType[*dicomnet.OpError](err)
	if isOp {
		step = op.Step
	}
	if ctx.Err() != nil {
		return &dicomnet.OpError{Step: step, Err: endOf(ctx)}
	}
	if isOp {
		return err
	}
	return &dicomnet.OpError{Step: step, Err: err}
}

// endOf returns why ctx, which is done, ended.
func endOf(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return err
	}
	var timeout interface{ Timeout() bool }
	if errors.As(cause, &timeout) && timeout.Timeout() {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// atCapacity reports whether the peer may have refused the association because it has as many as it accepts: it was reached
// but did not establish one, and gave no reason that is unrelated to their number.
func atCapacity(err error) bool {
	op, ok := errors.AsType[*dicomnet.OpError](err)
	if !ok || op.Step != dicomnet.StepAssociate {
		return false
	}
	if reject, ok := errors.AsType[*dicomnet.RejectError](err); ok {
		const presentation = 3 // the source of local-limit-exceeded (PS3.8 section 9.3.4)
		return reject.Transient() || reject.Source == presentation
	}
	_, noContext := errors.AsType[*dicomnet.NoContextError](err)
	return !noContext
}

// ended reports whether err means that the peer ended the association, or that it was aborted because of what the peer sent.
// A peer that is slow has not ended it.
func ended(err error) bool {
	_, aborted := errors.AsType[*dicomnet.AbortError](err)
	_, protocol := errors.AsType[*dicomnet.ProtocolError](err)
	_, limit := errors.AsType[*dicomnet.LimitError](err)
	return aborted || protocol || limit || errors.Is(err, dicomnet.ErrConnectionLost) || errors.Is(err, dicomnet.ErrReleased)
}
