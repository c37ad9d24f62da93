package dicomnet

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Trace observes an association; nil functions are skipped. The functions run on the goroutine that
// uses the association, with the context given to Dial or Rebind, and must not use the association.
type Trace struct {
	// Ended is called once for each Dial, when the association has ended or the attempt has failed.
	Ended func(ctx context.Context, s Summary)
	// Connected is called when the transport connection is open, Secured when its TLS handshake is
	// complete.
	Connected func(ctx context.Context, remote net.Addr)
	Secured   func(ctx context.Context, state tls.ConnectionState)
	// Established is called when the association is established; Ended then follows. Duration is
	// the time that took. Figures known only at the end are zero.
	Established func(ctx context.Context, s Summary)
	// PDU is called for each PDU sent or received with the standard's name of its type and its
	// length.
	PDU func(ctx context.Context, sent bool, name string, length int)
	// Operation is called at the end of each operation whose request was sent.
	Operation func(ctx context.Context, o OperationSummary)
	// Command is called for each command set sent or received.
	Command func(ctx context.Context, sent bool, c CommandSet)
	// Identifier is called with each encoded identifier sent or received, which is patient data. b
	// is valid during the call.
	Identifier func(ctx context.Context, sent bool, ts dataset.TransferSyntax, b []byte)
}

// Summary holds the figures of one association. It contains no patient data.
type Summary struct {
	CalledAETitle, CallingAETitle string
	Remote                        string // address as dialled
	Peer                          PeerInfo
	Established                   bool // the peer accepted at least one presentation context
	Duration                      time.Duration
	PDUsSent, PDUsReceived        int
	BytesSent, BytesReceived      int64
	// Outcome is "released", "aborted", "rejected", "lost" (the connection), "dropped" (the
	// connection, while the association was idle), "timeout" or "failed". Err is the first error,
	// or nil.
	Outcome string
	Err     error
}

// OperationSummary holds the figures of one operation. It contains no patient data.
type OperationSummary struct {
	Step Step // StepEcho, StepFind, StepMove, StepGet or StepStore
	// FirstResponse is the time from the request to the first response; negative if there was none.
	FirstResponse time.Duration
	Matches       int // pending responses of a C-FIND
	// Instances counts those that a C-GET passed to its caller, InstanceBytes what was read of their data sets.
	Instances     int
	InstanceBytes int64
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
