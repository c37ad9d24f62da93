package dicomnet

import (
	"context"
	"iter"

	"github.com/suyashkumar/dicom"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Model is a Query/Retrieve information model: its three SOP classes.
type Model struct{ Find, Move, Get string }

// The information models of PS3.4 annex C.
var (
	StudyRoot = Model{
		Find: "1.2.840.10008.5.1.4.1.2.2.1",
		Move: "1.2.840.10008.5.1.4.1.2.2.2",
		Get:  "1.2.840.10008.5.1.4.1.2.2.3",
	}
	PatientRoot = Model{
		Find: "1.2.840.10008.5.1.4.1.2.1.1",
		Move: "1.2.840.10008.5.1.4.1.2.1.2",
		Get:  "1.2.840.10008.5.1.4.1.2.1.3",
	}
)

// VerificationSOPClass is the SOP class of C-ECHO (PS3.4 annex A).
const VerificationSOPClass = "1.2.840.10008.1.1"

// Association is an established association, requestor's side. One goroutine
// owns it; one operation is outstanding at a time.
type Association struct{}

// NegotiatedContext is the answer to one proposed presentation context.
type NegotiatedContext struct {
	ID             byte
	AbstractSyntax string
	TransferSyntax dataset.TransferSyntax // "" unless accepted
	Result         ContextResult
}

// ContextResult is the result of PS3.8 table 9-18.
type ContextResult byte

// String is the standard's word.
func (r ContextResult) String() string { panic("stub") }

// PeerInfo is what the peer said of itself while negotiating.
type PeerInfo struct {
	ImplementationClassUID, ImplementationVersionName string // sanitised
	MaxPDULength                                      uint32
}

// Dial connects to address (host:port), and negotiates.
func Dial(ctx context.Context, address string, cfg Config) (*Association, error) { panic("stub") }

// Accepts reports whether a usable context for the abstract syntax was accepted.
func (a *Association) Accepts(abstractSyntax string) bool { panic("stub") }

// Contexts are the answers to all proposed contexts.
func (a *Association) Contexts() []NegotiatedContext { panic("stub") }

// Peer is what the peer said of itself.
func (a *Association) Peer() PeerInfo { panic("stub") }

// Usable reports whether another operation can be started: false after errors that ended the association.
func (a *Association) Usable() bool { panic("stub") }

// Close releases, or aborts what is broken; bounded by the ACSE timeout. Idempotent.
func (a *Association) Close() error { panic("stub") }

// Echo is C-ECHO.
func (a *Association) Echo(ctx context.Context) error { panic("stub") }

// Match is one pending C-FIND response. Its data set is valid until the loop's next step.
type Match struct {
	*dataset.Set
	// OptionalKeysUnsupported tells that the status was FF01.
	OptionalKeysUnsupported bool
}

// Find is C-FIND. Leaving the loop early cancels. A match whose data set cannot be read comes with a *DataSetError and the
// loop may go on; any other error is the last thing the sequence yields.
func (a *Association) Find(ctx context.Context, model Model, query *dicom.Dataset) iter.Seq2[Match, error] {
	panic("stub")
}

// DataSetError is a data set of one response that cannot be read; the association goes on.
type DataSetError struct{ Err error }

func (e *DataSetError) Error() string { return "undecodable data set: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *DataSetError) Unwrap() error { return e.Err }

// MoveReport is one C-MOVE response.
type MoveReport struct {
	Status                                Status
	Final                                 bool
	Remaining, Completed, Failed, Warning *uint16 // nil where the peer sent none
	FailedSOPInstanceUIDs                 []string
	Detail                                StatusDetail
}

// Move is C-MOVE. The final response is yielded as a report with Final set; together with a *StatusError unless it is
// success or a warning. Leaving the loop early cancels. Any other error is the last thing the sequence yields.
func (a *Association) Move(ctx context.Context, model Model, destination string, query *dicom.Dataset) iter.Seq2[MoveReport, error] {
	panic("stub")
}
