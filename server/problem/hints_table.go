package problem

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"syscall"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/chain"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

const aeTitlesAndAddress = " Check at the PACS that it has the calling AE title (c_find_ae_title) and the address of the gateway registered, and that pacs_ae_title is its own; case counts."

const nameServers = "The name servers could not resolve the host name. Check the DNS settings of the gateway's machine or container, or use the IP address."

const noFileDescriptor = "The gateway or its machine has no free file descriptor, which says nothing about the PACS. Raise the limit of open files (ulimit -n, LimitNOFILE), or look for callers that leave connections open."

// The steps of the hints.
var (
	atResolve   = []dicomnet.Step{pool.StepResolve}
	atConnect   = []dicomnet.Step{dicomnet.StepConnect}
	atTLS       = []dicomnet.Step{dicomnet.StepTLS}
	atAssociate = []dicomnet.Step{dicomnet.StepAssociate}
	atEcho      = []dicomnet.Step{dicomnet.StepEcho}
	atFind      = []dicomnet.Step{dicomnet.StepFind}
	atMove      = []dicomnet.Step{dicomnet.StepMove}
	atGet       = []dicomnet.Step{stepGet}
	atWork      = []dicomnet.Step{dicomnet.StepFind, dicomnet.StepMove, stepGet}
	naming      = []dicomnet.Step{pool.StepResolve, dicomnet.StepConnect}
	requesting  = []dicomnet.Step{dicomnet.StepAssociate, dicomnet.StepFind, dicomnet.StepMove, stepGet}
)

// hints is the one table of what to check, for the steps of /echo and for the problem documents of all operations. The first
// hint that matches counts, so a more specific one comes first, and each step ends with one for any fault.
var hints = []hint{
	{nil, caused[*qr.OperationTimeoutError], "The operation took longer than OPERATION_TIMEOUT and was ended during this step. Raise it above the time that all steps may take together; narrower filters shorten a query."},
	{nil, caused[*pool.NotAllowedError], "The gateway is not allowed to connect to this PACS. To permit it, add it to PACS_ALLOWLIST."},
	{nil, caused[*pool.BusyError], "As many associations with this PACS are open as MAX_ASSOCIATIONS_PER_PACS permits, and none ended within QUEUE_TIMEOUT. Try again later."},
	{nil, func(f *stepFault) bool { return outOfFiles(f.err) }, noFileDescriptor},
	{nil, causedBy(context.Canceled), "The operation was cancelled during this step, usually because the caller disconnected. That says nothing about the PACS: retry."},
	{nil, causedBy(context.DeadlineExceeded), "The time for the whole operation ended during this step. Retry, if necessary with narrower filters."},

	{atResolve, timedOut, "The name servers did not answer in time. Check the DNS settings of the gateway's machine or container, or use the IP address."},
	{naming, unknownName, "The host name has no address. Check its spelling, and that the name servers of the gateway's machine or container have it, or use the IP address."},
	{naming, caused[*net.DNSError], nameServers},
	{atResolve, anyFault, nameServers},

	{atConnect, timedOut, "Nothing answered within CONNECTION_TIMEOUT. Check the address and that the machine is on; often a firewall between the gateway and the PACS drops the packets."},
	{atConnect, causedBy(syscall.ECONNREFUSED), "The machine answers, but nothing accepts connections on this port. Check pacs_port, that the PACS is running, and that it listens on this address; a firewall may refuse too. In a container, localhost is the container itself."},
	{atConnect, unreachable, "There is no route from the gateway to this address. Check the address, and the network, routes and VPN of the gateway's machine."},
	{atConnect, anyFault, "No connection could be opened. Check pacs_ip and pacs_port, and what the gateway's machine may connect to."},

	{atTLS, timedOut, "The connection is open, but the TLS handshake did not finish within CONNECTION_TIMEOUT. The port may be for DICOM without TLS: leave out pacs_tls, or use the TLS port of the PACS (often 2762)."},
	{atTLS, caused[tls.RecordHeaderError], "The service on this port does not speak TLS. Leave out pacs_tls, or use the TLS port of the PACS (often 2762)."},
	{atTLS, causedBy(chain.ErrTooLong), "The PACS presents more certificates than the gateway verifies: at most 6, 32 KiB in total, 2 with the same subject. Remove those that do not belong to the chain of its own certificate."},
	{atTLS, notYetValid, "The certificate of the PACS is not valid yet. Check the clocks of the PACS and of the gateway's machine."},
	{atTLS, expired, "The certificate of the PACS, or of its authority, has expired: renew it there. If it has not expired, check the clock of the gateway's machine."},
	{atTLS, caused[x509.HostnameError], "The certificate of the PACS is for another name. Use as pacs_ip a name or address that is a subject alternative name in it (a common name alone does not count), or set DICOM_TLS_SERVER_NAME to such a name."},
	{atTLS, caused[x509.UnknownAuthorityError], "The certificate of the PACS comes from an authority that the gateway does not trust. Set DICOM_TLS_CA_FILE to the certificate of that authority, or of the PACS itself if it is self-signed."},
	{atTLS, caused[*tls.CertificateVerificationError], "The certificate of the PACS is not valid for a server. Check what it was issued for."},
	{atTLS, alert(certificateRequired), "The PACS requires a certificate from the gateway and got none. Set DICOM_TLS_CERT_FILE and DICOM_TLS_KEY_FILE. If they are set, make the PACS trust the authority of that certificate: a certificate whose authority the PACS does not ask for is not sent."},
	{atTLS, alert(certificateExpired), "The PACS reports that the gateway's certificate has expired. Renew that of DICOM_TLS_CERT_FILE, or check the clock of the PACS."},
	{atTLS, alert(unknownCA), "The PACS does not trust the authority of the gateway's certificate. Add the authority of DICOM_TLS_CERT_FILE to those that the PACS trusts."},
	{atTLS, alert(badCertificate, unsupportedCertificate, certificateRevoked, certificateUnknown, accessDenied), "The PACS refuses the gateway's certificate, or requires one. Check that DICOM_TLS_CERT_FILE and DICOM_TLS_KEY_FILE are set, and that the PACS trusts that certificate."},
	{atTLS, alert(protocolVersion), "The PACS and the gateway have no version of TLS in common. The gateway speaks TLS 1.2 and 1.3: enable one of them at the PACS."},
	{atTLS, alert(handshakeFailure, insufficientSecurity), "The PACS found no TLS settings in common, or requires a certificate from the gateway. Enable TLS 1.2 or 1.3 with ECDHE and AES-GCM at the PACS, and check whether it needs DICOM_TLS_CERT_FILE."},
	{atTLS, alert(unrecognizedName), "The PACS has no certificate for the name it was called by. Set DICOM_TLS_SERVER_NAME to the name in its certificate."},
	{atTLS, closed, "The peer closed the connection during the handshake. The port may be for DICOM without TLS: leave out pacs_tls, or use the TLS port of the PACS (often 2762). Otherwise check the log of the PACS."},
	{atTLS, anyFault, "The PACS and the gateway could not agree on TLS. The gateway speaks TLS 1.2 and 1.3 with ECDHE and AES-GCM: check the TLS settings and the log of the PACS."},

	{requesting, withoutService, "The PACS accepted the association, but not the service that the request needs: C-FIND, and for /qr also C-MOVE. Check what the PACS permits to this calling AE title (c_find_ae_title)."},
	{atAssociate, rejected(1, 7), "The PACS does not answer to this called AE title. Check pacs_ae_title against the configuration of the PACS; case counts."},
	{atAssociate, rejected(1, 3), "The PACS does not accept this calling AE title. Register c_find_ae_title at the PACS, often together with the address of the gateway, or use a title that is registered there; case counts."},
	{atAssociate, rejected(3, 1), "The PACS is busy at the moment (temporary congestion). Try again later; if it stays so, raise how many associations the PACS accepts, or look for callers that leave theirs open."},
	{atAssociate, rejected(3, 2), "The PACS has reached a limit of its own, usually the number of associations. Try again later, or raise that limit at the PACS."},
	{atAssociate, rejected(2, 2), "The PACS refuses this version of the DICOM protocol, of which there is only one. Check that the port is that of a DICOM service."},
	{atAssociate, rejected(1, 2), "The PACS refuses the DICOM application context, of which there is only one. Check that the port is that of a DICOM service."},
	{atAssociate, transient, "The PACS refuses associations for now. Try again later, and check its log."},
	{atAssociate, caused[*dicomnet.RejectError], "The PACS rejected the association and gave no usable reason." + aeTitlesAndAddress},
	{atAssociate, withoutEcho, "The PACS accepted the association, but none of C-ECHO, C-FIND and C-MOVE (Study Root). Check that this is a Query/Retrieve service, and what the PACS permits to this calling AE title."},
	{atAssociate, causedBy(dicomnet.ErrTLSExpected), "The PACS expects TLS on this port. Set pacs_tls to true, or use its port for DICOM without TLS."},
	{atAssociate, causedBy(dicomnet.ErrNotDICOM), "The service on this port does not speak DICOM. Check pacs_port: it may belong to a web server or another service. DICOM is often on 104, 11112 or 4242."},
	{atAssociate, caused[*dicomnet.AbortError], "The PACS aborted the negotiation without a reason: often it does not have the AE title or the address of the caller registered." + aeTitlesAndAddress},
	{atAssociate, timedOut, "The connection is open, but no answer to the association request came in time (ACSE_TIMEOUT, or NETWORK_TIMEOUT within a message). Check that pacs_port is that of a DICOM service, that pacs_tls is right, and whether the PACS hangs or is overloaded."},
	{atAssociate, closedTLS, "The PACS closed the connection without an answer." + aeTitlesAndAddress + " It may also have refused the gateway's certificate."},
	{atAssociate, closed, "The peer closed the connection without an answer. It may expect TLS (pacs_tls) or may not be a DICOM service." + aeTitlesAndAddress},
	{atAssociate, anyFault, "The service on this port violated the DICOM protocol during the negotiation. Check that pacs_port is that of a DICOM service."},

	{atEcho, noEchoButFind, "The PACS refuses C-ECHO from this caller but accepts C-FIND, so queries may work. Permit Verification to this calling AE title at the PACS."},
	{atEcho, caused[*dicomnet.NoContextError], "The PACS accepts neither C-ECHO nor C-FIND from this caller. Check what it permits to this calling AE title."},
	{atEcho, caused[*dicomnet.StatusError], "The PACS answered C-ECHO with a failure. Check the status and the log of the PACS."},
	{atEcho, timedOut, "The PACS accepted the association and then did not answer C-ECHO in time (DIMSE_TIMEOUT, or NETWORK_TIMEOUT within a message). Check whether it hangs or is overloaded."},
	{atEcho, endedByPeer, "The PACS accepted the association and ended it instead of answering C-ECHO. Check what it permits to this calling AE title, and its log."},
	{atEcho, anyFault, "The answer to C-ECHO violated the DICOM protocol. Check that pacs_port is that of a DICOM service, and the log of the PACS."},

	{atFind, caused[*budget.TooLargeError], "The matches need more memory than one operation may use, a sixteenth of MAX_MEMORY. Narrow the filters, or raise the setting."},
	{atFind, caused[*qr.TooManyMatchesError], "The PACS has more matches than MAX_MATCHES. Narrow the filters, or raise the setting."},
	{atFind, withStatus(dicomnet.StatusOutOfResources), "The PACS is out of resources for this query, or it matches more studies than the PACS accepts. Narrow the filters, or retry later; check the log of the PACS."},
	{atFind, withStatus(dicomnet.StatusIdentifierMismatch), "The PACS does not accept the keys of this query. Leave out filters one by one to find the key that it refuses, and check its log."},
	{atFind, withStatus(dicomnet.StatusCancel), "The PACS ended the query as cancelled, although the gateway did not cancel it. Retry; check the log of the PACS."},
	{atFind, withStatus(dicomnet.StatusSOPClassNotSupported), "The PACS does not support this query. Check what it permits to this calling AE title (c_find_ae_title)."},
	{atFind, caused[*dicomnet.StatusError], "The PACS ended the query with a failure; what it reported is in dicom. Narrow the filters, and check the log of the PACS."},
	{atFind, expiredTimer(dicomnet.TimerDIMSE), "The PACS accepted the association and then sent no response to the query within DIMSE_TIMEOUT. Check whether it hangs or is overloaded; retry with narrower filters, or raise DIMSE_TIMEOUT."},

	{atMove, withStatus(dicomnet.StatusMoveDestination), "The PACS has no address for this destination. Check c_move_ae_title (case counts), and add it with its host and port to the destinations in the configuration of the PACS."},
	{atMove, withStatus(dicomnet.StatusSOPClassNotSupported), "The PACS does not support C-MOVE for this caller. Check what it permits to this calling AE title (c_find_ae_title)."},
	{atMove, withStatus(dicomnet.StatusCancel), "The PACS ended the transfer as cancelled, although the gateway did not cancel it. Check whether somebody cancelled it at the PACS, then retry."},
	{atMove, caused[*dicomnet.StatusError], "No instance arrived. Check that the destination (c_move_ae_title) runs, accepts associations from the PACS and has space, and that the PACS has its current host and port; the log of the PACS says why transfers failed."},
	{atMove, expiredTimer(dicomnet.TimerMove, dicomnet.TimerDIMSE), "The PACS sent no response to C-MOVE within MOVE_TIMEOUT, which is DIMSE_TIMEOUT if it is not set; instances may still arrive. Check whether the PACS reaches the destination; if it is only slow, raise MOVE_TIMEOUT and retry."},

	{atGet, withStatus(dicomnet.StatusSOPClassNotSupported), "The PACS does not support C-GET for this caller. Check what it permits to this calling AE title, or set retrieve: move in PACS_FILE."},
	{atGet, withStatus(dicomnet.StatusCancel), "The PACS ended the transfer as cancelled, although the gateway did not cancel it. Retry; check the log of the PACS."},
	{atGet, caused[*dicomnet.StatusError], "The PACS failed while it performed C-GET. Check the log of the PACS; a PACS that cannot perform C-GET needs retrieve: move in PACS_FILE."},
	{atGet, expiredTimer(dicomnet.TimerMove, dicomnet.TimerDIMSE), "The PACS sent no instance and no response to C-GET within MOVE_TIMEOUT, which is DIMSE_TIMEOUT if it is not set. Check whether it hangs or is overloaded."},

	{atWork, expiredTimer(dicomnet.TimerNetwork), "The PACS stopped in the middle of a message for longer than NETWORK_TIMEOUT. Retry; if it happens again, check the network between the gateway and the PACS, and the load of the PACS."},
	{atWork, caused[*dicomnet.LimitError], "The PACS sent a message or a match that is larger than the gateway reads. Narrow the filters, and check the PACS; the conformance statement lists the limits."},
	{atWork, caused[*dicomnet.AbortError], "The association was aborted during the operation. Retry; if it happens again, check the log of the PACS at this time."},
	{atWork, causedBy(dicomnet.ErrReleased), "The PACS released the association before the operation was complete. Retry; if it happens again, check the log of the PACS at this time."},
	{atWork, lost, "The PACS closed the connection during the operation. Retry; if it happens again, check the log of the PACS, and firewalls that end connections between it and the gateway."},
	{atWork, violated, "What the PACS sent violates the DICOM protocol. Check the version and the log of the PACS; DICOM_DEBUG logs what it sent, with patient data."},
	{atMove, anyFault, "No instance arrived. Check the log of the PACS, that the destination (c_move_ae_title) runs, and that it accepts associations from the PACS."},
	{atGet, anyFault, "No instance arrived. Check the log of the PACS at this time."},
	{atFind, anyFault, "The query failed. Check the log of the PACS at this time."},
}
