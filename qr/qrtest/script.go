package qrtest

import (
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// ForScript returns a Gateway each of whose peers plays the script. Options that are not set get values that suit a test:
// connections in memory, and timeouts of 10 s (connection), 11 s (ACSE), 12 s (DIMSE) and 13 s (network).
func ForScript(play func(p *dicomtest.ScriptedPeer), o Options) (*Gateway, *dicomtest.Script) {
	script := &dicomtest.Script{Play: play}
	if o.DialContext == nil {
		o.DialContext = script.DialContext
	}
	if o.LookupHost == nil {
		o.LookupHost = Lookup("192.0.2.1")
	}
	if o.Timeouts == (dicomnet.Timeouts{}) {
		o.Timeouts = dicomnet.Timeouts{
			Connection: 10 * time.Second, ACSE: 11 * time.Second, DIMSE: 12 * time.Second, Network: 13 * time.Second,
		}
	}
	return New(o), script
}

// AnswerEcho is a script of a PACS that accepts an association, answers C-ECHO with success and lets the gateway release.
func AnswerEcho(p *dicomtest.ScriptedPeer) {
	p.Accept()
	p.SendMessage(dicomtest.Response(p.ReadRequest(dicomnet.CEchoRQ), dicomnet.StatusSuccess, nil))
	p.Release()
}

// Reject returns a script that rejects the association.
func Reject(result, source, reason byte) func(*dicomtest.ScriptedPeer) {
	return func(p *dicomtest.ScriptedPeer) {
		p.ReadAssociateRQ()
		p.SendPDU(&pdu.AssociateRJ{Result: result, Source: source, Reason: reason})
	}
}

// AcceptContexts returns a script that accepts the presentation contexts with the IDs and no other, and goes on with next. In
// an Echo, the IDs are 1 (C-ECHO), 3 (C-FIND) and 5 (C-MOVE).
func AcceptContexts(next func(*dicomtest.ScriptedPeer), ids ...byte) func(*dicomtest.ScriptedPeer) {
	return func(p *dicomtest.ScriptedPeer) {
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
