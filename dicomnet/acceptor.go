package dicomnet

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/suyashkumar/dicom"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pdu"
)

// Server accepts associations and serves their operations. Its fields are read
// from the first Serve or ServeConn on and must not be changed then.
type Server struct {
	// AETitle is the called AE title to answer to; others are rejected with
	// (1,1,7). Empty answers to any.
	AETitle string
	// Contexts are the abstract syntaxes to accept, each with its transfer syntaxes
	// in order of preference.
	Contexts []Context
	Handler  Handler
	// Timeouts: ACSE bounds the wait for A-ASSOCIATE-RQ (the ARTIM timer of PS3.8
	// section 9.1.5), DIMSE the time between two requests of an association and
	// within one, Network as in Config.
	Timeouts Timeouts
	Limits   Limits
	// Admit, where set, may refuse an association that would otherwise be accepted.
	Admit func(called, calling string) *RejectError
	Trace *Trace

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	running   map[*upper]struct{}
	wait      sync.WaitGroup
}

// Handler serves operations; a nil function answers 0211 (unrecognized
// operation). The context is done when C-CANCEL-RQ comes for the operation or the
// association ends. Functions run on a goroutine of their own, one an
// association.
type Handler struct {
	Echo func(ctx context.Context, r *Request) Status
	// Find calls match for each match, and returns the final status. An error of
	// match means that the association is gone.
	Find func(ctx context.Context, r *Request, match func(*dicom.Dataset) error) Status
	// Move calls pending for each pending response, and returns the final one.
	Move  func(ctx context.Context, r *Request, pending func(MoveReport) error) MoveReport
	Store func(ctx context.Context, r *Request) Status
}

// Request is one operation asked of a Server.
type Request struct {
	CalledAETitle, CallingAETitle string
	Remote                        net.Addr
	AbstractSyntax                string
	TransferSyntax                dataset.TransferSyntax
	Command                       CommandSet
	// Data is the identifier or data set, encoded in TransferSyntax; nil where the
	// request has none.
	Data []byte
}

// Serve accepts connections on l until Close, which makes it return
// net.ErrClosed, or until accepting fails. It takes over l.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = l.Close()
		return net.ErrClosed
	}
	if s.listeners == nil {
		s.listeners = map[net.Listener]struct{}{}
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		s.wait.Go(func() { s.ServeConn(conn) })
	}
}

// ServeConn serves one connection until its association ends. It takes over
// conn.
func (s *Server) ServeConn(conn net.Conn) {
	limits := s.Limits.withDefaults()
	u := &upper{
		link: newLink(conn, s.Timeouts.Network), limits: limits, acceptor: true,
		trace: s.Trace, ctx: context.Background(), state: sta1,
	}
	_, _ = u.step(evtConnectionIndication)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = conn.Close()
		return
	}
	if s.running == nil {
		s.running = map[*upper]struct{}{}
	}
	s.running[u] = struct{}{}
	s.mu.Unlock()

	start := time.Now()
	a := &acceptedAssociation{server: s, upper: u, remote: conn.RemoteAddr()}
	a.serve()

	s.mu.Lock()
	delete(s.running, u)
	s.mu.Unlock()
	u.link.recycle()
	u.traceEnded(Summary{
		CalledAETitle: a.rq.CalledAETitle, CallingAETitle: a.rq.CallingAETitle, Remote: conn.RemoteAddr().String(),
		Peer: peerInfo(&a.rq.User), Duration: time.Since(start),
	})
}

// Close stops listening, aborts what is running and waits for its goroutines,
// handlers included.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close()
	}
	for u := range s.running {
		s.wait.Go(func() { u.abort(pdu.SourceProvider, pdu.ReasonNotSpecified, nil) })
	}
	s.mu.Unlock()
	s.wait.Wait()
	return nil
}

// acceptedAssociation is an association, acceptor's side.
type acceptedAssociation struct {
	server    *Server
	upper     *upper
	remote    net.Addr
	rq        pdu.AssociateRQ
	contexts  map[byte]NegotiatedContext
	maxLength uint32
}

func (a *acceptedAssociation) serve() {
	if err := a.negotiate(); err != nil {
		// What the table did not close by itself, such as an expired ARTIM timer.
		if _, stepErr := a.upper.step(evtARTIM); stepErr == nil {
			a.upper.finish("timeout", err)
		}
		a.upper.finish("failed", err)
		return
	}
	err := a.operate()
	if err != nil && !errors.Is(err, ErrReleased) {
		a.upper.abort(pdu.SourceUser, pdu.ReasonNotSpecified, err)
	}
}

func (a *acceptedAssociation) negotiate() error {
	until := startClock(a.server.Timeouts.ACSE, TimerACSE)
	ind, err := a.upper.receive(&until)
	if err != nil {
		return err
	}
	a.rq = *ind.pdu.(*pdu.AssociateRQ)
	if rj := a.refuse(); rj != nil {
		err := a.upper.send(evtReject, &pdu.AssociateRJ{Result: rj.Result, Source: rj.Source, Reason: rj.Reason})
		a.upper.finish("rejected", rj)
		return errors.Join(rj, err)
	}
	limits := &a.upper.limits
	a.maxLength = limits.MaxPDULength
	if n := a.rq.User.MaxLength; n >= pdu.MinMaxLength {
		a.maxLength = min(n, a.maxLength)
	}
	ac := &pdu.AssociateAC{
		CalledAETitle: a.rq.CalledAETitle, CallingAETitle: a.rq.CallingAETitle,
		User: userInformation(limits.MaxPDULength),
	}
	a.contexts = map[byte]NegotiatedContext{}
	for _, proposed := range a.rq.Contexts {
		if _, twice := a.contexts[proposed.ID]; twice {
			continue
		}
		n := a.choose(proposed)
		a.contexts[proposed.ID] = n
		ac.Contexts = append(ac.Contexts, pdu.ContextAC{
			ID: n.ID, Result: byte(n.Result), TransferSyntaxes: []string{string(n.TransferSyntax)},
		})
	}
	return a.upper.send(evtAccept, ac)
}

func (a *acceptedAssociation) refuse() *RejectError {
	switch {
	case a.rq.ProtocolVersion&1 == 0:
		return &RejectError{Result: 1, Source: 2, Reason: 2}
	case a.rq.ApplicationContext != pdu.ApplicationContext:
		return &RejectError{Result: 1, Source: 1, Reason: 2}
	case a.server.AETitle != "" && a.rq.CalledAETitle != a.server.AETitle:
		return &RejectError{Result: 1, Source: 1, Reason: 7}
	case a.rq.User.MaxLength != 0 && a.rq.User.MaxLength < pdu.MinMaxLength:
		return &RejectError{Result: 1, Source: 1, Reason: 1}
	case a.server.Admit != nil:
		return a.server.Admit(a.rq.CalledAETitle, a.rq.CallingAETitle)
	}
	return nil
}

func (a *acceptedAssociation) choose(proposed pdu.ContextRQ) NegotiatedContext {
	n := NegotiatedContext{
		ID: proposed.ID, AbstractSyntax: proposed.AbstractSyntax,
		// The item needs a transfer syntax even where it is not significant.
		TransferSyntax: dataset.ImplicitVRLittleEndian,
		Result:         ContextAbstractSyntaxNotSupported,
	}
	for _, known := range a.server.Contexts {
		if known.AbstractSyntax != proposed.AbstractSyntax {
			continue
		}
		n.Result = ContextTransferSyntaxesNotSupported
		for _, ts := range known.TransferSyntaxes {
			if slices.Contains(proposed.TransferSyntaxes, string(ts)) {
				n.TransferSyntax, n.Result = ts, ContextAccepted
				return n
			}
		}
	}
	return n
}
