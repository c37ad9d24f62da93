package dicomnet

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Trace is told what happens on an association; nil functions are skipped. The
// functions run on the goroutine that owns the association, with the context
// given to Dial, and must not call back into it.
type Trace struct {
	// Ended is called once for each Dial, when the association or the attempt is over.
	Ended func(ctx context.Context, s Summary)
	// Connected is called when the transport connection is open, and Secured when
	// the TLS handshake on it is done.
	Connected func(ctx context.Context, remote net.Addr)
	Secured   func(ctx context.Context, state tls.ConnectionState)
	// Established is called when the association is: Ended then has its counterpart. Duration tells how long it took; what
	// only the end can tell is zero.
	Established func(ctx context.Context, s Summary)
	// PDU is called for each PDU sent or received: its type's standard name and length.
	PDU func(ctx context.Context, sent bool, name string, length int)
	// Operation is called once for each operation the request of which was sent, when it is over.
	Operation func(ctx context.Context, o OperationSummary)
	// Command is called for each command set sent or received.
	Command func(ctx context.Context, sent bool, c CommandSet)
	// Identifier is called with each identifier sent or received, encoded: patient
	// data. b is valid during the call.
	Identifier func(ctx context.Context, sent bool, ts dataset.TransferSyntax, b []byte)
}

// Summary is one association in figures. It holds no patient data.
type Summary struct {
	CalledAETitle, CallingAETitle string
	Remote                        string // address as dialled
	Peer                          PeerInfo
	Established                   bool // the peer accepted, with a context that can be used
	Duration                      time.Duration
	PDUsSent, PDUsReceived        int
	BytesSent, BytesReceived      int64
	// Outcome is "released", "aborted", "rejected", "lost" (the connection), "dropped" (the same, while nobody used it),
	// "timeout" or "failed"; Err the first error, or nil.
	Outcome string
	Err     error
}

// OperationSummary is one operation in figures. It holds no patient data.
type OperationSummary struct {
	Step Step // StepEcho, StepFind or StepMove
	// FirstResponse is the time from the request to the first response; negative where none came.
	FirstResponse time.Duration
	Matches       int // pending responses of a C-FIND
}

func (t *Trace) operation(ctx context.Context, o OperationSummary) {
	if t != nil && t.Operation != nil {
		t.Operation(ctx, o)
	}
}

func (t *Trace) ended(ctx context.Context, s Summary) {
	if t != nil && t.Ended != nil {
		t.Ended(ctx, s)
	}
}

func (t *Trace) connected(ctx context.Context, remote net.Addr) {
	if t != nil && t.Connected != nil {
		t.Connected(ctx, remote)
	}
}

func (t *Trace) secured(ctx context.Context, state tls.ConnectionState) {
	if t != nil && t.Secured != nil {
		t.Secured(ctx, state)
	}
}
