package dicomtest

import (
	"crypto/tls"
	"encoding/binary"
	"maps"
	"net"
	"strings"
	"time"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pdu"
)

// CalledAETitleNotRecognized rejects an association permanently.
var CalledAETitleNotRecognized = pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7}

// LocalLimitExceeded rejects an association for the time being.
var LocalLimitExceeded = pdu.AssociateRJ{Result: 2, Source: 3, Reason: 2}

// Reject answers an A-ASSOCIATE-RQ with A-ASSOCIATE-RJ. It returns false, as the result of Negotiate.
func (a *ScriptedAssociation) Reject(rj pdu.AssociateRJ) bool {
	a.SendPDU(&rj)
	return false
}

// Refuse answers, in the A-ASSOCIATE-AC, that the PACS does not support a SOP class. It returns true, as the result of
// Negotiate.
func (a *ScriptedAssociation) Refuse(sopClass string) bool {
	for i, pc := range a.RQ.Contexts {
		if pc.AbstractSyntax == sopClass {
			a.Answer.Contexts[i].Result = byte(dicomnet.ContextAbstractSyntaxNotSupported)
		}
	}
	return true
}

// Match sends a pending C-FIND response for each match.
func (a *ScriptedAssociation) Match(matches ...Attributes) {
	for _, m := range matches {
		a.Pending(m.Encode(a.TransferSyntax()))
	}
}

// Pending sends a pending response with this data set, which need not be one.
func (a *ScriptedAssociation) Pending(data []byte) {
	a.SendMessage(Response(a.Request, dicomnet.StatusPending, data))
}

// Undecodable is a data set that ends within its first element.
var Undecodable = []byte{8, 0, 5, 0, 0xf0, 0xff, 0xff, 0x7f, 1, 2}

// Finish sends a final response without a data set.
func (a *ScriptedAssociation) Finish(status dicomnet.Status) {
	a.SendMessage(Response(a.Request, status, nil))
}

// Counters are the numbers of sub-operations of a C-MOVE response; -1 leaves one out.
type Counters struct{ Completed, Failed, Warning, Remaining int }

// Count returns counters.
func Count(completed, failed, warning, remaining int) Counters {
	return Counters{completed, failed, warning, remaining}
}

// NoCounters leaves out all of them.
var NoCounters = Counters{-1, -1, -1, -1}

// Moving sends a pending C-MOVE response.
func (a *ScriptedAssociation) Moving(c Counters) {
	a.SendMessage(a.MoveResponse(dicomnet.StatusPending, c))
}

// Moved sends a final C-MOVE response with the list of the instances that failed.
func (a *ScriptedAssociation) Moved(status dicomnet.Status, c Counters, failedSOPInstanceUIDs ...string) {
	a.SendMessage(a.MoveResponse(status, c, failedSOPInstanceUIDs...))
}

// MoveResponse returns a C-MOVE response to the request.
func (a *ScriptedAssociation) MoveResponse(status dicomnet.Status, c Counters, failedSOPInstanceUIDs ...string) Message {
	var data []byte
	if len(failedSOPInstanceUIDs) > 0 {
		data = Attributes{tag.FailedSOPInstanceUIDList: strings.Join(failedSOPInstanceUIDs, `\`)}.Encode(a.TransferSyntax())
	}
	m := Response(a.Request, status, data)
	for _, counter := range []struct {
		n  int
		to **uint16
	}{
		{c.Completed, &m.Command.Completed},
		{c.Failed, &m.Command.Failed},
		{c.Warning, &m.Command.Warning},
		{c.Remaining, &m.Command.Remaining},
	} {
		if counter.n >= 0 {
			*counter.to = new(uint16(counter.n))
		}
	}
	return m
}

// AwaitCancel reads the C-CANCEL-RQ of the request and records it.
func (a *ScriptedAssociation) AwaitCancel() {
	if m := a.ReadRequest(dicomnet.CCancelRQ); m.Command.MessageIDBeingRespondedTo != a.Request.Command.MessageID {
		a.Failf("C-CANCEL-RQ of message %d", m.Command.MessageIDBeingRespondedTo)
	}
	a.PACS.Record("cancel", "")
}

// KeepSending sends the message every 100 ms until the connection ends, as a PACS does that ignores a C-CANCEL-RQ.
func (a *ScriptedAssociation) KeepSending(m Message) {
	for {
		if _, err := a.Conn.Write(m.Append(nil)); err != nil {
			return
		}
		Wait(100 * time.Millisecond)
	}
}

// Abort sends A-ABORT.
func (a *ScriptedAssociation) Abort() { a.SendPDU(&pdu.Abort{Source: pdu.SourceProvider}) }

// Close closes the connection.
func (a *ScriptedAssociation) Close() { _ = a.Conn.Close() }

// Reset resets the connection, with or without TLS, if it is one of TCP, and closes it otherwise.
func (a *ScriptedAssociation) Reset() {
	conn := a.conn.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// AnnouncedFinish sends a final response that announces a data set which does not follow.
func (a *ScriptedAssociation) AnnouncedFinish(status dicomnet.Status) {
	m := Response(a.Request, status, nil)
	m.Command.HasDataSet = true
	a.SendMessage(m)
}

// Attributes are the elements of a data set as text by tag, several values of one separated by backslashes.
type Attributes map[tag.Tag]string

// StudyMatch returns a match of a study. More attributes replace those of the same tag.
func StudyMatch(patientID, studyInstanceUID string, more ...Attributes) Attributes {
	as := Attributes{tag.PatientID: patientID, tag.StudyInstanceUID: studyInstanceUID}
	for _, m := range more {
		maps.Copy(as, m)
	}
	return as
}

// With returns a copy with one attribute set.
func (as Attributes) With(t tag.Tag, value string) Attributes {
	c := maps.Clone(as)
	c[t] = value
	return c
}

// Encode returns the data set as a careless peer may send it: with values that are not checked, in any order of tags, and,
// in Explicit VR, with LO as every VR.
func (as Attributes) Encode(ts dataset.TransferSyntax) []byte {
	var b []byte
	for t, value := range as {
		if len(value)%2 != 0 {
			value += " "
		}
		b = binary.LittleEndian.AppendUint16(b, t.Group)
		b = binary.LittleEndian.AppendUint16(b, t.Element)
		if ts == dataset.ExplicitVRLittleEndian {
			b = append(b, "LO"...)
			b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
		} else {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
		}
		b = append(b, value...)
	}
	return b
}
