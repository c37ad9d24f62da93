package dicomnet

import (
	"errors"
	"fmt"
	"strings"
)

// Step names the part of an association's life in which an error arose.
type Step string

// The steps, in the order in which they happen.
const (
	StepConnect   Step = "connect"
	StepTLS       Step = "tls"
	StepAssociate Step = "associate"
	StepEcho      Step = "echo"
	StepFind      Step = "find"
	StepMove      Step = "move"
	StepStore     Step = "store"
	StepRelease   Step = "release"
)

// OpError is what every exported call that talks to a peer returns: the step at
// which it happened around the cause. Its text never holds patient data, peer
// free text or an address.
type OpError struct {
	Step Step
	Err  error
}

func (e *OpError) Error() string { return string(e.Step) + ": " + e.Err.Error() }

// Unwrap gives the cause to errors.Is and errors.As.
func (e *OpError) Unwrap() error { return e.Err }

func opError(step Step, err error) error {
	if err == nil {
		return nil
	}
	if _, wrapped := errors.AsType[*OpError](err); wrapped {
		return err
	}
	return &OpError{Step: step, Err: err}
}

// ConfigError is a fault of the caller, found before anything was sent.
type ConfigError struct{ Detail string }

func (e *ConfigError) Error() string { return "invalid configuration: " + e.Detail }

// ConnectError is a transport connection that did not come about. Its text
// leaves out the address; Unwrap gives the cause, which holds it.
type ConnectError struct{ Err error }

func (e *ConnectError) Error() string { return "cannot connect" }

// Unwrap gives the cause, whose text may hold the address.
func (e *ConnectError) Unwrap() error { return e.Err }

// TLSError is a failed handshake, or an alert that came in place of the first
// byte after one: TLS 1.3 reports a refused client certificate that late.
type TLSError struct{ Err error }

func (e *TLSError) Error() string { return "TLS handshake failed" }

// Unwrap gives the cause, whose text may hold names of the certificate.
func (e *TLSError) Unwrap() error { return e.Err }

// RejectError is an A-ASSOCIATE-RJ with its three numbers as received, reserved
// values included (PS3.8 section 9.3.4).
type RejectError struct{ Result, Source, Reason byte }

func (e *RejectError) Error() string {
	return "association rejected: " + e.ResultText() + ", " + e.SourceText() + ", " + e.ReasonText()
}

// Transient reports whether the peer said that a later attempt may succeed.
func (e *RejectError) Transient() bool { return e.Result == 2 }

// ResultText is the standard's word for Result.
func (e *RejectError) ResultText() string {
	switch e.Result {
	case 1:
		return "rejected-permanent"
	case 2:
		return "rejected-transient"
	}
	return fmt.Sprintf("result %d", e.Result)
}

// SourceText is the standard's word for Source.
func (e *RejectError) SourceText() string {
	switch e.Source {
	case 1:
		return "service-user"
	case 2:
		return "service-provider (ACSE)"
	case 3:
		return "service-provider (presentation)"
	}
	return fmt.Sprintf("source %d", e.Source)
}

// ReasonText is the standard's word for Reason, which depends on Source.
func (e *RejectError) ReasonText() string {
	text := map[[2]byte]string{
		{1, 1}: "no-reason-given", {1, 2}: "application-context-name-not-supported",
		{1, 3}: "calling-AE-title-not-recognized", {1, 7}: "called-AE-title-not-recognized",
		{2, 1}: "no-reason-given", {2, 2}: "protocol-version-not-supported",
		{3, 1}: "temporary-congestion", {3, 2}: "local-limit-exceeded",
	}[[2]byte{e.Source, e.Reason}]
	if text == "" {
		return fmt.Sprintf("reason %d", e.Reason)
	}
	return text
}

// AbortError is an association that ended by A-ABORT (PS3.8 section 9.3.8).
// Remote tells whether the peer sent it; the numbers are as on the wire.
type AbortError struct {
	Remote         bool
	Source, Reason byte
}

func (e *AbortError) Error() string {
	by := "aborted locally"
	if e.Remote {
		by = "aborted by the peer"
	}
	return by + ": " + e.SourceText() + ", " + e.ReasonText()
}

// SourceText is the standard's word for Source.
func (e *AbortError) SourceText() string {
	switch e.Source {
	case 0:
		return "service-user"
	case 2:
		return "service-provider"
	}
	return fmt.Sprintf("source %d", e.Source)
}

// ReasonText is the standard's word for Reason, which has a meaning only where
// the service-provider aborted.
func (e *AbortError) ReasonText() string {
	if e.Source == 0 {
		return "no reason"
	}
	switch e.Reason {
	case 0:
		return "reason-not-specified"
	case 1:
		return "unrecognized-PDU"
	case 2:
		return "unexpected-PDU"
	case 4:
		return "unrecognized-PDU-parameter"
	case 5:
		return "unexpected-PDU-parameter"
	case 6:
		return "invalid-PDU-parameter-value"
	}
	return fmt.Sprintf("reason %d", e.Reason)
}

// NoContextError says that no presentation context for what the caller asked
// was accepted (PS3.8 section 9.3.3.2).
type NoContextError struct{ Contexts []NegotiatedContext }

func (e *NoContextError) Error() string {
	var b strings.Builder
	b.WriteString("no usable presentation context")
	for i, pc := range e.Contexts {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		fmt.Fprintf(&b, "%s %s", pc.AbstractSyntax, pc.Result)
	}
	return b.String()
}

// StatusError is a final DIMSE response whose status is not success.
type StatusError struct {
	// Op is the operation that ended so.
	Op Step
	// Status is the code with its class; Detail what the peer added.
	Status Status
	Detail StatusDetail
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("status %s: %s", e.Status, e.Status.Meaning(e.Op))
}

// DataSetError is the data set of one response that cannot be read. The
// operation goes on.
type DataSetError struct{ Err error }

func (e *DataSetError) Error() string { return "undecodable data set: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *DataSetError) Unwrap() error { return e.Err }

// ProtocolError is a peer that broke the protocol; Detail is our own wording.
// Abort is the A-ABORT reason that was sent for it (source 2).
type ProtocolError struct {
	Detail string
	Abort  byte
	Err    error
}

func (e *ProtocolError) Error() string { return "protocol error: " + e.Detail }

// Unwrap gives the cause, where there is one.
func (e *ProtocolError) Unwrap() error { return e.Err }

// LimitError is a peer that exceeded one of Limits.
type LimitError struct {
	What string
	Max  int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("limit exceeded: %s, at most %d", e.What, e.Max)
}

// Timer names one of Timeouts.
type Timer string

// The timers.
const (
	TimerConnection Timer = "connection"
	TimerACSE       Timer = "acse"
	TimerDIMSE      Timer = "dimse"
	TimerMove       Timer = "move"
	TimerNetwork    Timer = "network"
)

// TimeoutError tells which timer ran out.
type TimeoutError struct{ Timer Timer }

func (e *TimeoutError) Error() string { return string(e.Timer) + " timeout" }

// Timeout makes TimeoutError a net.Error in spirit.
func (e *TimeoutError) Timeout() bool { return true }

var (
	// ErrNotDICOM says that the first byte of the peer was none that the Upper
	// Layer knows.
	ErrNotDICOM = errors.New("not a DICOM peer")
	// ErrTLSExpected says that a peer answered a plain A-ASSOCIATE-RQ in TLS.
	ErrTLSExpected = errors.New("the peer speaks TLS")
	// ErrReleased says that the peer released the association during an operation.
	ErrReleased = errors.New("released by the peer")
	// ErrConnectionLost says that the transport connection ended without A-ABORT
	// or release.
	ErrConnectionLost = errors.New("connection closed by the peer")
	// ErrClosed says that the association had ended before the call.
	ErrClosed = errors.New("association is closed")
)
