package storescp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
)

// connection is one connection of a peer, and the association on it.
type connection struct {
	scp      *SCP
	conn     net.Conn
	address  netip.AddrPort
	server   *dicomnet.Server
	accepted bool // guarded by the lock of the SCP

	// Set by admit, before the association is accepted:
	association Association
	pacs        []string // all names of PACS from which it may come

	refused int // Receive runs for one instance at a time
	buffer  []byte
}

func (c *connection) newServer() *dicomnet.Server {
	o := &c.scp.options
	timeouts := o.Timeouts
	timeouts.DIMSE = associationIdle
	s := &dicomnet.Server{
		Timeouts:      timeouts,
		Limits:        dicomnet.Limits{MaxPDULength: dicomnet.RetrievalPDULength},
		Admit:         c.admit,
		ChooseContext: c.choose,
		Handler: dicomnet.Handler{
			Echo:    func(context.Context, *dicomnet.Request) dicomnet.Status { return dicomnet.StatusSuccess },
			Receive: c.receive,
		},
	}
	if o.Trace != nil {
		s.Trace = c.trace()
	}
	return s
}

// trace returns a trace that passes on the context of the SCP.
func (c *connection) trace() *dicomnet.Trace {
	o := &c.scp.options
	unknown := o.Trace("")
	trace := &dicomnet.Trace{Ended: func(_ context.Context, summary dicomnet.Summary) {
		if ended := o.Trace(c.association.PACS).Ended; c.pacs != nil && ended != nil {
			ended(o.Background, summary)
		}
	}}
	if unknown.PDU != nil {
		trace.PDU = func(_ context.Context, sent bool, name string, length int) {
			unknown.PDU(o.Background, sent, name, length)
		}
	}
	if unknown.Command != nil {
		trace.Command = func(_ context.Context, sent bool, command dicomnet.CommandSet) {
			unknown.Command(o.Background, sent, command)
		}
	}
	return trace
}

// serve serves the connection until its association has ended.
func (c *connection) serve() {
	defer c.scp.end(c)
	conn := c.conn
	if c.scp.options.TLS != nil {
		var err error
		if conn, err = c.scp.handshake(conn); err != nil {
			_ = c.conn.Close()
			if o := c.scp.options.Observer; o != nil && !errors.Is(err, io.EOF) { // as checks of a port end
				o.Failed(Association{Remote: c.address}, err)
			}
			return
		}
	}
	c.server.ServeConn(conn)
	if c.pacs == nil {
		return
	}
	c.scp.book.seen(c.arrival())
	if o := c.scp.options.Observer; o != nil && c.accepted {
		o.Ended(c.association, c.refused)
	}
}

// close aborts the association.
func (c *connection) close() {
	_ = c.conn.Close() // ends a TLS handshake too
	_ = c.server.Close()
}

// admit says whether the association is accepted (PS3.8 section 9.3.4): it must come from a PACS, and call one of our AE titles.
func (c *connection) admit(called, calling string, _ net.Addr) *dicomnet.RejectError {
	s := c.scp
	c.association = Association{Remote: c.address, CalledAETitle: called, CallingAETitle: calling}
	var rejected *dicomnet.RejectError
	if !slices.Contains(s.options.AETitles, called) {
		rejected = &dicomnet.RejectError{Result: 1, Source: 1, Reason: 7}
	} else if names := s.known(context.Background(), calling, c.address.Addr()); len(names) == 0 {
		rejected = &dicomnet.RejectError{Result: 1, Source: 1, Reason: 3}
	} else {
		c.association.PACS = names[0]
		if rejected = s.admit(c); rejected == nil {
			c.pacs = names
			s.book.seen(c.arrival())
		}
	}
	if s.options.Observer != nil {
		s.options.Observer.Associated(c.association, rejected)
	}
	return rejected
}

// choose answers a presentation context.
func (c *connection) choose(abstract string, proposed []dataset.TransferSyntax) (dataset.TransferSyntax, dicomnet.ContextResult) {
	a := c.arrival()
	ts, result := chooseContext(abstract, proposed, c.scp.book.preference(a))
	if result == dicomnet.ContextAccepted && !slices.Contains(storedSyntaxes, ts) && slices.ContainsFunc(proposed, func(ts dataset.TransferSyntax) bool {
		return slices.Contains(storedSyntaxes, ts)
	}) {
		c.scp.book.declined(a)
	}
	return ts, result
}

// arrival returns what is known of all instances of the association.
func (c *connection) arrival() *arrival {
	return &arrival{
		called: c.association.CalledAETitle, calling: c.association.CallingAETitle,
		remote: remote{address: c.address.Addr(), pacs: c.pacs},
	}
}

// headLimit bounds what is read and kept of a data set to find its UIDs, for which headBuffer is enough as a rule.
const (
	headLimit  = 1 << 20
	headBuffer = 16 << 10
)

// receive hands an instance to the retrieval that waits for it.
func (c *connection) receive(ctx context.Context, _ *dicomnet.Request, in *dicomnet.Instance) dicomnet.Status {
	if c.buffer == nil {
		c.buffer = make([]byte, 0, headBuffer)
	}
	head, read, err := stream.ReadHead(in, in.TransferSyntax, c.buffer[:0], headLimit)
	switch {
	case err != nil:
		return c.refuse(Malformed, dicomnet.StatusUnableToProcess)
	case head.SOPClassUID != in.SOPClassUID || head.SOPInstanceUID != in.SOPInstanceUID:
		return c.refuse(Mismatched, dicomnet.StatusIdentifierMismatch)
	}
	a := c.arrival()
	a.scope, a.messageID = scope{head.StudyInstanceUID, head.SeriesInstanceUID, head.SOPInstanceUID}, in.MoveOriginatorMessageID
	l := c.scp.book.begin(a)
	if l == nil {
		if l = c.scp.book.only(a); l != nil && l.expectation.Foreign != nil && head.StudyInstanceUID != "" && head.SeriesInstanceUID != "" {
			l.expectation.Foreign(in.SOPInstanceUID)
		}
		return c.refuse(Unexpected, dicomnet.StatusNotAuthorized)
	}
	defer c.scp.book.end(l)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.ctx, func() { cancel(context.Cause(l.ctx)) })()
	defer in.Watch(ctx)() // a peer that sends a byte now and then does not keep the receiver
	return l.expectation.Receive(ctx, in, head, read)
}

// refuse reports an instance that is refused. What is left of it is read and dropped when receive has returned.
func (c *connection) refuse(why Refusal, status dicomnet.Status) dicomnet.Status {
	c.refused++
	if o := c.scp.options.Observer; o != nil {
		o.Refused(c.association, why, c.refused)
	}
	return status
}
