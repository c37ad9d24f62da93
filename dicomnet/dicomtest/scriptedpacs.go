package dicomtest

import (
	"bufio"
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pdu"
)

// ScriptedPACS is a PACS whose behaviour is a set of functions of a test. It accepts associations, reads requests, calls the
// function for each, and records what happens. With the zero value, C-ECHO succeeds, C-FIND has no matches and each C-MOVE
// moves one instance. What goes against the protocol is an error of [ScriptedPACS.Err].
//
// The functions run on the goroutine of an association. The fields must not change while it serves requests.
type ScriptedPACS struct {
	// Negotiate decides on an A-ASSOCIATE-RQ, which is in a.RQ. It may change a.Answer, the answer, which accepts every
	// presentation context in Implicit VR Little Endian. If it returns false, the connection is closed; it may have
	// answered before.
	Negotiate func(a *ScriptedAssociation) bool

	// Studies are the matches of C-FIND at STUDY level, Series those at SERIES level by Study Instance UID.
	Studies []Attributes
	Series  map[string][]Attributes

	// Find responds to C-FIND at a level, instead of Studies and Series. Move responds to C-MOVE of a study. Echo responds to
	// C-ECHO. A function that returns without a final response leaves the requestor waiting.
	Find func(a *ScriptedAssociation, level string)
	Move func(a *ScriptedAssociation, studyInstanceUID string)
	Echo func(a *ScriptedAssociation)

	// AllowLateCancel accepts a C-CANCEL-RQ after the final response; otherwise it is an error.
	AllowLateCancel bool

	script Script
	once   sync.Once
	mu     sync.Mutex
	events []Event
	rqs    []*pdu.AssociateRQ
	open   int
	most   int
	ends   []time.Time
	ended  sync.Cond // with mu
}

// Event is something that a [ScriptedPACS] has seen: "associate" with the services proposed (ECHO, FIND, MOVE, in the Patient
// Root model PATIENT-FIND and PATIENT-MOVE), "echo", "find"
// with level and Study Instance UID, "move" with Study Instance UID and destination, "cancel", "late cancel", "release",
// "abort", and what the test records.
type Event struct {
	Name, Detail string
	At           time.Time
}

// String returns name and detail.
func (e Event) String() string { return strings.TrimSpace(e.Name + " " + e.Detail) }

func (p *ScriptedPACS) init() {
	p.once.Do(func() {
		p.script.Play = p.Play
		p.ended.L = &p.mu
	})
}

// DialContext opens a connection in memory to the PACS.
func (p *ScriptedPACS) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	p.init()
	return p.script.DialContext(ctx, network, address)
}

// Go serves a connection on a goroutine of its own.
func (p *ScriptedPACS) Go(conn net.Conn) {
	p.init()
	p.script.Go(conn)
}

// Listen serves connections to a free port of loopback until stop is called.
func (p *ScriptedPACS) Listen() (address string, stop func(), err error) {
	p.init()
	return p.script.Listen()
}

// Err waits for the end of all connections and returns what went against the protocol or the script.
func (p *ScriptedPACS) Err() error { return p.script.Err() }

// Record adds an event.
func (p *ScriptedPACS) Record(name, detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, Event{name, strings.TrimSpace(detail), time.Now()})
}

// Events returns what happened so far, in order.
func (p *ScriptedPACS) Events() []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

// When returns the time of the latest event of this name, the zero time if there is none.
func (p *ScriptedPACS) When(name string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range slices.Backward(p.events) {
		if e.Name == name {
			return e.At
		}
	}
	return time.Time{}
}

// Requests returns the A-ASSOCIATE-RQs so far, in order.
func (p *ScriptedPACS) Requests() []*pdu.AssociateRQ {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.rqs)
}

// MostOpen returns the largest number of associations that were open at the same time, those that were rejected included.
func (p *ScriptedPACS) MostOpen() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most
}

// Forget removes all events and requests, so that the next association is the first.
func (p *ScriptedPACS) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events, p.rqs = nil, nil
}

// AwaitEnd waits until another connection has ended, and returns when.
func (p *ScriptedPACS) AwaitEnd() time.Time {
	p.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.ends) == 0 {
		p.ended.Wait()
	}
	end := p.ends[0]
	p.ends = p.ends[1:]
	return end
}

func (p *ScriptedPACS) connectionEnded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends = append(p.ends, time.Now())
	p.ended.Signal()
}

// Play serves one connection, for tests with a [Script] of their own.
func (p *ScriptedPACS) Play(peer *Peer) {
	p.init()
	defer p.connectionEnded()
	conn := peekConn{peer.Conn, bufio.NewReader(peer.Conn)}
	peer.Conn = conn
	a := &ScriptedAssociation{Peer: peer, PACS: p, conn: conn}
	a.opened()
	defer a.closed()
	if !a.negotiate() {
		return
	}
	for a.next() {
		continue
	}
}

// peekConn is a connection whose next bytes can be looked at.
type peekConn struct {
	net.Conn
	reader *bufio.Reader
}

func (c peekConn) Read(b []byte) (int, error) { return c.reader.Read(b) }

// ScriptedAssociation is the side of a [ScriptedPACS] of one association.
type ScriptedAssociation struct {
	*Peer
	PACS *ScriptedPACS
	// Number counts the associations of the PACS from 1. Open is the number of those that were open when this one was
	// requested, itself included.
	Number, Open int
	// Answer is the answer to the A-ASSOCIATE-RQ.
	Answer *pdu.AssociateAC
	// Request is the request that is being responded to.
	Request Message

	conn  peekConn
	ended bool
}

func (a *ScriptedAssociation) opened() {
	a.ReadAssociateRQ()
	a.Answer = a.AC(dataset.ImplicitVRLittleEndian)
	p := a.PACS
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rqs = append(p.rqs, a.RQ)
	p.open++
	p.most = max(p.most, p.open)
	a.Number, a.Open = len(p.rqs), p.open
}

// closed counts the association as over.
func (a *ScriptedAssociation) closed() {
	a.PACS.mu.Lock()
	defer a.PACS.mu.Unlock()
	if !a.ended {
		a.ended = true
		a.PACS.open--
	}
}

func (a *ScriptedAssociation) negotiate() bool {
	services := map[string]string{
		dicomnet.VerificationSOPClass: "ECHO",
		dicomnet.StudyRoot.Find:       "FIND",
		dicomnet.StudyRoot.Move:       "MOVE",
		dicomnet.PatientRoot.Find:     "PATIENT-FIND",
		dicomnet.PatientRoot.Move:     "PATIENT-MOVE",
	}
	var proposed []string
	for _, pc := range a.RQ.Contexts {
		proposed = append(proposed, services[pc.AbstractSyntax])
	}
	a.PACS.Record("associate", strings.Join(proposed, " "))
	if a.PACS.Negotiate != nil && !a.PACS.Negotiate(a) {
		return false
	}
	a.SendPDU(a.Answer)
	return true
}

// next responds to the next PDU and reports whether the association goes on. The records and counts of the end are made
// before the requestor can see it.
func (a *ScriptedAssociation) next() bool {
	kind, ok := a.PeekType()
	if !ok {
		return false
	}
	switch kind {
	case pdu.TypeReleaseRQ:
		a.PACS.Record("release", "")
		a.closed()
		a.Release()
		return false
	case pdu.TypeAbort:
		a.PACS.Record("abort", "")
		return false
	}
	a.respond(a.ReadMessage())
	return true
}

// PeekType returns the type of the next PDU without reading it. It reports false at the end of the connection.
func (a *ScriptedAssociation) PeekType() (pdu.Type, bool) {
	b, err := a.conn.reader.Peek(1)
	if err != nil {
		return 0, false
	}
	return pdu.Type(b[0]), true
}

func (a *ScriptedAssociation) respond(m Message) {
	p := a.PACS
	a.Request = m
	switch m.Command.CommandField {
	case dicomnet.CEchoRQ:
		p.Record("echo", "")
		if p.Echo != nil {
			p.Echo(a)
			return
		}
		a.Finish(dicomnet.StatusSuccess)
	case dicomnet.CFindRQ:
		keys := a.Keys()
		level, uid := keys.String(tag.QueryRetrieveLevel), keys.String(tag.StudyInstanceUID)
		p.Record("find", level+" "+uid)
		if p.Find != nil {
			p.Find(a, level)
			return
		}
		matches := p.Studies
		if level == "SERIES" {
			matches = p.Series[uid]
		}
		a.Match(matches...)
		a.Finish(dicomnet.StatusSuccess)
	case dicomnet.CMoveRQ:
		uid := a.Keys().String(tag.StudyInstanceUID)
		p.Record("move", uid+" to "+m.Command.MoveDestination)
		if p.Move != nil {
			p.Move(a, uid)
			return
		}
		a.Moved(dicomnet.StatusSuccess, Count(1, 0, 0, -1))
	case dicomnet.CCancelRQ:
		if !p.AllowLateCancel {
			a.Failf("C-CANCEL-RQ after the final response")
		}
		p.Record("late cancel", "")
	default:
		a.Failf("unexpected %s", m.Command.CommandField)
	}
}

// Keys decodes the identifier of the request.
func (a *ScriptedAssociation) Keys() *dataset.Set {
	set, err := dataset.Parse(a.Request.Data, a.TransferSyntax(), dataset.Limits{})
	if err != nil {
		a.Failf("identifier: %w", err)
	}
	return set
}

// TransferSyntax returns the transfer syntax of the request's presentation context.
func (a *ScriptedAssociation) TransferSyntax() dataset.TransferSyntax {
	for _, pc := range a.Answer.Contexts {
		if pc.ID == a.Request.ContextID {
			return dataset.TransferSyntax(pc.TransferSyntaxes[0])
		}
	}
	return dataset.ImplicitVRLittleEndian
}
