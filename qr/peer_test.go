package qr

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// pacs is a peer in memory that answers as a test says and keeps what was asked of it.
type pacs struct {
	// accepts tells whether the nth association (from 1) takes a SOP class; nil takes all.
	accepts func(nth int, sopClass string) bool
	// rejects tells whether to reject the nth association; nil rejects none.
	rejects func(nth int) bool
	// studies are the answer to C-FIND at STUDY level, series that at SERIES level by study.
	studies []attributes
	series  map[string][]attributes
	// find, where set, answers C-FIND in place of these two; move answers C-MOVE, with success where nil.
	find func(p *association, level string)
	move func(p *association, uid string)

	script dicomtest.Script
	mu     sync.Mutex
	rqs    []*pdu.AssociateRQ
	events []string
}

// association is one association, pacs's side, with the request in hand.
type association struct {
	*dicomtest.Peer
	pacs *pacs
	nth  int
	rq   dicomtest.Message
}

// gateway makes a Gateway whose every peer is the pacs; at the end of the test the pacs must have seen nothing that breaks
// the protocol.
func (p *pacs) gateway(t *testing.T, o Options) *Gateway {
	t.Helper()
	p.script.Play = p.play
	if o.DialContext == nil {
		o.DialContext = p.script.DialContext
	}
	if o.LookupHost == nil {
		o.LookupHost = someAddress
	}
	if o.Timeouts == (dicomnet.Timeouts{}) {
		o.Timeouts = dicomnet.Timeouts{
			Connection: 10 * time.Second, ACSE: 10 * time.Second, DIMSE: 10 * time.Second, Network: 10 * time.Second,
		}
	}
	if o.Now == nil {
		o.Now = func() time.Time { return today }
	}
	return New(o)
}

// seen waits for the releases and gives what happened.
func (p *pacs) seen(t *testing.T, g *Gateway) []string {
	t.Helper()
	require.NoError(t, g.Wait(t.Context()))
	assert.NoError(t, p.script.Err())
	return p.events
}

func (p *pacs) saw(event ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, strings.Join(event, " "))
}

// peeking lets the script look at the type of the next PDU.
type peeking struct {
	net.Conn
	*bufio.Reader
}

func (c peeking) Read(b []byte) (int, error) { return c.Reader.Read(b) }

func (p *pacs) play(peer *dicomtest.Peer) {
	conn := peeking{peer.Conn, bufio.NewReader(peer.Conn)}
	peer.Conn = conn
	a := &association{Peer: peer, pacs: p}
	if !a.negotiate() {
		return
	}
	for {
		next, err := conn.Peek(1)
		if err != nil {
			return
		}
		switch pdu.Type(next[0]) {
		case pdu.TypeReleaseRQ:
			p.saw("release") // before the requestor goes on
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

func (a *association) negotiate() bool {
	p := a.pacs
	rq := a.ReadAssociateRQ()
	p.mu.Lock()
	p.rqs = append(p.rqs, rq)
	a.nth = len(p.rqs)
	p.mu.Unlock()
	event := []string{"associate"}
	ac := a.AC(dataset.ImplicitVRLittleEndian)
	for i, pc := range rq.Contexts {
		event = append(event, map[string]string{dicomnet.StudyRoot.Find: "FIND", dicomnet.StudyRoot.Move: "MOVE"}[pc.AbstractSyntax])
		if p.accepts != nil && !p.accepts(a.nth, pc.AbstractSyntax) {
			ac.Contexts[i].Result = byte(dicomnet.ContextAbstractSyntaxNotSupported)
		}
	}
	p.saw(event...)
	if p.rejects != nil && p.rejects(a.nth) {
		a.SendPDU(&pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7})
		return false
	}
	a.SendPDU(ac)
	return true
}

func (a *association) serve(m dicomtest.Message) {
	p := a.pacs
	a.rq = m
	switch m.Command.CommandField {
	case dicomnet.CFindRQ:
		keys := a.keys()
		level := keys.String(tag.QueryRetrieveLevel)
		uid := keys.String(tag.StudyInstanceUID)
		p.saw("find", level, uid)
		matches := p.studies
		if level == "SERIES" {
			matches = p.series[uid]
		}
		if p.find != nil {
			p.find(a, level)
			return
		}
		a.match(matches...)
		a.done(dicomnet.StatusSuccess)
	case dicomnet.CMoveRQ:
		uid := a.keys().String(tag.StudyInstanceUID)
		p.saw("move", uid, "to", m.Command.MoveDestination)
		if p.move == nil {
			a.final(dicomnet.StatusSuccess, count(1, 0, 0, -1))
			return
		}
		p.move(a, uid)
	default:
		a.Failf("unexpected %s", m.Command.CommandField)
	}
}

func (a *association) keys() *dataset.Set {
	set, err := dataset.Parse(a.rq.Data, dataset.ImplicitVRLittleEndian, dataset.Limits{})
	if err != nil {
		a.Failf("identifier: %w", err)
	}
	return set
}

// match sends pending C-FIND responses.
func (a *association) match(matches ...attributes) {
	for _, m := range matches {
		a.SendMessage(dicomtest.Response(a.rq, dicomnet.StatusPending, m.encoded()))
	}
}

// undecodable sends a pending C-FIND response that no one can read.
func (a *association) undecodable() {
	a.SendMessage(dicomtest.Response(a.rq, dicomnet.StatusPending, []byte{8, 0, 5, 0, 0xf0, 0xff, 0xff, 0x7f, 1, 2}))
}

func (a *association) done(status dicomnet.Status) {
	a.SendMessage(dicomtest.Response(a.rq, status, nil))
}

// pending and final send C-MOVE responses.
func (a *association) pending(c counters) { a.moveResponse(dicomnet.StatusPending, c, nil) }

func (a *association) final(status dicomnet.Status, c counters, failedUIDs ...string) {
	var data []byte
	if len(failedUIDs) > 0 {
		data = attributes{tag.FailedSOPInstanceUIDList: strings.Join(failedUIDs, `\`)}.encoded()
	}
	a.moveResponse(status, c, data)
}

func (a *association) moveResponse(status dicomnet.Status, c counters, data []byte) {
	m := dicomtest.Response(a.rq, status, data)
	r := response(status, c)
	m.Command.Remaining, m.Command.Completed, m.Command.Failed, m.Command.Warning = r.Remaining, r.Completed, r.Failed, r.Warning
	a.SendMessage(m)
}

// awaitCancel reads the C-CANCEL-RQ of the request in hand.
func (a *association) awaitCancel() {
	if m := a.ReadRequest(dicomnet.CCancelRQ); m.Command.MessageIDBeingRespondedTo != a.rq.Command.MessageID {
		a.Failf("C-CANCEL-RQ of message %d", m.Command.MessageIDBeingRespondedTo)
	}
	a.pacs.saw("cancel")
}

func (a *association) abort() { a.SendPDU(&pdu.Abort{Source: pdu.SourceProvider}) }

// someAddress is what thePACS has where its address does not matter.
func someAddress(context.Context, string) ([]string, error) { return []string{"192.0.2.1"}, nil }

var thePACS = Peer{Host: "pacs.example", Port: 104, CalledAETitle: "PACS", CallingAETitle: "GATEWAY"}
