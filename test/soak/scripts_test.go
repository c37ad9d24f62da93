//go:build soak

package soak

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// discard reads until the gateway has had enough.
func discard(p *dicomtest.Peer) { _, _ = io.Copy(io.Discard, p.Conn) }

func silent(p *dicomtest.Peer) { discard(p) }

func mute(p *dicomtest.Peer) {
	p.Accept()
	discard(p)
}

func rejecting(p *dicomtest.Peer) {
	p.ReadAssociateRQ()
	p.SendPDU(&pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7})
	discard(p)
}

func full(p *dicomtest.Peer) {
	p.ReadAssociateRQ()
	p.SendPDU(&pdu.AssociateRJ{Result: 2, Source: 3, Reason: 2})
	discard(p)
}

func aborting(p *dicomtest.Peer) {
	p.Accept()
	p.ReadMessage()
	p.SendPDU(&pdu.Abort{Source: pdu.SourceProvider})
	discard(p)
}

func vanishing(p *dicomtest.Peer) {
	p.Accept()
	p.ReadMessage()
	p.Send([]byte{byte(pdu.TypePDataTF), 0, 0, 0, 1}) // of a header
	p.Reset()
}

func babbling(p *dicomtest.Peer) {
	p.ReadAssociateRQ()
	p.Send([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
	discard(p)
}

func lying(p *dicomtest.Peer) {
	p.Accept()
	p.ReadMessage()
	p.Send([]byte{byte(pdu.TypePDataTF), 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0})
	discard(p)
}

// peeking lets a script look at the type of the next PDU.
type peeking struct {
	net.Conn
	reader *bufio.Reader
}

func (c peeking) Read(b []byte) (int, error) { return c.reader.Read(b) }

// serving accepts, answers C-ECHO, and leaves other requests to serve, until the
// gateway releases or leaves.
func serving(serve func(p *dicomtest.Peer, rq dicomtest.Message)) func(p *dicomtest.Peer) {
	return func(p *dicomtest.Peer) {
		conn := peeking{p.Conn, bufio.NewReader(p.Conn)}
		p.Conn = conn
		p.Accept()
		for {
			next, err := conn.reader.Peek(1)
			if err != nil || pdu.Type(next[0]) == pdu.TypeAbort {
				return
			}
			if pdu.Type(next[0]) == pdu.TypeReleaseRQ {
				p.Release()
				return
			}
			rq := p.ReadMessage()
			if rq.Command.CommandField == dicomnet.CEchoRQ {
				p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
				continue
			}
			serve(p, rq)
		}
	}
}

// keys are the attributes of a request's identifier.
func keys(p *dicomtest.Peer, rq dicomtest.Message) *dataset.Set {
	set, err := dataset.Parse(rq.Data, dataset.ImplicitVRLittleEndian, dataset.Limits{})
	if err != nil {
		p.Failf("identifier: %w", err)
	}
	return set
}

// match is a pending C-FIND response with a study of the patient.
func match(p *dicomtest.Peer, rq dicomtest.Message, patientID string, nth int) dicomtest.Message {
	data, err := dataset.Encode(&dicom.Dataset{Elements: []*dicom.Element{
		dataset.Text(tag.StudyDate, "20240101"), dataset.Text(tag.QueryRetrieveLevel, "STUDY"),
		dataset.Text(tag.ModalitiesInStudy, "CT"), dataset.Text(tag.PatientID, patientID),
		dataset.Text(tag.StudyInstanceUID, fmt.Sprint("2.25.", 1000+nth)),
	}}, dataset.ImplicitVRLittleEndian)
	if err != nil {
		p.Failf("%w", err)
	}
	return dicomtest.Response(rq, dicomnet.StatusPending, data)
}

func flooding(p *dicomtest.Peer, rq dicomtest.Message) {
	patientID := keys(p, rq).String(tag.PatientID)
	var b []byte
	for i := range maxMatches + 50 {
		b = match(p, rq, patientID, i).Append(b)
	}
	p.Send(b)
	p.ReadRequest(dicomnet.CCancelRQ)
	p.SendMessage(dicomtest.Response(rq, dicomnet.StatusCancel, nil))
}

// foreign has the studies of somebody else only.
func foreign(p *dicomtest.Peer, rq dicomtest.Message) {
	p.SendMessage(match(p, rq, "SOMEBODY ELSE", 0), dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
}

// dying finds and cannot move.
func dying(p *dicomtest.Peer, rq dicomtest.Message) {
	if rq.Command.CommandField == dicomnet.CMoveRQ {
		p.SendPDU(&pdu.Abort{Source: pdu.SourceProvider})
		return
	}
	p.SendMessage(match(p, rq, keys(p, rq).String(tag.PatientID), 0), dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
}

// waiting works on a request until it is cancelled, which has to come: the C-FIND of
// patients whose ID begins with FIND, the C-MOVE of others.
type waiting struct {
	// at has a channel a patient, closed when the work on him has begun.
	at sync.Map
}

func (w *waiting) expect(patientID string) <-chan struct{} {
	begun := make(chan struct{})
	w.at.Store(patientID, begun)
	return begun
}

func (w *waiting) play() func(p *dicomtest.Peer) {
	return func(p *dicomtest.Peer) {
		var patientID string
		serving(func(p *dicomtest.Peer, rq dicomtest.Message) {
			if rq.Command.CommandField == dicomnet.CFindRQ {
				patientID = keys(p, rq).String(tag.PatientID)
				if !strings.HasPrefix(patientID, "FIND") {
					p.SendMessage(match(p, rq, patientID, 0), dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
					return
				}
			}
			begun, ok := w.at.LoadAndDelete(patientID)
			if !ok {
				p.Failf("patient %s is asked for again", patientID)
			}
			close(begun.(chan struct{}))
			p.ReadRequest(dicomnet.CCancelRQ)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusCancel, nil))
		})(p)
	}
}
