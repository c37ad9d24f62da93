package dicomnet

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Config says how Dial opens an association. It is read during Dial and while
// the association lives and must not be changed by the caller in between.
type Config struct {
	// CalledAETitle names the peer's application entity, CallingAETitle our own:
	// 1 to 16 characters of the AE value representation (PS3.5 section 6.2).
	CalledAETitle, CallingAETitle string

	// Contexts are the presentation contexts to propose, in this order; 1 to 128
	// of them. Identifiers 1, 3, 5, … are assigned in the same order.
	Contexts []Context

	// Timeouts bound every wait. A zero field means no bound of that kind.
	Timeouts Timeouts

	// TLS, where set, makes the connection a DICOM TLS one (PS3.15 annex B). A
	// ServerName left empty is taken from the address.
	TLS *tls.Config

	// Limits bound what a peer can make this side hold; zero fields stand for
	// the defaults.
	Limits Limits

	// DialContext opens the transport connection; nil means a net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// Trace, where set, is told what happens on the association.
	Trace *Trace
}

// Context is a presentation context to propose or to accept: one abstract
// syntax with the transfer syntaxes for it, the preferred one first
// (PS3.8 section 9.3.2.2).
type Context struct {
	AbstractSyntax   string
	TransferSyntaxes []dataset.TransferSyntax
}

// Timeouts are the clocks of an association, all measured on the monotonic clock.
type Timeouts struct {
	// Connection bounds name resolution, TCP connect and TLS handshake together.
	Connection time.Duration
	// ACSE bounds the wait from A-ASSOCIATE-RQ written to its complete answer and,
	// anew, from A-RELEASE-RQ written to A-RELEASE-RP.
	ACSE time.Duration
	// DIMSE bounds the wait for the next complete response message. It is absolute
	// a message: bytes that trickle in do not extend it.
	DIMSE time.Duration
	// Move takes the place of DIMSE while a C-MOVE runs; zero means DIMSE.
	Move time.Duration
	// Network bounds a silence inside a PDU and a write that makes no progress.
	Network time.Duration
}

// Limits bound what a peer can make this side hold or read (all in bytes unless
// said otherwise).
type Limits struct {
	// MaxPDULength is what we advertise (PS3.8 annex D.1) and what one PDU of ours
	// never exceeds, even where the peer states no limit.
	MaxPDULength uint32
	// MaxReceivedPDULength is what is tolerated from peers that ignore MaxPDULength.
	MaxReceivedPDULength uint32
	// MaxCommandSet and MaxDataSet bound one assembled command set and data set.
	MaxCommandSet, MaxDataSet int
	// MaxFragments bounds the PDVs of one message; MaxEmptyFragments those without
	// a byte in them, P-DATA-TF PDUs without a PDV included.
	MaxFragments, MaxEmptyFragments int
	// MaxOperationBytes bounds what one operation may receive in all.
	MaxOperationBytes int64
	// CancelGrace bounds the wait for a final response after C-CANCEL-RQ, and
	// MaxAfterCancel counts the responses taken meanwhile.
	CancelGrace    time.Duration
	MaxAfterCancel int
	// DataSet bounds the structure of one data set.
	DataSet dataset.Limits
}

// DefaultLimits are the limits that stand in for zero fields.
var DefaultLimits = Limits{
	MaxPDULength:         16384,
	MaxReceivedPDULength: 131072,
	MaxCommandSet:        16 << 10,
	MaxDataSet:           1 << 20,
	MaxFragments:         4096,
	MaxEmptyFragments:    64,
	MaxOperationBytes:    64 << 20,
	CancelGrace:          2 * time.Second,
	MaxAfterCancel:       10000,
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits
	setDefault(&l.MaxPDULength, d.MaxPDULength)
	setDefault(&l.MaxReceivedPDULength, d.MaxReceivedPDULength)
	setDefault(&l.MaxCommandSet, d.MaxCommandSet)
	setDefault(&l.MaxDataSet, d.MaxDataSet)
	setDefault(&l.MaxFragments, d.MaxFragments)
	setDefault(&l.MaxEmptyFragments, d.MaxEmptyFragments)
	setDefault(&l.MaxOperationBytes, d.MaxOperationBytes)
	setDefault(&l.CancelGrace, d.CancelGrace)
	setDefault(&l.MaxAfterCancel, d.MaxAfterCancel)
	return l
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// ValidAETitle reports whether s is an application entity title: 1 to 16
// characters of the ISO 646 basic graphic set without backslash, not spaces
// alone (PS3.5 section 6.2, AE). Outer spaces carry no meaning but count as
// characters.
func ValidAETitle(s string) bool {
	if len(s) < 1 || len(s) > 16 || strings.Trim(s, " ") == "" {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e || s[i] == '\\' {
			return false
		}
	}
	return true
}

func (c *Config) check() error {
	switch {
	case !ValidAETitle(c.CalledAETitle):
		return &ConfigError{Detail: "called AE title is not a valid AE value"}
	case !ValidAETitle(c.CallingAETitle):
		return &ConfigError{Detail: "calling AE title is not a valid AE value"}
	case len(c.Contexts) < 1 || len(c.Contexts) > 128:
		return &ConfigError{Detail: fmt.Sprintf("%d presentation contexts, want 1 to 128", len(c.Contexts))}
	}
	for _, pc := range c.Contexts {
		if len(pc.TransferSyntaxes) == 0 {
			return &ConfigError{Detail: "presentation context without a transfer syntax"}
		}
	}
	return nil
}
