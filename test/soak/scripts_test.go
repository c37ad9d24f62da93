//go:build soak

package soak

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// drain reads until the gateway closes the connection.
func drain(p *dicomtest.ScriptedPeer) { _, _ = io.Copy(io.Discard, p.Conn) }

// The scripts of peers with which every operation fails. Their names are those of the peers.

func silent(p *dicomtest.ScriptedPeer) { drain(p) }

func mute(p *dicomtest.ScriptedPeer) {
	p.Accept()
	drain(p)
}

func rejecting(p *dicomtest.ScriptedPeer) {
	p.ReadAssociateRQ()
	p.SendPDU(&dicomtest.CalledAETitleNotRecognized)
	drain(p)
}

func full(p *dicomtest.ScriptedPeer) {
	p.ReadAssociateRQ()
	p.SendPDU(&dicomtest.LocalLimitExceeded)
	drain(p)
}

func aborting(p *dicomtest.ScriptedPeer) {
	p.Accept()
	p.ReadMessage()
	p.SendPDU(&pdu.Abort{Source: pdu.SourceProvider})
	drain(p)
}

// vanishing resets the connection within the header of a PDU.
func vanishing(p *dicomtest.ScriptedPeer) {
	p.Accept()
	p.ReadMessage()
	p.Send([]byte{byte(pdu.TypePDataTF), 0, 0, 0, 1})
	p.Reset()
}

func babbling(p *dicomtest.ScriptedPeer) {
	p.ReadAssociateRQ()
	p.Send([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
	drain(p)
}

// lying sends a PDU that claims 4 GiB.
func lying(p *dicomtest.ScriptedPeer) {
	p.Accept()
	p.ReadMessage()
	p.Send([]byte{byte(pdu.TypePDataTF), 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0})
	drain(p)
}

func study(patientID string, n int) dicomtest.Attributes {
	return dicomtest.Attributes{
		tag.StudyDate: "20240101", tag.QueryRetrieveLevel: "STUDY", tag.ModalitiesInStudy: "CT", tag.PatientID: patientID,
		tag.StudyInstanceUID: fmt.Sprint("2.25.", 1000+n),
	}
}

// patientOf returns the Patient ID that the request asks for.
func patientOf(a *dicomtest.ScriptedAssociation) string { return a.Keys().String(tag.PatientID) }

// flooding returns matches until it is cancelled.
func flooding() *dicomtest.ScriptedPACS {
	return &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, _ string) {
		patientID := patientOf(a)
		var b []byte
		for i := range maxMatches + 50 {
			b = dicomtest.Response(a.Request, dicomnet.StatusPending, study(patientID, i).Encode(a.TransferSyntax())).Append(b)
		}
		a.Send(b)
		a.AwaitCancel()
		a.Finish(dicomnet.StatusCancel)
	}}
}

// foreign returns only a study of another patient.
func foreign() *dicomtest.ScriptedPACS {
	return &dicomtest.ScriptedPACS{Studies: []dicomtest.Attributes{study("SOMEBODY ELSE", 0)}}
}

// dying finds a study and aborts its C-MOVE.
func dying() *dicomtest.ScriptedPACS {
	return &dicomtest.ScriptedPACS{
		Find: func(a *dicomtest.ScriptedAssociation, _ string) {
			a.Match(study(patientOf(a), 0))
			a.Finish(dicomnet.StatusSuccess)
		},
		Move: func(a *dicomtest.ScriptedAssociation, _ string) { a.Abort() },
	}
}

// waiting works on a request until it is cancelled, as it must be: on the C-FIND of patients whose ID begins with FIND, and on
// the C-MOVE of others.
type waiting struct {
	begun sync.Map // by Patient ID, a channel that is closed when the work has begun
	moves sync.Map // by association, the patient whose study was found
}

func (w *waiting) expect(patientID string) <-chan struct{} {
	begun := make(chan struct{})
	w.begun.Store(patientID, begun)
	return begun
}

func (w *waiting) pacs() *dicomtest.ScriptedPACS {
	return &dicomtest.ScriptedPACS{
		Find: func(a *dicomtest.ScriptedAssociation, _ string) {
			patientID := patientOf(a)
			if strings.HasPrefix(patientID, "FIND") {
				w.work(a, patientID)
				return
			}
			w.moves.Store(a, patientID)
			a.Match(study(patientID, 0))
			a.Finish(dicomnet.StatusSuccess)
		},
		Move: func(a *dicomtest.ScriptedAssociation, _ string) {
			patientID, _ := w.moves.LoadAndDelete(a)
			w.work(a, patientID.(string))
		},
	}
}

// work waits for the cancel.
func (w *waiting) work(a *dicomtest.ScriptedAssociation, patientID string) {
	begun, ok := w.begun.LoadAndDelete(patientID)
	if !ok {
		a.Failf("patient %s is asked for again", patientID)
	}
	close(begun.(chan struct{}))
	a.AwaitCancel()
	a.Finish(dicomnet.StatusCancel)
}
