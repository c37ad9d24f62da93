package problem

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"time"

	"dicom-qr-gateway/dicomnet"
)

func anyFault(*stepFault) bool { return true }

func caused[T error](f *stepFault) bool {
	_, ok := errors.AsType[T](f.err)
	return ok
}

func causedBy(target error) func(*stepFault) bool {
	return func(f *stepFault) bool { return errors.Is(f.err, target) }
}

var timedOut = caused[*dicomnet.TimeoutError]

func unknownName(f *stepFault) bool {
	dns, ok := errors.AsType[*net.DNSError](f.err)
	return ok && dns.IsNotFound
}

func unreachable(f *stepFault) bool {
	return errors.Is(f.err, syscall.EHOSTUNREACH) || errors.Is(f.err, syscall.ENETUNREACH)
}

func closed(f *stepFault) bool {
	for _, end := range []error{dicomnet.ErrConnectionLost, io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(f.err, end) {
			return true
		}
	}
	return false
}

func closedTLS(f *stepFault) bool { return f.tls && closed(f) }

func noEchoButFind(f *stepFault) bool { return f.find && caused[*dicomnet.NoContextError](f) }

// endedByPeer reports whether the peer ended the association, in any way.
func endedByPeer(f *stepFault) bool {
	return closed(f) || errors.Is(f.err, dicomnet.ErrReleased) || caused[*dicomnet.AbortError](f)
}

func expired(f *stepFault) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](f.err)
	return ok && invalid.Reason == x509.Expired
}

// notYetValid reports a certificate that is not valid yet, which crypto/x509 reports as expired.
func notYetValid(f *stepFault) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](f.err)
	return ok && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore)
}

// The alerts that a peer sends when it refuses a handshake (RFC 8446 section 6.2).
const (
	handshakeFailure       = 40
	badCertificate         = 42
	unsupportedCertificate = 43
	certificateRevoked     = 44
	certificateExpired     = 45
	certificateUnknown     = 46
	unknownCA              = 48
	accessDenied           = 49
	protocolVersion        = 70
	insufficientSecurity   = 71
	unrecognizedName       = 112
	certificateRequired    = 116
)

// alert matches alerts of the peer by their text, because crypto/tls exports their numbers only for QUIC.
func alert(alerts ...uint8) func(*stepFault) bool {
	return func(f *stepFault) bool {
		op, ok := errors.AsType[*net.OpError](f.err)
		if !ok || op.Op != "remote error" {
			return false
		}
		for _, a := range alerts {
			if op.Err.Error() == tls.AlertError(a).Error() {
				return true
			}
		}
		return false
	}
}

func rejected(source, reason byte) func(*stepFault) bool {
	return func(f *stepFault) bool {
		reject, ok := errors.AsType[*dicomnet.RejectError](f.err)
		return ok && reject.Source == source && reject.Reason == reason
	}
}

func transient(f *stepFault) bool {
	reject, ok := errors.AsType[*dicomnet.RejectError](f.err)
	return ok && reject.Transient()
}

func withStatus(s dicomnet.Status) func(*stepFault) bool {
	return func(f *stepFault) bool {
		final, ok := errors.AsType[*dicomnet.StatusError](f.err)
		return ok && final.Status == s
	}
}

func expiredTimer(timers ...dicomnet.Timer) func(*stepFault) bool {
	return func(f *stepFault) bool {
		timeout, ok := errors.AsType[*dicomnet.TimeoutError](f.err)
		return ok && slices.Contains(timers, timeout.Timer)
	}
}

// withoutEcho matches a peer that accepted none of the services that /echo proposes.
func withoutEcho(f *stepFault) bool {
	none, ok := errors.AsType[*dicomnet.NoContextError](f.err)
	return ok && slices.ContainsFunc(none.Contexts, func(pc dicomnet.NegotiatedContext) bool {
		return pc.AbstractSyntax == dicomnet.VerificationSOPClass
	})
}

// withoutService matches a peer that did not accept the service of /q or /qr.
func withoutService(f *stepFault) bool { return caused[*dicomnet.NoContextError](f) && !withoutEcho(f) }

func lost(f *stepFault) bool { return closed(f) || errors.Is(f.err, dicomnet.ErrClosed) }

func violated(f *stepFault) bool {
	return caused[*dicomnet.ProtocolError](f) || caused[*dicomnet.DataSetError](f)
}
