package dicomtest

import (
	"bufio"
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/pdu"
)

// ScriptedPACS is a PACS in memory whose answers a test chooses. It accepts associations, answers C-ECHO, C-FIND and C-MOVE,
// and records what it receives. The zero value accepts everything, finds nothing and moves every study with success.
//
// The exported fields are set before the first connection. The functions among them run on the goroutine of the association
// that they are called with, so those of several associations may run at the same time. The methods may be called from any
// goroutine.
type ScriptedPACS struct {
	// Accepts reports whether the nth association, counted from 1, accepts a presentation context for the SOP class. Nil
	// accepts every context.
	Accepts func(nth int, sopClass string) bool
	// Greet is called after A-ASSOCIATE-RQ is read. If it returns true, the PACS sends A-ASSOCIATE-AC and serves requests;
	// if it returns false, Greet has answered, and the connection is closed. Nil returns true. See Association.Reject.
	Greet func(a *Association) bool

	// Studies are the matches of a C-FIND at any level but SERIES.
	Studies []Attributes
	// Series are the matches of a C-FIND at SERIES level, by Study Instance UID.
	Series map[string][]Attributes

	// Echo answers C-ECHO; nil answers with success.
	Echo func(a *Association)
	// Find answers C-FIND; nil sends the matches of Studies or Series, then success.
	Find func(a *Association)
	// Move answers C-MOVE; nil answers with success and one completed sub-operation.
	Move func(a *Association)

	once   sync.Once
	script Script

	mu     sync.Mutex
	opened int // associations since the start or Forget
	rqs    []*pdu.AssociateRQ
	events []Event
	ends   []time.Time // of associations that AwaitEnd has not returned yet
	ended  *sync.Cond
}

// Names of events.
const (
	EventAssociate  = "associate"   // A-ASSOCIATE-RQ
	EventEcho       = "echo"        // C-ECHO-RQ
	EventFind       = "find"        // C-FIND-RQ
	EventMove       = "move"        // C-MOVE-RQ
	EventCancel     = "cancel"      // C-CANCEL-RQ that AwaitCancel read
	EventLateCancel = "late cancel" // C-CANCEL-RQ while no request is under way
	EventRelease    = "release"     // A-RELEASE-RQ
	EventAbort      = "abort"       // A-ABORT
)

// Event is something that a ScriptedPACS received, or that a test noted.
type Event struct {
	Name string
	At   time.Time
	// Nth is the number of the association, counted from 1; 0 for an event that a test noted.
	Nth int
	// Detail is, by name: for associate, the services that are proposed, such as "FIND MOVE"; for find, the level and the
	// Study Instance UID, such as "SERIES 1.2.3" or "STUDY"; for move, the Study Instance UID; otherwise "".
	Detail string
	// Destination is the move destination, for move.
	Destination string
}

// String returns the event in a line: "associate FIND MOVE", "find SERIES 1.2.3", "move 1.2.3 to DEST", "release".
func (e Event) String() string {
	s := e.Name
	if e.Detail != "" {
		s += " " + e.Detail
	}
	if e.Name == EventMove {
		s += " to " + e.Destination
	}
	return s
}

// DialContext dials a new in-memory connection to the PACS, whatever the address.
func (p *ScriptedPACS) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return p.started().DialContext(ctx, network, address)
}

// Listen serves connections to a new loopback port until closeFn is called.
func (p *ScriptedPACS) Listen() (address string, closeFn func(), err error) {
	return p.started().Listen()
}

// Go serves conn on a goroutine of its own and closes it at the end.
func (p *ScriptedPACS) Go(conn net.Conn) { p.started().Go(conn) }

// Err waits until all connections are closed. It returns what the peers did that the PACS did not expect, such as a PDU that
// breaks the protocol; nil if there was nothing. Connections from Play belong to the Script that ran it.
func (p *ScriptedPACS) Err() error { return p.started().Err() }

func (p *ScriptedPACS) started() *Script {
	p.once.Do(func() { p.script.Play = p.Play })
	return &p.script
}

// AssociateRQs returns the A-ASSOCIATE-RQs in the order in which they were received.
func (p *ScriptedPACS) AssociateRQs() []*pdu.AssociateRQ {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.rqs)
}

// Events returns the events in their order.
func (p *ScriptedPACS) Events() []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

// Lines returns the events in their order, as Event.String writes them.
func (p *ScriptedPACS) Lines() []string {
	var lines []string
	for _, e := range p.Events() {
		lines = append(lines, e.String())
	}
	return lines
}

// Last returns the time of the latest event of the name; the zero time if there is none.
func (p *ScriptedPACS) Last(name string) time.Time {
	events := p.Events()
	for _, e := range slices.Backward(events) {
		if e.Name == name {
			return e.At
		}
	}
	return time.Time{}
}

// Note adds an event of the test's own.
func (p *ScriptedPACS) Note(name, detail string) { p.record(Event{Name: name, Detail: detail}) }

func (p *ScriptedPACS) record(e Event) {
	e.At = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
}

// Forget discards the events and the A-ASSOCIATE-RQs, and counts associations from 1 again.
func (p *ScriptedPACS) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened, p.events, p.rqs = 0, nil, nil
}

// AwaitEnd waits for the end of an association that no earlier call has returned, the earliest first. It returns the time at
// which the PACS had sent its last PDU on it, or found the connection closed.
func (p *ScriptedPACS) AwaitEnd() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.ends) == 0 {
		p.endings().Wait()
	}
	end := p.ends[0]
	p.ends = p.ends[1:]
	return end
}

func (p *ScriptedPACS) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends = append(p.ends, time.Now())
	p.endings().Broadcast()
}

// endings is called with p.mu held.
func (p *ScriptedPACS) endings() *sync.Cond {
	if p.ended == nil {
		p.ended = sync.NewCond(&p.mu)
	}
	return p.ended
}

// Play serves one connection. It is for a Script that a test puts around the PACS.
func (p *ScriptedPACS) Play(peer *Peer) {
	defer p.end()
	a := newAssociation(p, peer)
	if !a.negotiate() {
		return
	}
	for {
		next, err := a.NextType()
		if err != nil {
			return
		}
		switch next {
		case pdu.TypeReleaseRQ:
			// Recorded before the answer, after which the peer goes on.
			a.record(Event{Name: EventRelease})
			a.Release()
			return
		case pdu.TypeAbort:
			a.record(Event{Name: EventAbort})
			return
		default:
			a.Request = a.ReadMessage()
			a.serve()
		}
	}
}

// Attributes are those of a match, or of another data set: the text of each by its tag, several values separated by
// backslashes.
type Attributes map[tag.Tag]string

// StudyMatch returns a match of a study. More attributes replace those of the same tag.
func StudyMatch(patientID, studyInstanceUID string, more ...Attributes) Attributes {
	a := Attributes{tag.PatientID: patientID, tag.StudyInstanceUID: studyInstanceUID}
	for _, m := range more {
		maps.Copy(a, m)
	}
	return a
}

// With returns a copy of a in which the attribute has the value.
func (a Attributes) With(t tag.Tag, value string) Attributes {
	with := maps.Clone(a)
	with[t] = value
	return with
}

// Implicit returns a in Implicit VR Little Endian, as a lax peer may send it: values are not checked, and the elements are in
// no order.
func (a Attributes) Implicit() []byte {
	return a.encode(func(b []byte, length int) []byte { return append(b, byte(length), byte(length>>8), 0, 0) })
}

// Explicit returns a in Explicit VR Little Endian, otherwise like Implicit. Every VR is LO.
func (a Attributes) Explicit() []byte {
	return a.encode(func(b []byte, length int) []byte { return append(b, 'L', 'O', byte(length), byte(length>>8)) })
}

func (a Attributes) encode(appendLength func(b []byte, length int) []byte) []byte {
	var b []byte
	for t, value := range a {
		if len(value)%2 != 0 {
			value += " "
		}
		b = append(b, byte(t.Group), byte(t.Group>>8), byte(t.Element), byte(t.Element>>8))
		b = append(appendLength(b, len(value)), value...)
	}
	return b
}

// Undecodable returns a data set that breaks the encoding of PS3.5: an element is longer than the data set.
func Undecodable() []byte { return []byte{8, 0, 5, 0, 0xf0, 0xff, 0xff, 0x7f, 1, 2} }

// services are the words of an associate event, by SOP class.
var services = map[string]string{
	dicomnet.VerificationSOPClass: "ECHO",
	dicomnet.StudyRoot.Find:       "FIND",
	dicomnet.StudyRoot.Move:       "MOVE",
}

func servicesOf(rq *pdu.AssociateRQ) string {
	words := make([]string, 0, len(rq.Contexts))
	for _, pc := range rq.Contexts {
		word, ok := services[pc.AbstractSyntax]
		if !ok {
			word = pc.AbstractSyntax
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// peekedConn is a connection whose next bytes can be looked at before they are read.
type peekedConn struct {
	net.Conn
	reader *bufio.Reader
}

func (c peekedConn) Read(b []byte) (int, error) { return c.reader.Read(b) }
