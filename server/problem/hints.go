package problem

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/chain"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// EchoHint returns what to check after step i of the report, in plain words: always if the step failed, and for associate also
// if the PACS accepted C-ECHO without C-FIND or C-MOVE; else "". withTLS says whether the PACS was called with TLS. A hint
// holds no address and nothing that the peer sent.
func EchoHint(r *qr.EchoReport, i int, withTLS bool) string {
	s := &r.Steps[i]
	switch {
	case s.Status == qr.EchoFailed:
		return hintFor(s.Step, &stepFault{err: s.Err, tls: withTLS, find: acceptsFind(r)})
	case s.Step == dicomnet.StepAssociate && s.Accepted("C-ECHO"):
		return missingServices(s)
	}
	return ""
}

// acceptsFind reports whether the association was established and accepts C-FIND.
func acceptsFind(r *qr.EchoReport) bool {
	for i := range r.Steps {
		if s := &r.Steps[i]; s.Step == dicomnet.StepAssociate && s.Status == qr.EchoOK {
			return s.Accepted("C-FIND")
		}
	}
	return false
}

// missingServices returns the hint about an association that accepts C-ECHO but not everything that the gateway needs.
func missingServices(s *qr.EchoStep) string {
	const permit = " Check what the PACS permits to this calling AE title (Study Root)."
	find, move := s.Accepted("C-FIND"), s.Accepted("C-MOVE")
	switch {
	case !find && !move:
		return "The PACS accepts neither C-FIND nor C-MOVE from this caller: queries and retrieves will fail." + permit
	case !find:
		return "The PACS does not accept C-FIND from this caller: queries and retrieves will fail." + permit
	case !move:
		return "The PACS does not accept C-MOVE from this caller: retrieves will fail." + permit
	}
	return ""
}

// stepFault is why a step failed, with what else decides what to check.
type stepFault struct {
	err  error
	tls  bool // the PACS was called with TLS
	find bool // the association accepts C-FIND
}

// hint is what to check if a fault matches. The texts are for people who connect a PACS: they name the fields of a request and
// the settings.
type hint struct {
	matches func(*stepFault) bool
	text    string
}

// hintFor returns the first hint that matches at the step.
func hintFor(step dicomnet.Step, f *stepFault) string {
	for _, hints := range [][]hint{hintsAnywhere, hintsAt[step]} {
		for _, h := range hints {
			if h.matches(f) {
				return h.text
			}
		}
	}
	return "This fault is unusual. Check the log of the PACS at this time."
}

// hintsAnywhere are about faults that do not depend on the step.
var hintsAnywhere = []hint{
	{caused[*qr.OperationTimeoutError], "OPERATION_TIMEOUT ended the check during this step. Raise it above the time that all steps may take together."},
	{caused[*pool.NotAllowedError], "The gateway is not allowed to connect to this PACS. To permit it, add it to PACS_ALLOWLIST."},
	{caused[*pool.BusyError], "As many associations with this PACS are open as MAX_ASSOCIATIONS_PER_PACS permits, and none ended within QUEUE_TIMEOUT. Try again later."},
	{func(f *stepFault) bool { return outOfFiles(f.err) }, "The gateway or its machine has no free file descriptor, which says nothing about the PACS. Raise the limit of open files (ulimit -n, LimitNOFILE), or look for callers that leave connections open."},
	{causedBy(context.Canceled), "The check was cancelled during this step, which says nothing about the PACS."},
	{causedBy(context.DeadlineExceeded), "The time for the whole check ended during this step."},
}

var hintsAt = map[dicomnet.Step][]hint{
	pool.StepResolve:       resolveHints,
	dicomnet.StepConnect:   connectHints,
	dicomnet.StepTLS:       tlsHints,
	dicomnet.StepAssociate: associateHints,
	dicomnet.StepEcho:      echoHints,
}

var resolveHints = []hint{
	{timedOut, "The name servers did not answer in time. Check the DNS settings of the gateway's machine or container, or use the IP address."},
	{unknownName, "The host name has no address. Check its spelling, and that the name servers of the gateway's machine or container have it, or use the IP address."},
	{anyFault, "The name servers could not resolve the host name. Check the DNS settings of the gateway's machine or container, or use the IP address."},
}

var connectHints = []hint{
	{timedOut, "Nothing answered within CONNECTION_TIMEOUT. Check the address and that the machine is on; often a firewall between the gateway and the PACS drops the packets."},
	{causedBy(syscall.ECONNREFUSED), "The machine answers, but nothing accepts connections on this port. Check pacs_port, that the PACS is running, and that it listens on this address; a firewall may refuse too. In a container, 127.0.0.1 is the container itself."},
	{unreachable, "There is no route from the gateway to this address. Check the address, and the network, routes and VPN of the gateway's machine."},
	{anyFault, "No connection could be opened. Check pacs_ip and pacs_port, and what the gateway's machine may connect to."},
}

var tlsHints = []hint{
	{timedOut, "The connection is open, but the TLS handshake did not finish within CONNECTION_TIMEOUT. The port may be for DICOM without TLS: leave out pacs_tls, or use the TLS port of the PACS (often 2762)."},
	{caused[tls.RecordHeaderError], "The service on this port does not speak TLS. Leave out pacs_tls, or use the TLS port of the PACS (often 2762)."},
	{causedBy(chain.ErrTooLong), "The PACS presents more certificates than the gateway verifies: at most 6, 32 KiB in total, 2 with the same subject. Remove those that do not belong to the chain of its own certificate."},
	{notYetValid, "The certificate of the PACS is not valid yet. Check the clocks of the PACS and of the gateway's machine."},
	{expired, "The certificate of the PACS, or of its authority, has expired: renew it there. If it has not expired, check the clock of the gateway's machine."},
	{caused[x509.HostnameError], "The certificate of the PACS is for another name. Use as pacs_ip a name or address that is a subject alternative name in it (a common name alone does not count), or set DICOM_TLS_SERVER_NAME to such a name."},
	{caused[x509.UnknownAuthorityError], "The certificate of the PACS comes from an authority that the gateway does not trust. Set DICOM_TLS_CA_FILE to the certificate of that authority, or of the PACS itself if it is self-signed."},
	{caused[*tls.CertificateVerificationError], "The certificate of the PACS is not valid for a server. Check what it was issued for."},
	{alert(certificateRequired), "The PACS requires a certificate from the gateway and got none. Set DICOM_TLS_CERT_FILE and DICOM_TLS_KEY_FILE. If they are set, make the PACS trust the authority of that certificate: a certificate whose authority the PACS does not ask for is not sent."},
	{alert(certificateExpired), "The PACS reports that the gateway's certificate has expired. Renew that of DICOM_TLS_CERT_FILE, or check the clock of the PACS."},
	{alert(unknownCA), "The PACS does not trust the authority of the gateway's certificate. Add the authority of DICOM_TLS_CERT_FILE to those that the PACS trusts."},
	{alert(badCertificate, unsupportedCertificate, certificateRevoked, certificateUnknown, accessDenied), "The PACS refuses the gateway's certificate, or requires one. Check that DICOM_TLS_CERT_FILE and DICOM_TLS_KEY_FILE are set, and that the PACS trusts that certificate."},
	{alert(protocolVersion), "The PACS and the gateway have no version of TLS in common. The gateway speaks TLS 1.2 and 1.3: enable one of them at the PACS."},
	{alert(handshakeFailure, insufficientSecurity), "The PACS found no TLS settings in common, or requires a certificate from the gateway. Enable TLS 1.2 or 1.3 with ECDHE and AES-GCM at the PACS, and check whether it needs DICOM_TLS_CERT_FILE."},
	{alert(unrecognizedName), "The PACS has no certificate for the name it was called by. Set DICOM_TLS_SERVER_NAME to the name in its certificate."},
	{closed, "The peer closed the connection during the handshake. The port may be for DICOM without TLS: leave out pacs_tls, or use the TLS port of the PACS (often 2762). Otherwise check the log of the PACS."},
	{anyFault, "The PACS and the gateway could not agree on TLS. The gateway speaks TLS 1.2 and 1.3 with ECDHE and AES-GCM: check the TLS settings and the log of the PACS."},
}

const aeTitlesAndAddress = " Check at the PACS that it has the calling AE title (c_find_ae_title) and the address of the gateway registered, and that pacs_ae_title is its own; case counts."

var associateHints = []hint{
	{rejected(1, 7), "The PACS does not answer to this called AE title. Check pacs_ae_title against the configuration of the PACS; case counts."},
	{rejected(1, 3), "The PACS does not accept this calling AE title. Register c_find_ae_title at the PACS, often together with the address of the gateway, or use a title that is registered there; case counts."},
	{rejected(3, 1), "The PACS is busy at the moment (temporary congestion). Try again later; if it stays so, raise how many associations the PACS accepts, or look for callers that leave theirs open."},
	{rejected(3, 2), "The PACS has reached a limit of its own, usually the number of associations. Try again later, or raise that limit at the PACS."},
	{rejected(2, 2), "The PACS refuses this version of the DICOM protocol, of which there is only one. Check that the port is that of a DICOM service."},
	{rejected(1, 2), "The PACS refuses the DICOM application context, of which there is only one. Check that the port is that of a DICOM service."},
	{transient, "The PACS refuses associations for now. Try again later, and check its log."},
	{caused[*dicomnet.RejectError], "The PACS rejected the association and gave no usable reason." + aeTitlesAndAddress},
	{caused[*dicomnet.NoContextError], "The PACS accepted the association, but none of C-ECHO, C-FIND and C-MOVE (Study Root). Check that this is a Query/Retrieve service, and what the PACS permits to this calling AE title."},
	{causedBy(dicomnet.ErrTLSExpected), "The PACS expects TLS on this port. Set pacs_tls to true, or use its port for DICOM without TLS."},
	{causedBy(dicomnet.ErrNotDICOM), "The service on this port does not speak DICOM. Check pacs_port: it may belong to a web server or another service. DICOM is often on 104, 11112 or 4242."},
	{caused[*dicomnet.AbortError], "The PACS aborted the negotiation without a reason: often it does not have the AE title or the address of the caller registered." + aeTitlesAndAddress},
	{timedOut, "The connection is open, but no answer to the association request came in time (ACSE_TIMEOUT, or NETWORK_TIMEOUT within a message). Check that pacs_port is that of a DICOM service, that pacs_tls is right, and whether the PACS hangs or is overloaded."},
	{closedTLS, "The PACS closed the connection without an answer." + aeTitlesAndAddress + " It may also have refused the gateway's certificate."},
	{closed, "The peer closed the connection without an answer. It may expect TLS (pacs_tls) or may not be a DICOM service." + aeTitlesAndAddress},
	{anyFault, "The service on this port violated the DICOM protocol during the negotiation. Check that pacs_port is that of a DICOM service."},
}

var echoHints = []hint{
	{noEchoButFind, "The PACS refuses C-ECHO from this caller but accepts C-FIND, so queries may work. Permit Verification to this calling AE title at the PACS."},
	{caused[*dicomnet.NoContextError], "The PACS accepts neither C-ECHO nor C-FIND from this caller. Check what it permits to this calling AE title."},
	{caused[*dicomnet.StatusError], "The PACS answered C-ECHO with a failure. Check the status and the log of the PACS."},
	{timedOut, "The PACS accepted the association and then did not answer C-ECHO in time (DIMSE_TIMEOUT, or NETWORK_TIMEOUT within a message). Check whether it hangs or is overloaded."},
	{endedByPeer, "The PACS accepted the association and ended it instead of answering C-ECHO. Check what it permits to this calling AE title, and its log."},
	{anyFault, "The answer to C-ECHO violated the DICOM protocol. Check that pacs_port is that of a DICOM service, and the log of the PACS."},
}

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
