package qr

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
)

// fault is why a step failed, with what else matters for what to check.
type fault struct {
	err  error
	tls  bool // the peer is to be called with TLS
	find bool // the association takes C-FIND
}

// hint is what to check where a fault matches. The texts are for whoever connects a PACS: they name the fields of a request
// and the settings by the names that are seen outside.
type hint struct {
	matches func(*fault) bool
	text    string
}

// hintFor is the first hint that matches at the step.
func hintFor(step dicomnet.Step, f *fault) string {
	for _, hints := range [][]hint{everywhere, hintsAt[step]} {
		for _, h := range hints {
			if h.matches(f) {
				return h.text
			}
		}
	}
	return "This fault is an unusual one. The log of the PACS at this moment may tell more."
}

// everywhere are the hints about faults that tell nothing of the step.
var everywhere = []hint{
	{caused[*OperationTimeoutError], "OPERATION_TIMEOUT ended the check in the middle of this step: give it more time than the steps may take together."},
	{caused[*NotAllowedError], "The gateway may not connect to this PACS. Add it to PACS_ALLOWLIST if it shall."},
	{caused[*BusyError], "As many associations with this PACS are open as MAX_ASSOCIATIONS_PER_PACS permits, and none ended within QUEUE_TIMEOUT. Try again later."},
	{is(context.Canceled), "The check was cancelled in the middle of this step, which says nothing about the PACS."},
	{is(context.DeadlineExceeded), "The time for the whole check was over in the middle of this step."},
}

var hintsAt = map[dicomnet.Step][]hint{
	StepResolve:            resolveHints,
	dicomnet.StepConnect:   connectHints,
	dicomnet.StepTLS:       tlsHints,
	dicomnet.StepAssociate: associateHints,
	dicomnet.StepEcho:      echoHints,
}

var resolveHints = []hint{
	{timedOut, "The name servers did not answer in time. Check the DNS settings of the gateway's machine or container, or give the IP address."},
	{unknownName, "The host name has no address. Check its spelling, and that the name servers of the gateway's machine or container know it, or give the IP address."},
	{anything, "The name servers could not say which address the host name has. Check the DNS settings of the gateway's machine or container, or give the IP address."},
}

var connectHints = []hint{
	{timedOut, "Nothing answered within CONNECTION_TIMEOUT. Check the address and that the machine is on; often a firewall between the gateway and the PACS drops the packets."},
	{is(syscall.ECONNREFUSED), "The machine answers, but nothing takes connections on this port. Check pacs_port, that the PACS is running, and that it listens on this address; a firewall may refuse too. In a container, 127.0.0.1 is the container itself."},
	{unreachable, "There is no way from the gateway to this address. Check the address, and the network, routes and VPN of the gateway's machine."},
	{anything, "No connection could be opened. Check pacs_ip and pacs_port, and what the gateway's machine may connect to."},
}

var tlsHints = []hint{
	{timedOut, "The connection is open, but no TLS handshake came about within CONNECTION_TIMEOUT. The port may be for DICOM without TLS: leave out pacs_tls, or give the PACS's TLS port (often 2762)."},
	{caused[tls.RecordHeaderError], "What answers at this port does not speak TLS. Leave out pacs_tls, or give the PACS's TLS port (often 2762)."},
	{notYetValid, "The certificate of the PACS is not valid yet. Check the clocks of the PACS and of the gateway's machine."},
	{expired, "The certificate of the PACS, or of its authority, has expired: it must be renewed there. If it has not, check the clock of the gateway's machine."},
	{caused[x509.HostnameError], "The certificate of the PACS is for another name. Give as pacs_ip a name or address that is in it as a subject alternative name (a common name alone does not count), or set DICOM_TLS_SERVER_NAME to such a name."},
	{caused[x509.UnknownAuthorityError], "The certificate of the PACS comes from an authority that the gateway does not trust. Have DICOM_TLS_CA_FILE name that authority's certificate, or the PACS's own where it is self-signed."},
	{caused[*tls.CertificateVerificationError], "The certificate of the PACS cannot stand for a server. Check what it was issued for."},
	{alert(certificateRequired), "The PACS wants a certificate of the gateway and got none. Set DICOM_TLS_CERT_FILE and DICOM_TLS_KEY_FILE; where they are set, have the PACS trust the authority of that certificate, for one whose authority it does not ask for is not sent."},
	{alert(certificateExpired), "The PACS says that the gateway's certificate has expired. Renew that of DICOM_TLS_CERT_FILE, or check the clock of the PACS."},
	{alert(unknownCA), "The PACS does not trust the authority of the gateway's certificate. Add the authority of DICOM_TLS_CERT_FILE to those that the PACS trusts."},
	{alert(badCertificate, unsupportedCertificate, certificateRevoked, certificateUnknown, accessDenied), "The PACS refuses the gateway's certificate, or misses one. Check that DICOM_TLS_CERT_FILE and DICOM_TLS_KEY_FILE are set, and that the PACS trusts that certificate."},
	{alert(protocolVersion), "The PACS and the gateway have no version of TLS in common. The gateway speaks TLS 1.2 and 1.3: enable one of them at the PACS."},
	{alert(handshakeFailure, insufficientSecurity), "The PACS found no TLS settings in common, or wants a certificate of the gateway. Enable TLS 1.2 or 1.3 with ECDHE and AES-GCM at the PACS, and see whether it needs DICOM_TLS_CERT_FILE."},
	{alert(unrecognizedName), "The PACS has no certificate for the name it was called by. Set DICOM_TLS_SERVER_NAME to the name in its certificate."},
	{closed, "The peer closed the connection during the handshake. The port may be for DICOM without TLS: leave out pacs_tls, or give the PACS's TLS port (often 2762). Else the log of the PACS tells why."},
	{anything, "The PACS and the gateway could not agree on TLS. The gateway speaks TLS 1.2 and 1.3 with ECDHE and AES-GCM: check the TLS settings and the log of the PACS."},
}

const aeTitlesAndAddress = " Check at the PACS that it knows the calling AE title (c_find_ae_title) and the address of the gateway, and that pacs_ae_title is its own; case counts."

var associateHints = []hint{
	{rejected(1, 7), "The PACS does not answer to this called AE title: the PACS must know it as its own. Check pacs_ae_title against the PACS's configuration; case counts."},
	{rejected(1, 3), "The PACS does not know this calling AE title. Register c_find_ae_title at the PACS, often together with the address of the gateway, or call under a title that it knows; case counts."},
	{rejected(3, 1), "The PACS is busy at the moment (temporary congestion). Try again later; if it stays so, raise how many associations the PACS takes, or look for callers that leave theirs open."},
	{rejected(3, 2), "The PACS has reached a limit of its own, mostly that of associations. Try again later, or raise that limit at the PACS."},
	{rejected(2, 2), "The PACS refuses this version of the DICOM protocol, of which there is only one. Check that the port is that of a DICOM service."},
	{rejected(1, 2), "The PACS refuses the DICOM application context, of which there is only one. Check that the port is that of a DICOM service."},
	{transient, "The PACS refuses associations for now. Try again later; its log tells why."},
	{caused[*dicomnet.RejectError], "The PACS rejected the association and gave no usable reason." + aeTitlesAndAddress},
	{caused[*dicomnet.NoContextError], "The PACS took the association, but not one of C-ECHO, C-FIND and C-MOVE (Study Root). Check that this is a Query/Retrieve service, and what the PACS permits to this calling AE title."},
	{is(dicomnet.ErrTLSExpected), "The PACS expects TLS on this port. Set pacs_tls to true, or give its port for DICOM without TLS."},
	{is(dicomnet.ErrNotDICOM), "What answers at this port does not speak DICOM. Check pacs_port: a web server or another service may have it. DICOM is often on 104, 11112 or 4242."},
	{caused[*dicomnet.AbortError], "The PACS broke off the negotiation without saying why: often the AE title or the address of the caller is unknown to it." + aeTitlesAndAddress},
	{timedOut, "The connection is open, but no answer to the association request came in time (ACSE_TIMEOUT, or NETWORK_TIMEOUT in mid-message). Check that pacs_port is that of a DICOM service and that pacs_tls is right, and whether the PACS hangs or is overloaded."},
	{closedTLS, "The PACS closed the connection without a word." + aeTitlesAndAddress + " It may also have refused the gateway's certificate."},
	{closed, "The peer closed the connection without a word. It may expect TLS (pacs_tls) or not be a DICOM service at all." + aeTitlesAndAddress},
	{anything, "What answers at this port broke the DICOM protocol while negotiating. Check that pacs_port is that of a DICOM service."},
}

var echoHints = []hint{
	{noEchoButFind, "The PACS refuses C-ECHO to this caller but accepts C-FIND, so queries may well work. Permit Verification to this calling AE title at the PACS."},
	{caused[*dicomnet.NoContextError], "The PACS accepts neither C-ECHO nor C-FIND of this caller. Check what it permits to this calling AE title."},
	{caused[*dicomnet.StatusError], "The PACS answered C-ECHO with a failure. The status tells more, and so does the log of the PACS."},
	{timedOut, "The PACS took the association and then did not answer C-ECHO in time (DIMSE_TIMEOUT, or NETWORK_TIMEOUT in mid-message). Check whether it hangs or is overloaded."},
	{ended, "The PACS took the association and ended it instead of answering C-ECHO. Check what it permits to this calling AE title; its log tells why."},
	{anything, "The answer to C-ECHO broke the DICOM protocol. Check that pacs_port is that of a DICOM service; the log of the PACS may tell more."},
}

// withoutServices is the hint about an association that takes C-ECHO and not all that the gateway is for; "" where it does.
func withoutServices(assoc *dicomnet.Association) string {
	const permit = " Check what the PACS permits to this calling AE title (Study Root)."
	find, move := assoc.Accepts(dicomnet.StudyRoot.Find), assoc.Accepts(dicomnet.StudyRoot.Move)
	switch {
	case !find && !move:
		return "The PACS accepts neither C-FIND nor C-MOVE of this caller: queries and retrieves will fail." + permit
	case !find:
		return "The PACS does not accept C-FIND of this caller: queries and retrieves will fail." + permit
	case !move:
		return "The PACS does not accept C-MOVE of this caller: retrieves will fail." + permit
	}
	return ""
}

func anything(*fault) bool { return true }

func caused[T error](f *fault) bool {
	_, ok := errors.AsType[T](f.err)
	return ok
}

func is(target error) func(*fault) bool {
	return func(f *fault) bool { return errors.Is(f.err, target) }
}

var timedOut = caused[*dicomnet.TimeoutError]

func unknownName(f *fault) bool {
	dns, ok := errors.AsType[*net.DNSError](f.err)
	return ok && dns.IsNotFound
}

func unreachable(f *fault) bool {
	return errors.Is(f.err, syscall.EHOSTUNREACH) || errors.Is(f.err, syscall.ENETUNREACH)
}

func closed(f *fault) bool {
	for _, end := range []error{dicomnet.ErrConnectionLost, io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(f.err, end) {
			return true
		}
	}
	return false
}

func closedTLS(f *fault) bool { return f.tls && closed(f) }

func noEchoButFind(f *fault) bool { return f.find && caused[*dicomnet.NoContextError](f) }

// ended is an association that the peer ended, in whichever way.
func ended(f *fault) bool {
	return closed(f) || errors.Is(f.err, dicomnet.ErrReleased) || caused[*dicomnet.AbortError](f)
}

func expired(f *fault) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](f.err)
	return ok && invalid.Reason == x509.Expired
}

// notYetValid is what crypto/x509 counts as expired too.
func notYetValid(f *fault) bool {
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

// alert tells alerts of the peer by their text: outside QUIC, crypto/tls keeps their type to itself.
func alert(alerts ...uint8) func(*fault) bool {
	return func(f *fault) bool {
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

func rejected(source, reason byte) func(*fault) bool {
	return func(f *fault) bool {
		reject, ok := errors.AsType[*dicomnet.RejectError](f.err)
		return ok && reject.Source == source && reject.Reason == reason
	}
}

func transient(f *fault) bool {
	reject, ok := errors.AsType[*dicomnet.RejectError](f.err)
	return ok && reject.Transient()
}
