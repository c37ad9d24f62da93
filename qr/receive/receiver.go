package receive

import (
	"context"
	"errors"
	"io"
	"iter"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// Options are the parts that a Receiver works with.
type Options struct {
	Gateway *qr.Gateway
	Pool    *pool.Pool
}

// Receiver runs retrievals. It is safe for concurrent use.
type Receiver struct{ options Options }

// New returns a Receiver.
func New(o Options) *Receiver { return &Receiver{options: o} }

// Arrived is an instance that has arrived or is arriving. It is valid until the next iteration.
type Arrived struct {
	SOPClassUID, SOPInstanceUID         string
	StudyInstanceUID, SeriesInstanceUID string
	TransferSyntax                      dataset.TransferSyntax
	io.Reader
	io.WriterTo
}

var errUnimplemented = errors.New("not implemented")

// Inventory asks the PACS what it has of the target. The error is a *TargetError, a *NotFoundError, or one of those of qr.Query.
func (r *Receiver) Inventory(context.Context, Request) (*Inventory, error) {
	return nil, errUnimplemented
}

// Retrieve begins a retrieval and returns once its first instance can be read. An error means that no instance arrived: it is one of
// Inventory, a *NoWayError, an *IncompleteError, a *TransferSyntaxError or a *dicomnet.OpError. The caller must call Close.
func (r *Receiver) Retrieve(context.Context, Request) (*Retrieval, error) {
	return nil, errUnimplemented
}

// Retrieval is a retrieval that runs or has ended. Its methods are for one goroutine, but Close is for any.
type Retrieval struct{}

// Inventory returns what the PACS lists. It is never nil.
func (x *Retrieval) Inventory() *Inventory { return nil }

// All returns the instances in the order in which they became available, each once. It ends when nothing more comes: Outcome says
// whether that is everything. An error ends it: an instance whose rest did not arrive, or the end of the retrieval's ctx.
func (x *Retrieval) All() iter.Seq2[*Arrived, error] {
	return func(func(*Arrived, error) bool) {}
}

// Outcome waits until the retrieval has ended and returns how.
func (x *Retrieval) Outcome() Outcome { return Outcome{} }

// Close ends the retrieval: the PACS receives C-CANCEL if it still sends, and the memory is freed. It does not wait.
func (x *Retrieval) Close() {}
