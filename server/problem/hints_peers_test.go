package problem_test

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
	"dicom-qr-gateway/server/problem"
)

// hintOf returns the hint about the last step of a report, which must have failed and be the only one with a hint.
func hintOf(t *testing.T, r *qr.EchoReport, withTLS bool) string {
	t.Helper()
	qrtest.FailedStep(t, r)
	last := len(r.Steps) - 1
	for i := range last {
		assert.Empty(t, problem.EchoHint(r, i, withTLS))
	}
	hint := problem.EchoHint(r, last, withTLS)
	assert.NotEmpty(t, hint)
	return hint
}

func sendAbort(p *dicomtest.ScriptedPeer) { p.SendPDU(&pdu.Abort{}) }

func awaitAbort(p *dicomtest.ScriptedPeer) { p.ExpectAbort(pdu.SourceUser, 0) }

func answerEchoWith(status dicomnet.Status) func(*dicomtest.ScriptedPeer) {
	return func(p *dicomtest.ScriptedPeer) {
		p.SendMessage(dicomtest.Response(p.ReadRequest(dicomnet.CEchoRQ), status, nil))
		p.Release()
	}
}

// answerWith answers A-ASSOCIATE-RQ with bytes.
func answerWith(b ...byte) func(*dicomtest.ScriptedPeer) {
	return func(p *dicomtest.ScriptedPeer) { p.ReadAssociateRQ(); p.Send(b) }
}

func acceptAll(next func(*dicomtest.ScriptedPeer)) func(*dicomtest.ScriptedPeer) {
	return qrtest.AcceptContexts(next, 1, 3, 5)
}

// afterEchoRequest accepts all contexts and goes on with next after the C-ECHO-RQ.
func afterEchoRequest(next func(*dicomtest.ScriptedPeer)) func(*dicomtest.ScriptedPeer) {
	return acceptAll(func(p *dicomtest.ScriptedPeer) { p.ReadRequest(dicomnet.CEchoRQ); next(p) })
}

func TestEachFaultOfAPeerHasItsHint(t *testing.T) {
	for name, test := range map[string]struct {
		play func(*dicomtest.ScriptedPeer)
		step dicomnet.Step
		hint string
	}{
		"called AE title":            {qrtest.Reject(1, 1, 7), dicomnet.StepAssociate, "does not answer to this called AE title. Check pacs_ae_title"},
		"calling AE title":           {qrtest.Reject(1, 1, 3), dicomnet.StepAssociate, "Register c_find_ae_title at the PACS"},
		"congestion":                 {qrtest.Reject(2, 3, 1), dicomnet.StepAssociate, "temporary congestion"},
		"local limit":                {qrtest.Reject(2, 3, 2), dicomnet.StepAssociate, "a limit of its own"},
		"protocol version":           {qrtest.Reject(1, 2, 2), dicomnet.StepAssociate, "version of the DICOM protocol"},
		"application context":        {qrtest.Reject(1, 1, 2), dicomnet.StepAssociate, "application context"},
		"transient, reserved reason": {qrtest.Reject(2, 9, 9), dicomnet.StepAssociate, "refuses associations for now"},
		"no reason":                  {qrtest.Reject(1, 1, 1), dicomnet.StepAssociate, "no usable reason. Check at the PACS that it has the calling AE title"},
		"TLS alert on a plain port":  {answerWith(0x15, 3, 3, 0, 2, 2, 10), dicomnet.StepAssociate, "Set pacs_tls to true"},
		"web server":                 {answerWith([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")...), dicomnet.StepAssociate, "does not speak DICOM. Check pacs_port"},
		"abort":                      {func(p *dicomtest.ScriptedPeer) { p.ReadAssociateRQ(); sendAbort(p) }, dicomnet.StepAssociate, "aborted the negotiation"},
		"close":                      {func(p *dicomtest.ScriptedPeer) { p.ReadAssociateRQ() }, dicomnet.StepAssociate, "may expect TLS (pacs_tls) or may not be a DICOM service"},
		"silence":                    {func(p *dicomtest.ScriptedPeer) { p.ReadAssociateRQ(); awaitAbort(p) }, dicomnet.StepAssociate, "no answer to the association request came in time (ACSE_TIMEOUT"},
		"silence within a PDU":       {func(p *dicomtest.ScriptedPeer) { answerWith(2, 0, 0)(p); awaitAbort(p) }, dicomnet.StepAssociate, "NETWORK_TIMEOUT"},
		"no context accepted":        {qrtest.AcceptContexts(awaitAbort), dicomnet.StepAssociate, "none of C-ECHO, C-FIND and C-MOVE"},
		"malformed A-ASSOCIATE-AC":   {answerWith(2, 0, 0, 0, 0, 1, 0), dicomnet.StepAssociate, "violated the DICOM protocol during the negotiation"},
		"C-FIND accepted only":       {qrtest.AcceptContexts((*dicomtest.ScriptedPeer).Release, 3), dicomnet.StepEcho, "refuses C-ECHO from this caller but accepts C-FIND, so queries may work"},
		"C-MOVE accepted only":       {qrtest.AcceptContexts((*dicomtest.ScriptedPeer).Release, 5), dicomnet.StepEcho, "neither C-ECHO nor C-FIND"},
		"failure status":             {acceptAll(answerEchoWith(dicomnet.StatusSOPClassNotSupported)), dicomnet.StepEcho, "answered C-ECHO with a failure"},
		"silence at C-ECHO":          {afterEchoRequest(awaitAbort), dicomnet.StepEcho, "did not answer C-ECHO in time (DIMSE_TIMEOUT"},
		"abort at C-ECHO":            {afterEchoRequest(sendAbort), dicomnet.StepEcho, "ended it instead of answering"},
		"close at C-ECHO":            {afterEchoRequest(func(*dicomtest.ScriptedPeer) {}), dicomnet.StepEcho, "ended it instead of answering"},
		"release at C-ECHO": {
			afterEchoRequest(func(p *dicomtest.ScriptedPeer) { p.SendPDU(&pdu.ReleaseRQ{}); p.Expect(pdu.TypeReleaseRP) }),
			dicomnet.StepEcho, "ended it instead of answering",
		},
		"unexpected PDU at C-ECHO": {
			afterEchoRequest(func(p *dicomtest.ScriptedPeer) {
				p.SendPDU(&pdu.ReleaseRP{})
				p.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnexpectedPDU)
			}),
			dicomnet.StepEcho, "violated the DICOM protocol",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, script := qrtest.ForScript(test.play, qrtest.Options{})
				report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
				assert.Equal(t, test.step, qrtest.FailedStep(t, report).Step)
				assert.Contains(t, hintOf(t, report, false), test.hint)
				require.NoError(t, g.Wait(t.Context()))
				_ = script.Err() // A-ABORT ends some scripts early
			})
		})
	}
}

func TestAssociationWithoutFindOrMoveHasAHint(t *testing.T) {
	const associate = 3 // index of the step
	for _, test := range []struct {
		accepted []byte
		hint     string
	}{
		{[]byte{1, 3, 5}, ""},
		{[]byte{1, 3}, "does not accept C-MOVE from this caller: retrieves will fail"},
		{[]byte{1, 5}, "does not accept C-FIND from this caller: queries and retrieves will fail"},
		{[]byte{1}, "accepts neither C-FIND nor C-MOVE from this caller"},
	} {
		g, script := qrtest.ForScript(qrtest.AcceptContexts(answerEchoWith(dicomnet.StatusSuccess), test.accepted...), qrtest.Options{})
		report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
		require.NoError(t, report.Err)
		assert.Equal(t, qr.EchoOK, report.Steps[associate].Status)
		hint := problem.EchoHint(report, associate, false)
		if test.hint == "" {
			assert.Empty(t, hint)
		}
		assert.Contains(t, hint, test.hint)
		require.NoError(t, g.Wait(t.Context()))
		require.NoError(t, script.Err())
	}
}

func TestEachFaultOfNameResolutionHasItsHint(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		hint string
	}{
		"no such name":           {&net.DNSError{Err: "no such host", IsNotFound: true}, "The host name has no address"},
		"a name without address": {nil, "The host name has no address"},
		"name server silent":     {&net.DNSError{Err: "i/o timeout", IsTimeout: true}, "name servers did not answer in time"},
		"name server fails":      {&net.DNSError{Err: "server misbehaving", IsTemporary: true}, "could not resolve the host name"},
	} {
		t.Run(name, func(t *testing.T) {
			g := qrtest.New(qrtest.Options{
				LookupHost: func(context.Context, string) ([]string, error) { return nil, test.err }, DialContext: qrtest.NoDial,
			})
			report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
			assert.Equal(t, []string{"resolve failed"}, qrtest.Outcomes(report))
			assert.Contains(t, hintOf(t, report, false), test.hint)
		})
	}
}

func TestEachFaultOfAConnectionHasItsHint(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		hint string
	}{
		"refused":             {syscall.ECONNREFUSED, "nothing accepts connections on this port"},
		"timeout":             {syscall.ETIMEDOUT, "Nothing answered within CONNECTION_TIMEOUT"},
		"host unreachable":    {syscall.EHOSTUNREACH, "There is no route"},
		"network unreachable": {syscall.ENETUNREACH, "There is no route"},
		"not permitted":       {syscall.EPERM, "No connection could be opened"},
	} {
		t.Run(name, func(t *testing.T) {
			g := qrtest.New(qrtest.Options{
				LookupHost: qrtest.Lookup("192.0.2.1"),
				DialContext: func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", test.err)}
				},
			})
			report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
			assert.Equal(t, []string{"resolve ok", "connect failed"}, qrtest.Outcomes(report))
			assert.Contains(t, hintOf(t, report, false), test.hint)
			assert.Equal(t, []string{"192.0.2.1"}, report.Steps[0].Addresses)
		})
	}
}
