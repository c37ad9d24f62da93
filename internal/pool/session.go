package pool

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/principal"
)

// Session is the access of one operation to its peer: at most one association at a time. It is for one goroutine.
type Session struct {
	pool     *Pool
	peer     Peer
	observer Observer        // nil: none
	memory   dicomnet.Memory // nil: not limited
	assoc    *dicomnet.Association

	operation operation

	addresses []netip.AddrPort // of the peer, resolved once
	resolving time.Duration    // the part of the connection timeout that this took
	// slot is the permit for assoc, or for the next association: the session keeps it from one association to the next and
	// while a rejected association is retried, so that an operation that has begun waits neither for others nor for itself.
	slot *slot
	busy bool // connect found no slot at a further address

	proposed []string // SOP classes on assoc
	kind     kind     // of assoc; zero: assoc is not kept
	used     bool     // an operation ran on assoc before the current one
	settled  bool     // assoc was idle, settle ran when the session took it, and no operation has run on it since
	answered bool     // the peer has answered the current operation
}

// Session returns a session of one operation with the peer, on behalf of caller. Observer may be nil. The caller must call End.
func (p *Pool) Session(peer Peer, caller principal.Identity, o Observer) *Session {
	return &Session{pool: p, peer: peer, observer: o, operation: operation{caller: caller, limit: p.limit(&peer), share: p.share(&peer)}}
}

// Retrieval returns a session of one retrieval. It is a Session whose associations count against the retrievals that may run at once from
// the peer (Settings.MaxRetrievals), which are always fewer than its associations if it accepts more than one.
func (p *Pool) Retrieval(peer Peer, caller principal.Identity, o Observer) *Session {
	s := p.Session(peer, caller, o)
	s.operation.retrievals = p.retrievals(&peer)
	return s
}

// Batch marks the operation as batch work. It waits behind interactive operations with the peer, for as long as ctx permits instead of
// Options.QueueTimeout, and takes no slot while interactive ones of other gateways wait. The caller has a place from Pool.Room. It is
// called before Open.
func (s *Session) Batch() {
	s.operation.batch, s.operation.share = true, s.pool.Share(s.peer)
}

// LimitMemory makes the associations of the session ask m before they allocate memory for a long message. It is called before Open.
func (s *Session) LimitMemory(m dicomnet.Memory) { s.memory = m }

// Association returns the current association; nil if there is none.
func (s *Session) Association() *dicomnet.Association { return s.assoc }

// Usable reports whether the session has an association on which an operation can begin.
func (s *Session) Usable() bool { return s.assoc != nil && s.assoc.Usable() }

// Open opens an association on which the SOP classes are proposed, or takes an idle one of this kind, in place of the current
// one, which it ends first: some PACS accept one association per caller. An association that the peer rejects for now is
// retried. The error is a *dicomnet.OpError around a *NotAllowedError, a *BusyError, the end of ctx or an error of dicomnet.
func (s *Session) Open(ctx context.Context, sopClasses ...string) error {
	if s.assoc != nil {
		s.release(ctx, s.assoc)
		s.assoc = nil
	}
	err := s.check()
	if err == nil {
		err = s.resolve(ctx)
	}
	if err == nil {
		s.proposed, s.kind, s.used, s.settled = sopClasses, s.kindOf(sopClasses), false, false
		s.assoc, err = retry(ctx, func() (*dicomnet.Association, error) { return s.associate(ctx) })
	}
	if err != nil {
		return Failure(ctx, dicomnet.StepAssociate, err)
	}
	s.assoc.SetMemory(s.memory)
	return nil
}

// Require makes sure that the current association accepts the SOP class: it opens one that proposes this class alone if the
// current one does not accept it, or if the peer has ended it since the last operation.
func (s *Session) Require(ctx context.Context, sopClass string) error {
	if s.alive(ctx) && s.assoc.Accepts(sopClass) {
		return nil
	}
	return s.Open(ctx, sopClass)
}

// alive reports whether another operation can begin on the association. It takes in what the peer has sent since the last
// operation, which ends the association.
func (s *Session) alive(ctx context.Context) bool {
	if s.Usable() && s.used && !s.settled {
		settle(ctx, s.assoc)
	}
	return s.Usable()
}

// settle ends the association if the peer has sent anything that no operation asked for.
func settle(ctx context.Context, assoc *dicomnet.Association) {
	if assoc.Quiet() {
		return
	}
	_ = assoc.WaitIdle(ctx, unsolicitedWait) // ends the association as the PDU requires
	if !assoc.Quiet() {
		assoc.Abort()
	}
}

// Once runs f, which sends one request on the current association. An operation may have run on the association before. If
// the peer then ended the association before it received the request, which it may do between two operations, Once runs f
// again on a new association that accepts the SOP class. If Share.Revoke closed the association, the error is a *dicomnet.OpError around
// a *BusyError with the Reason ShareLost, also if f sent its request.
func (s *Session) Once(ctx context.Context, sopClass string, f func() error) error {
	return s.run(ctx, sopClass, f, func(err error) bool {
		_, notReceived := errors.AsType[*dicomnet.NotReceivedError](err)
		return notReceived
	})
}

// Repeatable is Once for a request that does no harm if it is done twice, such as a C-FIND: it also runs f again if the
// association ended in any other way without an answer to the request. Once f has called Answered, it is not run again.
func (s *Session) Repeatable(ctx context.Context, sopClass string, f func() error) error {
	return s.run(ctx, sopClass, f, ended)
}

func (s *Session) run(ctx context.Context, sopClass string, f func() error, again func(error) bool) error {
	s.answered, s.settled = false, false
	err := f()
	if err != nil && s.slot.revoked() {
		return revoked(err)
	}
	if err == nil || !s.used || s.answered || ctx.Err() != nil || !again(err) {
		s.used = true
		return err
	}
	s.assoc.Abort() // if it is not closed yet
	s.assoc = nil   // the slot stays with the session, so that Open opens a new association
	if err := s.Open(ctx, s.proposed...); err != nil {
		return err
	}
	if err := s.Require(ctx, sopClass); err != nil {
		return err
	}
	s.used, s.settled = true, false
	if err = f(); err != nil && s.slot.revoked() {
		return revoked(err)
	}
	return err
}

// Answered notes that the peer has answered the current operation.
func (s *Session) Answered() { s.answered = true }

// End ends the session: it keeps the association for other operations or releases it in the background, since the caller has
// its answer already. It uses the values of ctx, not its end.
func (s *Session) End(ctx context.Context) {
	assoc, held := s.assoc, s.slot
	s.assoc, s.slot = nil, nil
	s.pool.slots.finish(&s.operation)
	if assoc == nil {
		held.release()
		return
	}
	assoc.SetMemory(nil)
	if s.keep(assoc, held) {
		return
	}
	s.pool.releases.run(func() {
		defer held.release()
		s.release(ctx, assoc)
	})
}

// associate returns an association with the SOP classes proposed: an idle one or a new one. A peer may refuse a new one
// because of those that are idle, and is then asked again without them.
func (s *Session) associate(ctx context.Context) (*dicomnet.Association, error) {
	if err := s.acquire(ctx); err != nil {
		return nil, err
	}
	if assoc := s.reuse(ctx); assoc != nil {
		return assoc, nil
	}
	return s.associateNew(ctx, s.config(s.proposed))
}

// associateNew opens an association in the slot of the session.
func (s *Session) associateNew(ctx context.Context, cfg dicomnet.Config) (*dicomnet.Association, error) {
	assoc, err := s.negotiate(ctx, cfg)
	if atCapacity(err) && s.slot != nil && ctx.Err() == nil && s.pool.evictAll(ctx, s.slot.address) {
		assoc, err = s.negotiate(ctx, cfg)
	}
	if err == nil {
		s.slot.opened = time.Now()
	}
	return assoc, err
}

// check finds invalid AE titles before anything is sent.
func (s *Session) check() error {
	switch {
	case !dicomnet.ValidAETitle(s.peer.CalledAETitle):
		return &dicomnet.ConfigError{Detail: "called AE title is not a valid AE value"}
	case !dicomnet.ValidAETitle(s.peer.CallingAETitle):
		return &dicomnet.ConfigError{Detail: "calling AE title is not a valid AE value"}
	}
	return nil
}

// config returns how to open an association with the peer. The connection timeout is shortened by what name resolution took.
func (s *Session) config(sopClasses []string) dicomnet.Config {
	o := &s.pool.options
	cfg := dicomnet.Config{
		CalledAETitle:  s.peer.CalledAETitle,
		CallingAETitle: s.peer.CallingAETitle,
		Timeouts:       s.pool.timeouts(&s.peer),
		MessageID:      o.MessageID,
		DialContext:    func(ctx context.Context, _, _ string) (net.Conn, error) { return s.connect(ctx) },
	}
	if o.Trace != nil {
		cfg.Trace = o.Trace(s.peer)
	}
	if cfg.Timeouts.Connection > 0 {
		cfg.Timeouts.Connection = max(cfg.Timeouts.Connection-s.resolving, 1)
	}
	s.resolving = 0
	for _, class := range sopClasses {
		cfg.Contexts = append(cfg.Contexts, dicomnet.Context{
			AbstractSyntax:   class,
			TransferSyntaxes: []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian},
		})
	}
	if s.peer.TLS {
		cfg.TLS = verifying(s.pool.tls(&s.peer), s.peer.Host)
	}
	if s.peer.Settings != nil {
		cfg.DefaultCharacterSet = s.peer.Settings.DefaultCharacterSet
	}
	return cfg
}
