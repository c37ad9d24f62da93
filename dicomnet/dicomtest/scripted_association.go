package dicomtest

import (
	"bufio"
	"net"
	"strings"
	"time"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pdu"
)

// Association is one association of a ScriptedPACS, with the request under way. It is for the goroutine of the function that
// it was passed to. All data sets on it are in Implicit VR Little Endian. Its methods end the association, and Err reports
// why, if the peer does something else than they describe.
type Association struct {
	*Peer
	// Nth is the number of the association, counted from 1.
	Nth int
	// Request is the request under way. Responses refer to it: a test may change it to send wrong ones.
	Request Message
	// PatientID is that of the latest C-FIND on this association that names one.
	PatientID string

	pacs   *ScriptedPACS
	conn   net.Conn // without the reader
	reader *bufio.Reader
}

func newAssociation(p *ScriptedPACS, peer *Peer) *Association {
	a := &Association{Peer: peer, pacs: p, conn: peer.Conn, reader: bufio.NewReader(peer.Conn)}
	peer.Conn = peekedConn{peer.Conn, a.reader}
	return a
}

func (a *Association) negotiate() (established bool) {
	p := a.pacs
	rq := a.ReadAssociateRQ()
	p.mu.Lock()
	p.opened++
	a.Nth = p.opened
	p.rqs = append(p.rqs, rq)
	p.mu.Unlock()
	a.record(Event{Name: EventAssociate, Detail: servicesOf(rq)})
	if p.Greet != nil && !p.Greet(a) {
		return false
	}
	ac := a.AC(dataset.ImplicitVRLittleEndian)
	for i, pc := range rq.Contexts {
		if p.Accepts != nil && !p.Accepts(a.Nth, pc.AbstractSyntax) {
			ac.Contexts[i].Result = byte(dicomnet.ContextAbstractSyntaxNotSupported)
		}
	}
	a.SendPDU(ac)
	return true
}

func (a *Association) serve() {
	p := a.pacs
	switch a.Request.Command.CommandField {
	case dicomnet.CEchoRQ:
		a.record(Event{Name: EventEcho})
		a.answer(p.Echo, func() { a.Done(dicomnet.StatusSuccess) })
	case dicomnet.CFindRQ:
		keys := a.Keys()
		level, uid := keys.String(tag.QueryRetrieveLevel), keys.String(tag.StudyInstanceUID)
		if keys.Has(tag.PatientID) {
			a.PatientID = keys.String(tag.PatientID)
		}
		a.record(Event{Name: EventFind, Detail: strings.TrimSuffix(level+" "+uid, " ")})
		a.answer(p.Find, func() {
			if level == "SERIES" {
				a.Match(p.Series[uid]...)
			} else {
				a.Match(p.Studies...)
			}
			a.Done(dicomnet.StatusSuccess)
		})
	case dicomnet.CMoveRQ:
		a.record(Event{
			Name: EventMove, Detail: a.StudyInstanceUID(), Destination: a.Request.Command.MoveDestination,
		})
		a.answer(p.Move, func() { a.Moved(1) })
	case dicomnet.CCancelRQ:
		a.record(Event{Name: EventLateCancel})
	default:
		a.Failf("unexpected %s", a.Request.Command.CommandField)
	}
}

func (a *Association) answer(chosen func(*Association), otherwise func()) {
	if chosen == nil {
		otherwise()
		return
	}
	chosen(a)
}

func (a *Association) record(e Event) {
	e.Nth = a.Nth
	a.pacs.record(e)
}

// NextType returns the type of the next PDU without reading it. The error is that of the connection.
func (a *Association) NextType() (pdu.Type, error) {
	b, err := a.reader.Peek(1)
	if err != nil {
		return 0, err
	}
	return pdu.Type(b[0]), nil
}

// Rejections that depend on the called AE title, and on how many associations the PACS has.
var (
	CalledAETitleNotRecognized = pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7}
	TemporaryCongestion        = pdu.AssociateRJ{Result: 2, Source: 3, Reason: 1}
	LocalLimitExceeded         = pdu.AssociateRJ{Result: 2, Source: 3, Reason: 2}
)

// Reject sends A-ASSOCIATE-RJ. It returns false, for ScriptedPACS.Greet to return.
func (a *Association) Reject(rj pdu.AssociateRJ) bool {
	a.SendPDU(&rj)
	return false
}

// Keys returns the identifier of the request.
func (a *Association) Keys() *dataset.Set {
	keys, err := dataset.Parse(a.Request.Data, dataset.ImplicitVRLittleEndian, dataset.Limits{})
	a.check(err, "identifier")
	return keys
}

// Level returns the Query/Retrieve Level of the request.
func (a *Association) Level() string { return a.Keys().String(tag.QueryRetrieveLevel) }

// StudyInstanceUID returns that of the request; "" if it names none.
func (a *Association) StudyInstanceUID() string { return a.Keys().String(tag.StudyInstanceUID) }

// Respond sends a response to the request. Nil data means no data set.
func (a *Association) Respond(status dicomnet.Status, data []byte) {
	a.SendMessage(Response(a.Request, status, data))
}

// Match sends each match in a pending response.
func (a *Association) Match(matches ...Attributes) {
	for _, m := range matches {
		a.Respond(dicomnet.StatusPending, m.Implicit())
	}
}

// Undecodable sends a pending response whose data set cannot be decoded.
func (a *Association) Undecodable() { a.Respond(dicomnet.StatusPending, Undecodable()) }

// Done sends a response without a data set: the final one.
func (a *Association) Done(status dicomnet.Status) { a.Respond(status, nil) }

// Counters are the numbers of sub-operations in a response to C-MOVE. A negative one is absent from the response.
type Counters struct{ Completed, Failed, Warning, Remaining int }

// Count returns Counters in the order of the arguments.
func Count(completed, failed, warning, remaining int) Counters {
	return Counters{completed, failed, warning, remaining}
}

// NoCounters is absent counters.
var NoCounters = Count(-1, -1, -1, -1)

// MoveResponse returns a response to the request, which is a C-MOVE. Failed UIDs are its Failed SOP Instance UID List; without
// any, it has no data set.
func (a *Association) MoveResponse(status dicomnet.Status, c Counters, failedUIDs ...string) Message {
	var data []byte
	if len(failedUIDs) > 0 {
		data = Attributes{tag.FailedSOPInstanceUIDList: strings.Join(failedUIDs, `\`)}.Implicit()
	}
	m := Response(a.Request, status, data)
	counter := func(n int) *uint16 {
		if n < 0 {
			return nil
		}
		return new(uint16(n))
	}
	m.Command.Completed, m.Command.Failed = counter(c.Completed), counter(c.Failed)
	m.Command.Warning, m.Command.Remaining = counter(c.Warning), counter(c.Remaining)
	return m
}

// Pending sends a pending response to C-MOVE.
func (a *Association) Pending(c Counters) { a.SendMessage(a.MoveResponse(dicomnet.StatusPending, c)) }

// Final sends the final response to C-MOVE; see MoveResponse.
func (a *Association) Final(status dicomnet.Status, c Counters, failedUIDs ...string) {
	a.SendMessage(a.MoveResponse(status, c, failedUIDs...))
}

// Moved sends the final response to a C-MOVE of which n sub-operations are completed and none failed.
func (a *Association) Moved(n int) { a.Final(dicomnet.StatusSuccess, Count(n, 0, 0, -1)) }

// AwaitCancel reads the C-CANCEL-RQ of the request.
func (a *Association) AwaitCancel() {
	m := a.ReadRequest(dicomnet.CCancelRQ)
	if got, want := m.Command.MessageIDBeingRespondedTo, a.Request.Command.MessageID; got != want {
		a.Failf("C-CANCEL-RQ for message %d, want %d", got, want)
	}
	a.record(Event{Name: EventCancel})
}

// Repeat sends a message again and again, every so often, until the connection is closed. It reads nothing: the peer can only
// abort.
func (a *Association) Repeat(m Message, every time.Duration) {
	for {
		if _, err := a.Conn.Write(m.Append(nil)); err != nil {
			return
		}
		Wait(every)
	}
}

// Abort sends A-ABORT of the service provider.
func (a *Association) Abort() { a.SendPDU(&pdu.Abort{Source: pdu.SourceProvider}) }

// Close closes the connection without a PDU.
func (a *Association) Close() { _ = a.Conn.Close() }

// Reset closes the connection with RST if it is a TCP connection.
func (a *Association) Reset() { (&Peer{Conn: a.conn}).Reset() }
