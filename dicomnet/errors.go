package dicomnet

import (
	"errors"
	"fmt"
	"strings"
)

// Step names the part of an association's life in which an error occurred.
type Step string

// Steps, in the order in which they happen.
const (
	StepConnect   Step = "connect"
	StepTLS       Step = "tls"
	StepAssociate Step = "associate"
	StepEcho      Step = "echo"
	StepFind      Step = "find"
	StepMove      Step = "move"
	StepGet       Step = "get"
	StepStore     Step = "store"
	StepRelease   Step = "release"
)

// OpError is the error of all exported calls that talk to a peer: the step that failed and the
// cause. Its text never contains patient data, free text of the peer or an address.
type OpError struct {
	Step Step
	Err  error
}

func (e *OpError) Error() string { return string(e.Step) + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

// opError wraps err in an OpError unless it is nil or wrapped already.
func opError(step Step, err error) error {
	if err == nil {
		return nil
	}
	if _, wrapped := errors.AsType[*OpError](err); wrapped {
		return err
	}
	return &OpError{Step: step, Err: err}
}

// ConfigError is a mistake of the caller that was found before anything was sent.
type ConfigError struct{ Detail string }

func (e *ConfigError) Error() string { return "invalid configuration: " + e.Detail }

// ConnectError is a failure to open the transport connection. Its text omits the address.
type ConnectError struct{ Err error }

func (e *ConnectError) Error() string { return "cannot connect" }

// Unwrap returns the cause, whose text may contain the address.
func (e *ConnectError) Unwrap() error { return e.Err }

// TLSError is a failed TLS handshake. It includes an alert that arrives instead of the first byte
// after the handshake: TLS 1.3 reports a rejected client certificate that late.
type TLSError struct{ Err error }

func (e *TLSError) Error() string { return "TLS handshake failed" }

// Unwrap returns the cause, whose text may contain names from a certificate.
func (e *TLSError) Unwrap() error { return e.Err }

// RejectError is an A-ASSOCIATE-RJ. It holds the three numbers as received, including reserved
// values (PS3.8 section 9.3.4).
type RejectError struct{ Result, Source, Reason byte }

func (e *RejectError) Error() string {
	return "association rejected: " + e.ResultText() + ", " + e.SourceText() + ", " + e.ReasonText()
}

// Transient reports whether the result is rejected-transient: a later attempt may succeed.
func (e *RejectError) Transient() bool { return e.Result == 2 }

// ResultText returns the standard's name of Result.
func (e *RejectError) ResultText() string {
	switch e.Result {
	case 1:
		return "rejected-permanent"
	case 2:
		return "rejected-transient"
	}
	return fmt.Sprintf("result %d", e.Result)
}

// SourceText returns the standard's name of Source.
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

// ReasonText returns the standard's name of Reason, which depends on Source.
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

// AbortError is an association that ended by A-ABORT (PS3.8 section 9.3.8). Remote reports whether
// the peer sent it. Source and Reason are the numbers in the PDU.
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

// SourceText returns the standard's name of Source.
func (e *AbortError) SourceText() string {
	switch e.Source {
	case 0:
		return "service-user"
	case 2:
		return "service-provider"
	}
	return fmt.Sprintf("source %d", e.Source)
}

// ReasonText returns the standard's name of Reason, which is significant only if the
// service-provider aborted.
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

// NoContextError reports that the peer accepted no presentation context for the request (PS3.8
// section 9.3.3.2). Contexts holds the answers.
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

// StatusError is a final DIMSE response with a status other than success.
type StatusError struct {
	// Op is the operation that ended with Status.
	Op Step
	// Status is the code; Detail holds the other elements that describe it.
	Status Status
	Detail StatusDetail
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("status %s: %s", e.Status, e.Status.Meaning(e.Op))
}

// NotReceivedError reports that the peer ended the association before it received the request: it
// released, aborted or closed the association between two operations, which it may do at any time.
// Nothing was done for the request, so the caller can send it again on a new association. Its text
// is that of Err.
type NotReceivedError struct{ Err error }

func (e *NotReceivedError) Error() string { return e.Err.Error() }

// Unwrap returns how the association ended.
func (e *NotReceivedError) Unwrap() error { return e.Err }

// DataSetError reports that the data set of one response cannot be decoded. The operation
// continues.
type DataSetError struct{ Err error }

func (e *DataSetError) Error() string { return "undecodable data set: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *DataSetError) Unwrap() error { return e.Err }

// ProtocolError reports that the peer broke the protocol. Detail is our own wording. Abort is the
// reason of the A-ABORT that was sent (with source 2).
type ProtocolError struct {
	Detail string
	Abort  byte
	Err    error
}

func (e *ProtocolError) Error() string { return "protocol error: " + e.Detail }

// Unwrap returns the cause, or nil.
func (e *ProtocolError) Unwrap() error { return e.Err }

// LimitError reports that the peer exceeded one of Limits.
type LimitError struct {
	What string
	Max  int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("limit exceeded: %s, at most %d", e.What, e.Max)
}

// Timer names one of the Timeouts.
type Timer string

// Timers of an association.
const (
	TimerConnection Timer = "connection"
	TimerACSE       Timer = "acse"
	TimerDIMSE      Timer = "dimse"
	TimerMove       Timer = "move"
	TimerNetwork    Timer = "network"
)

// TimeoutError reports which timer expired.
type TimeoutError struct{ Timer Timer }

func (e *TimeoutError) Error() string { return string(e.Timer) + " timeout" }

// Timeout returns true, as for a net.Error.
func (e *TimeoutError) Timeout() bool { return true }

var (
	// ErrNotDICOM reports that the first byte from the peer is not a PDU type of the Upper Layer.
	ErrNotDICOM = errors.New("not a DICOM peer")
	// ErrTLSExpected reports that the peer answered A-ASSOCIATE-RQ without TLS with a TLS record.
	ErrTLSExpected = errors.New("the peer expects TLS")
	// ErrReleased reports that the peer released the association during an operation.
	ErrReleased = errors.New("association released by the peer")
	// ErrConnectionLost reports that the transport connection ended without A-ABORT or release.
	ErrConnectionLost = errors.New("connection closed by the peer")
	// ErrClosed reports that the association had ended before the call.
	ErrClosed = errors.New("association is closed")
)
