// Package storescp is the storage SCP of the gateway: it receives the instances that a PACS sends because of a C-MOVE to the gateway
// (PS3.4 annex B and section C.4.2), and hands each to the retrieval that waits for it. It keeps nothing.
//
// A retrieval takes a Lease before its C-MOVE, which gives it a Move Destination and a Message ID:
//
//	lease, err := scp.Lease(ctx, storescp.Expectation{Peer: peer, StudyInstanceUID: uid, Receive: receive})
//	defer lease.Release()
//	for report, err := range assoc.Move(ctx, model, lease.AETitle(), query) { ... }
//
// The called AE title, the PACS that an association comes from, and the UIDs in the data set decide to which retrieval an instance
// belongs. An instance that none waits for is answered with 0124 (not authorized) and dropped.
package storescp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset/stream"
	"dicom-qr-gateway/internal/messageid"
	"dicom-qr-gateway/internal/pool"
)

// Options are the settings of an SCP.
type Options struct {
	// AETitles are the titles that the SCP answers to. Retrievals that could be confused never have the same title at the same time.
	AETitles []string
	// PACS returns the named PACS as they are configured now. Associations of others are rejected.
	PACS func() []pool.Peer
	// Grace is how long a released title rests, and how long Lease.Quiet waits.
	Grace time.Duration
	// Timeouts: ACSE bounds the TLS handshake and the wait for A-ASSOCIATE-RQ, Connection the resolution of a host name, Network is as in
	// dicomnet.Config. The others are not used.
	Timeouts dicomnet.Timeouts
	// TLS, if not nil, makes connections DICOM TLS connections. Its ClientAuth says whether certificates are required.
	TLS *tls.Config
	// MaxAssociations is how many associations may be open at once, three quarters of them with one address. Further ones are rejected
	// with result 2, source 3, reason 2.
	MaxAssociations int
	// MessageIDs gives the Message IDs of leases; the associations of retrievals use the same one. nil: one of the SCP's own.
	MessageIDs *messageid.Allocator
	// LookupHost returns the addresses of a name; nil: net.DefaultResolver.
	LookupHost func(ctx context.Context, host string) ([]string, error)
	// Observer, if not nil, is called for what the SCP accepts and refuses.
	Observer Observer
	// Trace returns the trace of associations with the PACS, "" for connections before it is known; nil: none is traced. Of an association,
	// Ended is called if it was accepted, and PDU and Command if they are set for "".
	Trace func(pacs string) *dicomnet.Trace
	// Background is the context that traces receive; nil: context.Background().
	Background context.Context //nolint:containedctx // It stands for associations that have no context.
}

// Association describes an association that a peer opens. The AE titles are as the peer sent them.
type Association struct {
	PACS                          string // the name of the PACS; "" if it is not known. Of several that fit, the first
	Remote                        netip.AddrPort
	CalledAETitle, CallingAETitle string
}

// Refusal says why an instance was refused.
type Refusal string

// The refusals.
const (
	Unexpected Refusal = "unexpected" // no retrieval waits for it: status 0124
	Mismatched Refusal = "mismatched" // command and data set name different instances or SOP classes: status A900
	Malformed  Refusal = "malformed"  // the UIDs of the data set cannot be read: status C000
)

// Observer observes an SCP. Its methods are called by several goroutines, and while the peer waits.
type Observer interface {
	// Failed is called when the TLS handshake of a peer fails. Association has its address.
	Failed(Association, error)
	// Associated is called when an association is accepted, with nil, or rejected.
	Associated(Association, *dicomnet.RejectError)
	// Refused is called when an instance is refused. n counts those of the association.
	Refused(a Association, why Refusal, n int)
	// Ended is called when an accepted association has ended, with the number of instances that were refused.
	Ended(a Association, refused int)
}

// Expectation says what a retrieval waits for, and who receives it.
type Expectation struct {
	// Peer is the PACS that sends.
	Peer pool.Peer
	// StudyInstanceUID is required. The others are empty below the level of the retrieval.
	StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID string
	// Syntax is which transfer syntax of a presentation context to accept.
	Syntax Preference
	// Receive receives an instance and returns the status of the response. read is what has been read of its data set, and valid during
	// the call; the rest is in the Instance. Several calls may run at once, on several associations. ctx ends with the lease and with
	// the association. The Instance agrees with the Expectation: SOP class and SOP instance are those of the command, of the
	// presentation context and of the data set, and the study, series and instance are those asked for.
	Receive func(ctx context.Context, in *dicomnet.Instance, head stream.Head, read []byte) dicomnet.Status
	// Foreign, if not nil, is called for each instance that is refused because no retrieval asked for it, if this one is the only retrieval
	// that it can have been sent for. Several calls may run at once.
	Foreign func(sopInstanceUID string)
}

// NoTitleError reports that no AE title of the SCP is a move destination at the PACS.
type NoTitleError struct{}

func (*NoTitleError) Error() string {
	return "no AE title of the storage SCP is a move destination of the PACS"
}

// Lease waits for an AE title under which the retrieval cannot be confused with another: none that is under way, or was released less
// than Options.Grace ago, could get the same instance from the same PACS. Those that wait get theirs in the order in which they came. The
// caller must call Lease.Release.
//
// The error is ErrClosed, a *NoTitleError, a *dicomnet.ConnectError if the host of the PACS has no address, or the cause of ctx.
func (s *SCP) Lease(ctx context.Context, e Expectation) (*Lease, error) {
	if e.StudyInstanceUID == "" || e.Receive == nil || e.SOPInstanceUID != "" && e.SeriesInstanceUID == "" {
		return nil, errors.New("an expectation lacks its study, its series or its receiver")
	}
	titles := s.titlesFor(&e.Peer)
	if len(titles) == 0 {
		return nil, &NoTitleError{}
	}
	from, err := s.source(ctx, &e.Peer)
	if err != nil {
		return nil, fmt.Errorf("storage SCP: %w", err)
	}
	l := &Lease{
		expectation: e, source: from, syntax: e.Syntax,
		scope: scope{e.StudyInstanceUID, e.SeriesInstanceUID, e.SOPInstanceUID},
	}
	l.ctx, l.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if err := s.book.lease(ctx, l, titles); err != nil {
		l.cancel(err)
		return nil, err
	}
	return l, nil
}

// titlesFor returns the titles that are move destinations at the PACS: those that its entry names, or else all.
func (s *SCP) titlesFor(peer *pool.Peer) []string {
	if peer.Settings == nil || len(peer.Settings.MoveDestinations) == 0 {
		return s.options.AETitles
	}
	return slices.DeleteFunc(slices.Clone(s.options.AETitles), func(title string) bool {
		return !slices.Contains(peer.Settings.MoveDestinations, title)
	})
}
