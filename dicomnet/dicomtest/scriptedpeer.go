package dicomtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pdu"
)

// ScriptedPeer plays a script on one connection, PDU by PDU, valid or not. If the other side does something else than the script expects,
// the method ends the script, and Script.Err returns the error.
type ScriptedPeer struct {
	Conn net.Conn
	// RQ is the request that ReadAssociateRQ has read.
	RQ   *pdu.AssociateRQ
	pdvs []byte // of the current P-DATA-TF, not yet returned by ReadPDV
}

// Script is a scripted peer. Play is called for each connection.
type Script struct {
	Play func(p *ScriptedPeer)

	mu   sync.Mutex
	errs []error
	wait sync.WaitGroup
}

// Go plays the script on conn in a goroutine and closes conn at the end.
func (s *Script) Go(conn net.Conn) { s.wait.Go(func() { s.run(conn) }) }

func (s *Script) run(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		if stop, ok := recover().(stopped); ok {
			s.mu.Lock()
			s.errs = append(s.errs, stop.error)
			s.mu.Unlock()
		}
	}()
	s.Play(&ScriptedPeer{Conn: conn})
}

// DialContext returns a new connection in memory with the script at its other end.
func (s *Script) DialContext(context.Context, string, string) (net.Conn, error) {
	ours, theirs := Pipe(0)
	s.Go(theirs)
	return ours, nil
}

// Listen plays the script on each connection to a free port of loopback, until closeFn is called.
func (s *Script) Listen() (address string, closeFn func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s.wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.Go(conn)
		}
	})
	return l.Addr().String(), func() { _ = l.Close() }, nil
}

// Err waits for the end of all connections and returns their errors.
func (s *Script) Err() error {
	s.wait.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.errs...)
}

// stopped is the panic by which a method ends Play.
type stopped struct{ error }

// Failf ends the script with an error.
func (p *ScriptedPeer) Failf(format string, args ...any) {
	panic(stopped{fmt.Errorf(format, args...)})
}

func (p *ScriptedPeer) check(err error, what string) {
	if err != nil {
		p.Failf("%s: %w", what, err)
	}
}

// Send writes b in one write.
func (p *ScriptedPeer) Send(b []byte) {
	_, err := p.Conn.Write(b)
	p.check(err, "send")
}

// SendPDU writes PDUs in one write.
func (p *ScriptedPeer) SendPDU(pdus ...pdu.PDU) {
	var b []byte
	for _, u := range pdus {
		b = u.Append(b)
	}
	p.Send(b)
}

// SendBytewise writes b byte by byte with a pause after each.
func (p *ScriptedPeer) SendBytewise(b []byte, pause time.Duration) {
	for i := range b {
		p.Send(b[i : i+1])
		Wait(pause)
	}
}

// Wait waits for the duration d, which takes no real time in a testing/synctest bubble.
func Wait(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

// ReadPDU reads a PDU and returns its type and its body.
func (p *ScriptedPeer) ReadPDU() (pdu.Type, []byte) {
	var head [pdu.HeaderLength]byte
	_, err := io.ReadFull(p.Conn, head[:])
	p.check(err, "read header")
	body := make([]byte, binary.BigEndian.Uint32(head[2:]))
	_, err = io.ReadFull(p.Conn, body)
	p.check(err, "read body")
	return pdu.Type(head[0]), body
}

// Expect reads and decodes a PDU, which must be of type t.
func (p *ScriptedPeer) Expect(t pdu.Type) pdu.PDU {
	got, body := p.ReadPDU()
	if got != t {
		p.Failf("got %s %x, want %s", got, body, t)
	}
	u, err := pdu.Decode(got, body)
	p.check(err, "decode")
	return u
}

// ReadAssociateRQ reads an A-ASSOCIATE-RQ, which must come next, and stores it in RQ.
func (p *ScriptedPeer) ReadAssociateRQ() *pdu.AssociateRQ {
	p.RQ = p.Expect(pdu.TypeAssociateRQ).(*pdu.AssociateRQ)
	return p.RQ
}

// AC returns an A-ASSOCIATE-AC that accepts every presentation context of RQ with ts, or with the first transfer syntax that was
// proposed if ts is empty.
func (p *ScriptedPeer) AC(ts dataset.TransferSyntax) *pdu.AssociateAC {
	ac := &pdu.AssociateAC{
		CalledAETitle: p.RQ.CalledAETitle, CallingAETitle: p.RQ.CallingAETitle,
		User: pdu.UserInformation{MaxLength: 16384, ImplementationClassUID: "2.25.1", ImplementationVersionName: "SCRIPT"},
	}
	for _, pc := range p.RQ.Contexts {
		chosen := string(ts)
		if chosen == "" {
			chosen = pc.TransferSyntaxes[0]
		}
		ac.Contexts = append(ac.Contexts, pdu.ContextAC{ID: pc.ID, TransferSyntaxes: []string{chosen}})
	}
	return ac
}

// Accept reads an A-ASSOCIATE-RQ and accepts every presentation context in Implicit VR Little Endian.
func (p *ScriptedPeer) Accept() {
	p.ReadAssociateRQ()
	p.SendPDU(p.AC(dataset.ImplicitVRLittleEndian))
}

// Message is a DIMSE message.
type Message struct {
	ContextID byte
	Command   dicomnet.CommandSet
	Data      []byte // the data set; nil: none
}

// ReadMessage reads a message.
func (p *ScriptedPeer) ReadMessage() Message {
	var m Message
	var command []byte
	for done := false; !done; {
		v := p.ReadPDV()
		m.ContextID = v.ContextID
		if v.Command {
			if command = append(command, v.Fragment...); !v.Last {
				continue
			}
			c, err := dicomnet.DecodeCommandSet(command)
			p.check(err, "decode command set")
			m.Command, done = c, !c.HasDataSet
			continue
		}
		m.Data, done = append(m.Data, v.Fragment...), v.Last
	}
	return m
}

// ReadPDV reads the next PDV.
func (p *ScriptedPeer) ReadPDV() pdu.PDV {
	for len(p.pdvs) == 0 {
		p.pdvs = p.Expect(pdu.TypePDataTF).(*pdu.PDataTF).Body
	}
	v, rest, _, err := pdu.NextPDV(p.pdvs)
	p.check(err, "read PDV")
	p.pdvs = rest
	return v
}

// ReadRequest reads a message, which must have the command field f.
func (p *ScriptedPeer) ReadRequest(f dicomnet.CommandField) Message {
	m := p.ReadMessage()
	if m.Command.CommandField != f {
		p.Failf("got %s, want %s", m.Command.CommandField, f)
	}
	return m
}

// Response returns a response to rq, with a data set unless data is nil.
func Response(rq Message, status dicomnet.Status, data []byte) Message {
	return Message{ContextID: rq.ContextID, Data: data, Command: dicomnet.CommandSet{
		CommandField:              rq.Command.CommandField | 0x8000,
		AffectedSOPClassUID:       rq.Command.AffectedSOPClassUID,
		MessageIDBeingRespondedTo: rq.Command.MessageID,
		Status:                    status, HasDataSet: data != nil,
	}}
}

// Append appends the message to b as P-DATA-TF PDUs of one PDV each.
func (m Message) Append(b []byte) []byte {
	b = pdu.AppendMessagePart(b, m.ContextID, true, m.Command.Append(nil), 16384)
	if m.Data != nil {
		b = pdu.AppendMessagePart(b, m.ContextID, false, m.Data, 16384)
	}
	return b
}

// PDVs appends the message to b as PDVs without PDU headers, with fragments of at most most bytes (0: one fragment each).
func (m Message) PDVs(b []byte, most int) []byte {
	b = appendPDVs(b, m.ContextID, true, m.Command.Append(nil), most)
	if m.Data != nil {
		b = appendPDVs(b, m.ContextID, false, m.Data, most)
	}
	return b
}

func appendPDVs(b []byte, id byte, command bool, data []byte, most int) []byte {
	for {
		n := len(data)
		if most > 0 {
			n = min(n, most)
		}
		b = pdu.AppendPDV(b, pdu.PDV{ContextID: id, Command: command, Last: n == len(data), Fragment: data[:n]})
		if data = data[n:]; len(data) == 0 {
			return b
		}
	}
}

// SendMessage sends messages in one write.
func (p *ScriptedPeer) SendMessage(messages ...Message) {
	var b []byte
	for _, m := range messages {
		b = m.Append(b)
	}
	p.Send(b)
}

// Release reads an A-RELEASE-RQ, which must come next, and sends A-RELEASE-RP.
func (p *ScriptedPeer) Release() {
	p.Expect(pdu.TypeReleaseRQ)
	p.SendPDU(&pdu.ReleaseRP{})
}

// ExpectAbort reads PDUs up to an A-ABORT, which must have this source and reason.
func (p *ScriptedPeer) ExpectAbort(source pdu.AbortSource, reason pdu.AbortReason) {
	for {
		t, body := p.ReadPDU()
		if t != pdu.TypeAbort {
			continue
		}
		u, _ := pdu.Decode(t, body)
		if got := u.(*pdu.Abort); got.Source != source || got.Reason != reason {
			p.Failf("A-ABORT (%d,%d), want (%d,%d)", got.Source, got.Reason, source, reason)
		}
		return
	}
}

// ExpectClose requires that the other side closes the connection without sending anything.
func (p *ScriptedPeer) ExpectClose() {
	if n, err := io.Copy(io.Discard, p.Conn); err != nil || n > 0 {
		p.Failf("got %d bytes and %v, want the end of the connection", n, err)
	}
}

// Reset closes the connection, by RST if it is a TCP connection.
func (p *ScriptedPeer) Reset() {
	if tcp, ok := p.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = p.Conn.Close()
}
