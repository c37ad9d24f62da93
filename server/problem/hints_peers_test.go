package qr

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
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

func rejecting(result, source, reason byte) func(*dicomtest.Peer) {
	return func(p *dicomtest.Peer) {
		p.ReadAssociateRQ()
		p.SendPDU(&pdu.AssociateRJ{Result: result, Source: source, Reason: reason})
	}
}

// accepting takes these of the three contexts, 1 (C-ECHO), 3 (C-FIND) and 5 (C-MOVE), and goes on with next.
func accepting(next func(*dicomtest.Peer), ids ...byte) func(*dicomtest.Peer) {
	return func(p *dicomtest.Peer) {
		p.ReadAssociateRQ()
		ac := p.AC(dataset.ImplicitVRLittleEndian)
		for i := range ac.Contexts {
			ac.Contexts[i].Result = byte(dicomnet.ContextAbstractSyntaxNotSupported)
			for _, id := range ids {
				if id == ac.Contexts[i].ID {
					ac.Contexts[i].Result = byte(dicomnet.ContextAccepted)
				}
			}
		}
		p.SendPDU(ac)
		next(p)
	}
}

func aborting(p *dicomtest.Peer) { p.SendPDU(&pdu.Abort{}) }

func answering(status dicomnet.Status) func(*dicomtest.Peer) {
	return func(p *dicomtest.Peer) {
		p.SendMessage(dicomtest.Response(p.ReadRequest(dicomnet.CEchoRQ), status, nil))
		p.Release()
	}
}

func sending(b ...byte) func(*dicomtest.Peer) {
	return func(p *dicomtest.Peer) { p.ReadAssociateRQ(); p.Send(b) }
}

func all(next func(*dicomtest.Peer)) func(*dicomtest.Peer) { return accepting(next, 1, 3, 5) }

func afterRequest(next func(*dicomtest.Peer)) func(*dicomtest.Peer) {
	return all(func(p *dicomtest.Peer) { p.ReadRequest(dicomnet.CEchoRQ); next(p) })
}

func TestEveryWayInWhichAPeerFailsHasItsHint(t *testing.T) {
	abort := func(p *dicomtest.Peer) { p.ExpectAbort(pdu.SourceUser, 0) }
	for name, test := range map[string]struct {
		play func(*dicomtest.Peer)
		step dicomnet.Step
		hint string
	}{
		"called AE title":     {rejecting(1, 1, 7), dicomnet.StepAssociate, "the PACS must know it as its own. Check pacs_ae_title"},
		"calling AE title":    {rejecting(1, 1, 3), dicomnet.StepAssociate, "Register c_find_ae_title at the PACS"},
		"congestion":          {rejecting(2, 3, 1), dicomnet.StepAssociate, "temporary congestion"},
		"limit":               {rejecting(2, 3, 2), dicomnet.StepAssociate, "a limit of its own"},
		"version":             {rejecting(1, 2, 2), dicomnet.StepAssociate, "version of the DICOM protocol"},
		"application context": {rejecting(1, 1, 2), dicomnet.StepAssociate, "application context"},
		"transient, reserved": {rejecting(2, 9, 9), dicomnet.StepAssociate, "refuses associations for now"},
		"no reason":           {rejecting(1, 1, 1), dicomnet.StepAssociate, "no usable reason. Check at the PACS that it knows the calling AE title"},
		"TLS on a plain port": {sending(0x15, 3, 3, 0, 2, 2, 10), dicomnet.StepAssociate, "Set pacs_tls to true"},
		"a web server":        {sending([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")...), dicomnet.StepAssociate, "does not speak DICOM. Check pacs_port"},
		"abort":               {func(p *dicomtest.Peer) { p.ReadAssociateRQ(); aborting(p) }, dicomnet.StepAssociate, "broke off the negotiation"},
		"close":               {func(p *dicomtest.Peer) { p.ReadAssociateRQ() }, dicomnet.StepAssociate, "may expect TLS (pacs_tls) or not be a DICOM service"},
		"silence":             {func(p *dicomtest.Peer) { p.ReadAssociateRQ(); abort(p) }, dicomnet.StepAssociate, "no answer to the association request came in time (ACSE_TIMEOUT"},
		"silence in a PDU":    {func(p *dicomtest.Peer) { sending(2, 0, 0)(p); abort(p) }, dicomnet.StepAssociate, "NETWORK_TIMEOUT"},
		"nothing accepted":    {accepting(abort), dicomnet.StepAssociate, "not one of C-ECHO, C-FIND and C-MOVE"},
		"broken A-ASSOCIATE":  {sending(2, 0, 0, 0, 0, 1, 0), dicomnet.StepAssociate, "broke the DICOM protocol while negotiating"},
		"no Verification":     {accepting((*dicomtest.Peer).Release, 3), dicomnet.StepEcho, "refuses C-ECHO to this caller but accepts C-FIND, so queries may well work"},
		"C-MOVE alone":        {accepting((*dicomtest.Peer).Release, 5), dicomnet.StepEcho, "neither C-ECHO nor C-FIND"},
		"status":              {all(answering(dicomnet.StatusSOPClassNotSupported)), dicomnet.StepEcho, "answered C-ECHO with a failure"},
		"silence at C-ECHO":   {afterRequest(abort), dicomnet.StepEcho, "did not answer C-ECHO in time (DIMSE_TIMEOUT"},
		"abort at C-ECHO":     {afterRequest(aborting), dicomnet.StepEcho, "ended it instead of answering"},
		"close at C-ECHO":     {afterRequest(func(*dicomtest.Peer) {}), dicomnet.StepEcho, "ended it instead of answering"},
		"release at C-ECHO":   {afterRequest(func(p *dicomtest.Peer) { p.SendPDU(&pdu.ReleaseRQ{}); p.Expect(pdu.TypeReleaseRP) }), dicomnet.StepEcho, "ended it instead of answering"},
		"a PDU out of protocol": {afterRequest(func(p *dicomtest.Peer) {
			p.SendPDU(&pdu.ReleaseRP{})
			p.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnexpectedPDU)
		}), dicomnet.StepEcho, "broke the DICOM protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, script := echoing(test.play, "192.0.2.1")
				report := g.Echo(t.Context(), thePACS)
				last := failing(t, report)
				assert.Equal(t, test.step, last.Step)
				assert.Contains(t, last.Hint, test.hint)
				require.NoError(t, g.Wait(t.Context()))
				_ = script.Err() // some are cut off by A-ABORT
			})
		})
	}
}

func TestAnAssociationThatTakesNothingTellsWhoAnswered(t *testing.T) {
	g, script := echoing(accepting(func(p *dicomtest.Peer) { p.ExpectAbort(pdu.SourceUser, 0) }), "192.0.2.1")
	last := failing(t, g.Echo(t.Context(), thePACS))
	require.NoError(t, script.Err())
	assert.Equal(t, "SCRIPT", last.Peer.ImplementationVersionName)
	require.Len(t, last.Contexts, 3)
	assert.Equal(t, "C-MOVE", last.Contexts[2].Service)
	assert.Equal(t, dicomnet.ContextAbstractSyntaxNotSupported, last.Contexts[2].Result)
}

func TestARejectedAssociationTellsNothingOfThePeer(t *testing.T) {
	g, script := echoing(rejecting(1, 1, 7), "192.0.2.1")
	last := failing(t, g.Echo(t.Context(), thePACS))
	require.NoError(t, script.Err())
	assert.Nil(t, last.Peer)
	assert.Empty(t, last.Contexts)
}

func TestAnEchoThatPassesTellsWhatWillNotWork(t *testing.T) {
	for _, test := range []struct {
		accepted []byte
		hint     string
	}{
		{[]byte{1, 3, 5}, ""},
		{[]byte{1, 3}, "does not accept C-MOVE of this caller: retrieves will fail"},
		{[]byte{1, 5}, "does not accept C-FIND of this caller: queries and retrieves will fail"},
		{[]byte{1}, "accepts neither C-FIND nor C-MOVE of this caller"},
	} {
		g, script := echoing(accepting(answering(dicomnet.StatusSuccess), test.accepted...), "192.0.2.1")
		report := g.Echo(t.Context(), thePACS)
		require.NoError(t, report.Err)
		assert.Equal(t, EchoOK, report.Steps[3].Status)
		if test.hint == "" {
			assert.Empty(t, report.Steps[3].Hint)
		}
		assert.Contains(t, report.Steps[3].Hint, test.hint)
		require.NoError(t, g.Wait(t.Context()))
		require.NoError(t, script.Err())
	}
}

func TestEveryWayInWhichANameHasNoAddressHasItsHint(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		hint string
	}{
		"no such name":           {&net.DNSError{Err: "no such host", IsNotFound: true}, "The host name has no address"},
		"a name without address": {nil, "The host name has no address"},
		"name server silent":     {&net.DNSError{Err: "i/o timeout", IsTimeout: true}, "name servers did not answer in time"},
		"name server broken":     {&net.DNSError{Err: "server misbehaving", IsTemporary: true}, "could not say which address"},
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := echoing(nil)
			g.options.LookupHost = func(context.Context, string) ([]string, error) { return nil, test.err }
			report := g.Echo(t.Context(), thePACS)
			assert.Equal(t, []string{"resolve failed"}, outcomes(report))
			assert.Contains(t, failing(t, report).Hint, test.hint)
		})
	}
}

func TestEveryWayInWhichAConnectionFailsHasItsHint(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		hint string
	}{
		"refused":             {syscall.ECONNREFUSED, "nothing takes connections on this port"},
		"timeout":             {syscall.ETIMEDOUT, "Nothing answered within CONNECTION_TIMEOUT"},
		"host unreachable":    {syscall.EHOSTUNREACH, "There is no way"},
		"network unreachable": {syscall.ENETUNREACH, "There is no way"},
		"not permitted":       {syscall.EPERM, "No connection could be opened"},
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := echoing(nil, "192.0.2.1")
			g.options.DialContext = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", test.err)}
			}
			report := g.Echo(t.Context(), thePACS)
			assert.Equal(t, []string{"resolve ok", "connect failed"}, outcomes(report))
			assert.Contains(t, failing(t, report).Hint, test.hint)
			assert.Equal(t, []string{"192.0.2.1"}, report.Steps[0].Addresses)
		})
	}
}
