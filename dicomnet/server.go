package dicomnet

import (
	"context"
	"net"
	"sync"
	"time"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pdu"
)

// Server accepts associations and serves their operations. The exported fields must not change
// after the first call of Serve or ServeConn.
type Server struct {
	// AETitle is the called AE title that the server answers to. It rejects any other with result
	// 1, source 1, reason 7. An empty AETitle accepts every called AE title.
	AETitle string
	// Contexts lists the abstract syntaxes to accept, each with its transfer syntaxes in order of
	// preference.
	Contexts []Context
	// ChooseContext, if not nil, answers a proposed presentation context whose abstract syntax is not in Contexts. With the result
	// ContextAccepted the transfer syntax must be one of those proposed.
	ChooseContext func(abstractSyntax string, proposed []dataset.TransferSyntax) (dataset.TransferSyntax, ContextResult)
	Handler       Handler
	// Timeouts: ACSE bounds the wait for A-ASSOCIATE-RQ (the ARTIM timer of PS3.8 section 9.1.5),
	// DIMSE the time between and within the requests of an association. Network is as in Config.
	Timeouts Timeouts
	Limits   Limits
	// AcceptSCP, if not nil, says whether a requestor that proposes to act as SCP for the SOP class may (PS3.7 section
	// D.3.3.4). If it is nil, requestors are SCU, and their proposals are not answered.
	AcceptSCP func(sopClassUID string) bool
	// Admit, if not nil, can refuse an association that would otherwise be accepted, by the AE titles and the address of the requestor.
	Admit func(called, calling string, remote net.Addr) *RejectError
	Trace *Trace

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	running   map[*upperLayer]context.CancelFunc
	wait      sync.WaitGroup
}

// Handler serves operations. An operation whose function is nil is answered with 0211 (unrecognized
// operation). The context is done when C-CANCEL-RQ arrives for the operation or the association
// ends. Each function runs on a goroutine of its own; an association runs one at a time.
type Handler struct {
	Echo func(ctx context.Context, r *Request) Status
	// Find calls match for each match and returns the final status. An error from match means that
	// the response could not be sent.
	Find func(ctx context.Context, r *Request, match func(*dataset.Dataset) error) Status
	// FindPending is the status of the responses that carry a match. Zero means StatusPending; StatusPendingWarning says that
	// optional keys are not supported (PS3.4 section C.4.1.1.4).
	FindPending Status
	// Move calls pending for each pending response and returns the final response.
	Move func(ctx context.Context, r *Request, pending func(RetrieveReport) error) RetrieveReport
	// Get sends the instances with s, on the association of the request, and returns the final response.
	Get   func(ctx context.Context, r *Request, s *SubOperations) RetrieveReport
	Store func(ctx context.Context, r *Request) Status
	// Receive takes the place of Store, for data sets that are read while they arrive: r has no Data. It returns the status of the
	// response, which is sent after the rest of the data set has been read and dropped, for at most Timeouts.DIMSE. No request is read while it runs, so that the
	// end of the association shows only when it reads the instance. It runs on the goroutine of the association.
	//
	// A request without a valid SOP Instance UID is refused with 0117, and one whose SOP class is not that of its presentation context
	// with 0122, without a call of Receive.
	Receive func(ctx context.Context, r *Request, in *Instance) Status
}

// Request is one operation that a requestor asks of a Server.
type Request struct {
	CalledAETitle, CallingAETitle string
	Remote                        net.Addr
	AbstractSyntax                string
	TransferSyntax                dataset.TransferSyntax
	Command                       CommandSet
	// Data is the identifier or data set, encoded in TransferSyntax. It is nil if the request has
	// none.
	Data []byte
}

// Serve accepts connections on l and serves each on a goroutine of its own. It returns
// net.ErrClosed after Close, or the error of l.Accept. Serve owns l.
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

// ServeConn serves one connection and returns when its association has ended. It owns conn.
func (s *Server) ServeConn(conn net.Conn) {
	limits := s.Limits.withDefaults()
	u := &upperLayer{
		link: newLink(conn, s.Timeouts.Network), limits: limits, acceptor: true,
		trace: s.Trace, ctx: context.Background(), state: sta1,
	}
	_, _ = u.step(evtConnectionIndication)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = conn.Close()
		return
	}
	if s.running == nil {
		s.running = map[*upperLayer]context.CancelFunc{}
	}
	s.running[u] = cancel
	s.mu.Unlock()

	start := time.Now()
	a := &acceptedAssociation{server: s, upper: u, remote: conn.RemoteAddr()}
	a.serve(ctx)

	s.mu.Lock()
	delete(s.running, u)
	s.mu.Unlock()
	u.link.releaseBuffer()
	u.traceEnded(Summary{
		CalledAETitle: a.rq.CalledAETitle, CallingAETitle: a.rq.CallingAETitle, Remote: conn.RemoteAddr().String(),
		Peer: peerInfo(&a.rq.User), Duration: time.Since(start),
	})
}

// Close stops listening, aborts the open associations and waits for all goroutines of the server,
// including the handlers.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close()
	}
	for u, cancel := range s.running {
		cancel()
		s.wait.Go(func() { u.abort(pdu.SourceProvider, pdu.ReasonNotSpecified, nil) })
	}
	s.mu.Unlock()
	s.wait.Wait()
	return nil
}
