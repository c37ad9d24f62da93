package dicomnet

import (
	"context"
	"time"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Trace is told what happens on an association; nil functions are skipped. The
// functions run on the goroutine that owns the association, with the context
// given to Dial, and must not call back into it.
type Trace struct {
	// Ended is called once for each Dial, when the association or the attempt is over.
	Ended func(ctx context.Context, s Summary)
	// PDU is called for each PDU sent or received: its type's standard name and length.
	PDU func(ctx context.Context, sent bool, name string, length int)
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
	Duration                      time.Duration
	PDUsSent, PDUsReceived        int
	BytesSent, BytesReceived      int64
	// Outcome is "released", "aborted", "rejected", "lost", "timeout" or "failed"; Err the first error, or nil.
	Outcome string
	Err     error
}

func (t *Trace) ended(ctx context.Context, s Summary) {
	if t != nil && t.Ended != nil {
		t.Ended(ctx, s)
	}
}
