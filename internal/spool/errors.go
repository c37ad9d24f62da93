package spool

import "errors"

// FullError reports that the spool is full, in memory and in the file, and that the readers of a log took too little of it for too
// long. Cause says why the file takes no more; it is nil if there is none, or if it is at its limit.
type FullError struct{ Cause error }

func (e *FullError) Error() string {
	if e.Cause == nil {
		return "the spool is full, and the caller takes too little of it"
	}
	return "the spool is full, and the caller takes too little of it: " + e.Cause.Error()
}

func (e *FullError) Unwrap() error { return e.Cause }

var (
	// ErrNoReader reports that all readers of a log are closed, so that what is written has nowhere to go.
	ErrNoReader = errors.New("all readers have left")
	// ErrStale reports the use of an instance after the next one was asked for.
	ErrStale = errors.New("the instance is not the current one any more")
	// errAborted is the error of an instance whose writer gave none.
	errAborted = errors.New("the instance ended early")
)
