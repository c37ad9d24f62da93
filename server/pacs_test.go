package server

import (
	"bufio"
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// pacs is a scripted peer of a real gateway. It counts the studies of C-MOVE from
// 1, and associations likewise.
type pacs struct {
	studies int                            // of the patient, in the answer to C-FIND
	find    func(a *association)           // answers C-FIND in place of that
	move    func(a *association, n int)    // answers C-MOVE; nil: success
	moveAny func(a *association)           // the same of studies that are not numbered
	greet   func(a *association) (ok bool) // answers A-ASSOCIATE-RQ; nil: accepts

	script dicomtest.Script
	mu     sync.Mutex
	events []string
	at     map[string]time.Time // of the latest event of each kind
	opened int
	ended  chan time.Time // when an association was gone; buffered
}

// association is the PACS's side of one, with the request in hand.
type association struct {
	*dicomtest.Peer
	pacs *pacs
	nth  int
	ac   *pdu.AssociateAC // where greet sets none, every context is accepted
	rq   dicomtest.Message
}

// gateway is a real one whose every peer is the PACS; the PACS must have seen
// nothing that breaks the protocol.
func (p *pacs) gateway(t *testing.T, o gatewayOptions) realGateway {
	t.Helper()
	p.script.Play = p.play
	p.at, p.ended = map[string]time.Time{}, make(chan time.Time, 100)
	const d = 10 * time.Second
	o.pool.Timeouts.Connection, o.pool.Timeouts.ACSE, o.pool.Timeouts.DIMSE, o.pool.Timeouts.Network = d, d, d, d
	if o.pool.DialContext == nil {
		o.pool.DialContext = p.script.DialContext
	}
	g := newGateway(o)
	t.Cleanup(func() {
		assert.NoError(t, g.Wait(context.Background()))
		assert.NoError(t, p.script.Err())
	})
	return g
}

func (p *pacs) saw(event ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, strings.Join(event, " "))
	p.at[event[0]] = time.Now()
}

// forget makes the next association the first.
func (p *pacs) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events, p.opened = nil, 0
}

// seen is what happened, in order.
func (p *pacs) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.events...)
}

// when is the time of the latest event of a kind.
func (p *pacs) when(event string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at[event]
}

func (p *pacs) gone() { p.ended <- time.Now() }

// peeking lets the script look at the type of the next PDU.
type peeking struct {
	net.Conn
	*bufio.Reader
}

func (c peeking) Read(b []byte) (int, error) { return c.Reader.Read(b) }

func (p *pacs) play(peer *dicomtest.Peer) {
	conn := peeking{peer.Conn, bufio.NewReader(peer.Conn)}
	peer.Conn = conn
	p.mu.Lock()
	p.opened++
	a := &association{Peer: peer, pacs: p, nth: p.opened}
	p.mu.Unlock()
	defer p.gone()
	a.ReadAssociateRQ()
	p.saw("associate")
	if p.greet != nil && !p.greet(a) {
		return
	}
	if a.ac == nil {
		a.ac = a.AC(dataset.ImplicitVRLittleEndian)
	}
	a.SendPDU(a.ac)
	for {
		next, err := conn.Peek(1)
		if err != nil {
			return
		}
		switch pdu.Type(next[0]) {
		case pdu.TypeReleaseRQ:
			p.saw("release")
			peer.Release()
			return
		case pdu.TypeAbort:
			p.saw("abort")
			return
		default:
			a.serve(peer.ReadMessage())
		}
	}
}

func (a *association) serve(m dicomtest.Message) {
	a.rq = m
	switch m.Command.CommandField {
	case dicomnet.CFindRQ:
		a.pacs.saw("find")
		if a.pacs.find != nil {
			a.pacs.find(a)
			return
		}
		for n := range a.pacs.studies {
			a.match(match(n + 1))
		}
		a.done(dicomnet.StatusSuccess)
	case dicomnet.CMoveRQ:
		if a.pacs.moveAny != nil {
			a.pacs.moveAny(a)
			return
		}
		n := a.study()
		a.pacs.saw("move", strconv.Itoa(n))
		if a.pacs.move == nil {
			a.moved(1)
			return
		}
		a.pacs.move(a, n)
	case dicomnet.CCancelRQ:
		a.pacs.saw("late cancel")
	default:
		a.Failf("unexpected %s", m.Command.CommandField)
	}
}

// study is the number of the study that the C-MOVE in hand asks for.
func (a *association) study() int {
	set, err := dataset.Parse(a.rq.Data, dataset.ImplicitVRLittleEndian, dataset.Limits{})
	if err != nil {
		a.Failf("identifier: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimPrefix(set.String(tag.StudyInstanceUID), studyUID+"."))
	if err != nil {
		a.Failf("study: %w", err)
	}
	return n
}

// attributes are text by tag.
type attributes map[tag.Tag]string

// encoded is in Implicit VR Little Endian; the order of elements is any.
func (a attributes) encoded() []byte {
	var b []byte
	for t, value := range a {
		if len(value)%2 != 0 {
			value += " "
		}
		b = append(b, byte(t.Group), byte(t.Group>>8), byte(t.Element), byte(t.Element>>8), byte(len(value)), byte(len(value)>>8), 0, 0)
		b = append(b, value...)
	}
	return b
}

// explicit is a in Explicit VR Little Endian. LO stands for every value
// representation: readers go by the tag.
func (a attributes) explicit() []byte {
	var b []byte
	for t, value := range a {
		if len(value)%2 != 0 {
			value += " "
		}
		b = append(b, byte(t.Group), byte(t.Group>>8), byte(t.Element), byte(t.Element>>8), 'L', 'O', byte(len(value)), byte(len(value)>>8))
		b = append(b, value...)
	}
	return b
}

func uidOf(n int) string { return studyUID + "." + strconv.Itoa(n) }

// match is the nth study of the patient; they come newest first.
func match(n int) attributes {
	return attributes{
		tag.PatientID: patientID, tag.PatientName: patientName, tag.StudyInstanceUID: uidOf(n),
		tag.ModalitiesInStudy: "CT", tag.StudyDate: strconv.Itoa(20250131 - n),
	}
}

// with is a with other attributes over it.
func (a attributes) with(t tag.Tag, value string) attributes {
	a[t] = value
	return a
}

func (a *association) match(m attributes) { a.pending(m.encoded()) }

// pending is a C-FIND response with a match, which need not be one.
func (a *association) pending(match []byte) {
	a.SendMessage(dicomtest.Response(a.rq, dicomnet.StatusPending, match))
}

func (a *association) done(status dicomnet.Status) {
	a.SendMessage(dicomtest.Response(a.rq, status, nil))
}

// counters are those of a C-MOVE response; -1 is none.
type counters struct{ completed, failed, warning, remaining int }

var noCounters = counters{-1, -1, -1, -1}

// moving and final are C-MOVE responses.
func (a *association) moving(c counters) { a.SendMessage(a.response(dicomnet.StatusPending, c, nil)) }

func (a *association) moved(n int) { a.final(dicomnet.StatusSuccess, counters{n, 0, 0, -1}) }

func (a *association) final(status dicomnet.Status, c counters, failedUIDs ...string) {
	var data []byte
	if len(failedUIDs) > 0 {
		data = attributes{tag.FailedSOPInstanceUIDList: strings.Join(failedUIDs, `\`)}.encoded()
	}
	a.SendMessage(a.response(status, c, data))
}

func (a *association) response(status dicomnet.Status, c counters, data []byte) dicomtest.Message {
	m := dicomtest.Response(a.rq, status, data)
	for _, counter := range []struct {
		n  int
		to **uint16
	}{
		{c.completed, &m.Command.Completed},
		{c.failed, &m.Command.Failed},
		{c.warning, &m.Command.Warning},
		{c.remaining, &m.Command.Remaining},
	} {
		if counter.n >= 0 {
			*counter.to = new(uint16(counter.n))
		}
	}
	return m
}

// awaitCancel reads the C-CANCEL-RQ of the request in hand.
func (a *association) awaitCancel() {
	if m := a.ReadRequest(dicomnet.CCancelRQ); m.Command.MessageIDBeingRespondedTo != a.rq.Command.MessageID {
		a.Failf("C-CANCEL-RQ of message %d", m.Command.MessageIDBeingRespondedTo)
	}
	a.pacs.saw("cancel")
}

// goOn is a PACS that has read the C-CANCEL-RQ and takes no notice, until the
// connection is gone.
func (a *association) goOn(pending dicomtest.Message) {
	for {
		if _, err := a.Conn.Write(pending.Append(nil)); err != nil {
			return
		}
		dicomtest.Wait(100 * time.Millisecond)
	}
}

func (a *association) abort() { a.SendPDU(&pdu.Abort{Source: pdu.SourceProvider}) }

// reject is for good: what is rejected for now may be tried again.
func (a *association) reject() bool {
	a.SendPDU(&pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7})
	return false
}

// undecodable is a data set that no one can read.
var undecodable = []byte{8, 0, 5, 0, 0xf0, 0xff, 0xff, 0x7f, 1, 2}
