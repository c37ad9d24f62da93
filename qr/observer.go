package qr

import (
	"context"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/principal"
)

// Call says for whom an operation runs, who watches it, and where its memory is counted.
type Call struct {
	Principal principal.Principal
	Observer  Observer // nil: none
	// Memory counts what the result holds. The caller closes it once it needs the result no more; nil: not limited.
	Memory *budget.Account
	// Batch says that the operation is batch work, which waits behind interactive operations (pool.Session.Batch).
	Batch bool
}

// Observer watches one operation. Its methods run on the operation's goroutine: one that blocks delays the operation. Embed
// Unobserved to implement only some of them.
type Observer interface {
	pool.Observer
	// Sent receives each C-FIND identifier that is sent, before the first response.
	Sent(i Identifier)
	// Matched is called once, when a retrieve has found studies and has an association that accepts C-MOVE. An error ends the
	// retrieve with nothing moved; Retrieve returns it wrapped. After a nil error Retrieve returns a result.
	Matched(studies []Study, warnings []Warning) error
	// Moving is called for each pending C-MOVE response.
	Moving(p SubOperations)
	// Retrieved is called once for each study, those that were not attempted included.
	Retrieved(r Retrieval)
}

// SubOperations are the counters of one pending C-MOVE response.
type SubOperations struct {
	StudyInstanceUID                      string
	Index, Total                          int  // of the studies; Index counts from 1
	Remaining, Completed, Failed, Warning *int // nil if the PACS sent no such counter
	// CompletedTotal and FailedTotal count over all studies so far. Sub-operations that completed with a warning count as
	// completed.
	CompletedTotal, FailedTotal int
}

// Identifier is the data set of a C-FIND as it is sent. It holds patient data.
type Identifier struct {
	SOPClassUID    string
	Level          Level
	TransferSyntax dataset.TransferSyntax // negotiated for the association
	query          *dataset.Dataset
}

// Encode returns the bytes of the identifier in its transfer syntax, the same as are sent.
func (i Identifier) Encode() ([]byte, error) { return dataset.Encode(i.query, i.TransferSyntax) }

// Unobserved is an Observer that does nothing.
type Unobserved struct{}

var _ Observer = Unobserved{}

// Step returns ctx and a function that does nothing.
func (Unobserved) Step(ctx context.Context, _ pool.PeerStep) (during context.Context, end func(err error)) {
	return ctx, func(error) {}
}

// Sent does nothing.
func (Unobserved) Sent(Identifier) {}

// Matched returns nil.
func (Unobserved) Matched([]Study, []Warning) error { return nil }

// Moving does nothing.
func (Unobserved) Moving(SubOperations) {}

// Retrieved does nothing.
func (Unobserved) Retrieved(Retrieval) {}
