package dicomnet

import (
	"context"
	"net"

	"github.com/suyashkumar/dicom"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Server accepts associations (stub of the face).
type Server struct {
	// AETitle is the called AE title to answer to; others are rejected (1,1,7). Empty takes any.
	AETitle string
	// Contexts are the abstract syntaxes to accept, each with transfer syntaxes in order of preference.
	Contexts []Context
	Handler  Handler
	Timeouts Timeouts
	Limits   Limits
	// Admit, where set, may refuse an association that would otherwise be accepted.
	Admit func(called, calling string) *RejectError
}

// Handler serves operations; a nil function answers 0211 (unrecognized operation). The context is cancelled by
// C-CANCEL-RQ for this operation and by the end of the association.
type Handler struct {
	Echo func(ctx context.Context, r *Request) Status
	// Find calls match for each match and returns the final status.
	Find func(ctx context.Context, r *Request, match func(*dicom.Dataset) error) Status
	// Move calls pending for pending responses and returns the final one.
	Move  func(ctx context.Context, r *Request, pending func(MoveReport) error) MoveReport
	Store func(ctx context.Context, r *Request) Status
}

// Request is one operation asked of a Server.
type Request struct {
	CalledAETitle, CallingAETitle string
	Remote                        net.Addr
	AbstractSyntax                string
	TransferSyntax                dataset.TransferSyntax
	Command                       CommandSet
	Data                          []byte // the identifier or data set; valid until the handler returns
}

// Serve accepts on l until Close.
func (s *Server) Serve(l net.Listener) error { panic("stub") }

// Close stops listening, aborts the associations and waits for their goroutines.
func (s *Server) Close() error { panic("stub") }

// StoreRequest is one C-STORE sub-operation or stand-alone C-STORE.
type StoreRequest struct {
	SOPClassUID, SOPInstanceUID string
	Data                        []byte // encoded in the transfer syntax that was accepted for SOPClassUID
	MoveOriginatorAETitle       string // "" outside C-MOVE
	MoveOriginatorMessageID     uint16
}

// Store is C-STORE: a final status that is not success or a warning is a *StatusError.
func (a *Association) Store(ctx context.Context, r StoreRequest) (Status, error) { panic("stub") }

// TransferSyntax is the one accepted for the abstract syntax; "" where none was.
func (a *Association) TransferSyntax(abstractSyntax string) dataset.TransferSyntax { panic("stub") }
