package dicomnet

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pdu"
)

// Config configures an association for Dial. The caller must not change it while the association
// exists.
type Config struct {
	// CalledAETitle names the application entity of the peer, CallingAETitle our own. Each has 1 to
	// 16 characters of the value representation AE (PS3.5 section 6.2).
	CalledAETitle, CallingAETitle string

	// Contexts lists the presentation contexts to propose, 1 to 128 of them, in this order. They
	// get the identifiers 1, 3, 5, … in the same order.
	Contexts []Context

	// Roles proposes roles of this side for SOP classes of Contexts (PS3.7 section D.3.3.4). For a
	// class without an entry this side is SCU, and SCU only.
	Roles []Role

	// MessageID, if not nil, returns the message ID of the next operation, from 1 to 65535. If it is nil, an association counts from 1.
	MessageID func() uint16

	// Timeouts bound every wait. A zero field means that there is no bound of that kind.
	Timeouts Timeouts

	// TLS, if not nil, makes the connection a DICOM TLS connection (PS3.15 annex B). An empty
	// ServerName is taken from the address.
	TLS *tls.Config

	// DefaultCharacterSet is assumed in the data sets of the peer that name none, in place of the default repertoire.
	DefaultCharacterSet dataset.CharacterSet

	// Limits bound what a peer can make this side hold. Zero fields select the defaults.
	Limits Limits

	// DialContext opens the transport connection. If it is nil, a net.Dialer is used.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// Trace, if not nil, observes the association.
	Trace *Trace
}

// Context is a presentation context to propose or accept: an abstract syntax and its transfer
// syntaxes, the preferred one first (PS3.8 section 9.3.2.2).
type Context struct {
	AbstractSyntax   string
	TransferSyntaxes []dataset.TransferSyntax
}

// Role says in which roles the requestor of an association acts for a SOP class.
type Role struct {
	SOPClassUID string
	SCU, SCP    bool
}

// Timeouts are the timers of an association, measured on the monotonic clock.
type Timeouts struct {
	// Connection bounds name resolution, TCP connect and TLS handshake together.
	Connection time.Duration
	// ACSE bounds the wait from A-ASSOCIATE-RQ written to its complete answer and, separately, from
	// A-RELEASE-RQ written to A-RELEASE-RP.
	ACSE time.Duration
	// DIMSE bounds the wait for the next complete response message. Bytes that trickle in do not
	// extend it.
	DIMSE time.Duration
	// Move replaces DIMSE for C-MOVE and C-GET; zero means DIMSE.
	Move time.Duration
	// Network bounds each silence within a PDU and each write that makes no progress.
	Network time.Duration
}

// Limits bound what a peer can make this side hold or read. They are in bytes unless stated
// otherwise.
type Limits struct {
	// MaxPDULength is the maximum length that we advertise (PS3.8 annex D.1). PDUs that we send do
	// not exceed it either, even if the peer states no limit.
	MaxPDULength uint32
	// MaxReceivedPDULength is the length accepted from peers that ignore MaxPDULength.
	MaxReceivedPDULength uint32
	// MaxCommandSet and MaxDataSet bound one assembled command set and data set.
	MaxCommandSet, MaxDataSet int
	// MaxInstance bounds the data set of one C-STORE that is read while it arrives.
	MaxInstance int64
	// MaxFragments bounds the number of PDVs of a message; a data set that is read while it arrives may have one more for each 128
	// bytes. MaxEmptyFragments bounds the number of empty ones, counting P-DATA-TF PDUs without a PDV as well.
	MaxFragments, MaxEmptyFragments int
	// MaxOperationBytes bounds all that one operation receives, without the data sets that MaxInstance bounds.
	MaxOperationBytes int64
	// CancelGrace bounds the wait for the final response after C-CANCEL-RQ, MaxAfterCancel the
	// number of responses and of C-STORE requests accepted in that time.
	CancelGrace    time.Duration
	MaxAfterCancel int
	// DataSet bounds the structure of one data set.
	DataSet dataset.Limits
}

// RetrievalPDULength is the MaxPDULength for associations on which instances arrive. Of 500 CT images of 525 KB, dcmqrscp and Orthanc
// send 1 GB/s with it, and 0.6 GB/s with 16384; with more nothing is gained. Much longer PDUs are a burden: pynetdicom makes one of a
// whole instance.
const RetrievalPDULength = 131072

// DefaultLimits replace zero fields of Limits.
var DefaultLimits = Limits{
	MaxPDULength:         16384,
	MaxReceivedPDULength: 131072,
	MaxCommandSet:        16 << 10,
	MaxDataSet:           1 << 20,
	MaxInstance:          4 << 30,
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
	setDefault(&l.MaxInstance, d.MaxInstance)
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

// ValidAETitle reports whether s is an application entity title: 1 to 16 characters of the ISO 646
// basic graphic set without backslash, not all of them spaces (PS3.5 section 6.2, AE). Leading and
// trailing spaces are insignificant but count as characters.
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
	return c.checkRoles()
}

func (c *Config) checkRoles() error {
	for i, role := range c.Roles {
		same := func(other Role) bool { return other.SOPClassUID == role.SOPClassUID }
		switch {
		case !role.SCU && !role.SCP:
			return &ConfigError{Detail: "role selection without a role"}
		case slices.ContainsFunc(c.Roles[:i], same):
			return &ConfigError{Detail: "two role selections for a SOP class"}
		case !slices.ContainsFunc(c.Contexts, func(pc Context) bool { return pc.AbstractSyntax == role.SOPClassUID }):
			return &ConfigError{Detail: "role selection for a SOP class without a presentation context"}
		}
	}
	return nil
}

// agreedSCP reports whether the requestor may act as SCP for the class: both sides must say so, and the first
// answer for a class counts. Some peers answer once for each presentation context, or for classes that were not proposed.
func agreedSCP(proposed []Role, answers []pdu.RoleSelection, sopClass string) bool {
	if !slices.ContainsFunc(proposed, func(r Role) bool { return r.SOPClassUID == sopClass && r.SCP }) {
		return false
	}
	i := slices.IndexFunc(answers, func(r pdu.RoleSelection) bool { return r.SOPClassUID == sopClass })
	return i >= 0 && answers[i].SCP
}
