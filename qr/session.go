package qr

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/suyashkumar/dicom"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
)

// session is one operation's way to its peer: at most one association at a time.
type session struct {
	gateway *Gateway
	peer    Peer
	assoc   *dicomnet.Association

	addresses []netip.AddrPort // of the peer, found once
	resolving time.Duration    // what that took of the connection timeout
	// place is the leave to have assoc, or the next one: it is kept from one association to the next and while a rejected
	// one is tried again, so that an operation that has begun never waits behind others, nor for itself.
	place   *place
	crowded bool // no place was free where connect went on to another address

	proposed []string // on assoc
	kind     kind     // of assoc; zero: it is not to be kept
	unproven bool     // assoc was kept, and the peer has not answered on it since
}

// open starts an association on which the SOP classes are proposed, in place of the one before. That is ended first: some
// PACS take one association a caller and no more.
func (s *session) open(ctx context.Context, sopClasses ...string) error {
	if s.assoc != nil {
		s.release(ctx, s.assoc)
		s.assoc = nil
	}
	err := s.check()
	if err == nil {
		err = s.resolve(ctx)
	}
	if err == nil {
		s.proposed, s.kind, s.unproven = sopClasses, s.kindOf(sopClasses), false
		s.assoc, err = s.insist(ctx, func() (*dicomnet.Association, error) { return s.associate(ctx) })
	}
	if err != nil {
		return failure(ctx, dicomnet.StepAssociate, err)
	}
	return nil
}

// associate gives an association with the SOP classes proposed: one that was kept, or a new one. A peer that refuses a new
// one may do so because of those that are kept: it is asked again without them.
func (s *session) associate(ctx context.Context) (*dicomnet.Association, error) {
	if err := s.queue(ctx); err != nil {
		return nil, err
	}
	if assoc := s.resume(ctx); assoc != nil {
		return assoc, nil
	}
	cfg, address := s.config(s.proposed...)
	assoc, err := s.negotiate(ctx, address, cfg)
	if crowded(err) && s.place != nil && ctx.Err() == nil && s.gateway.letGo(ctx, s.place.address) {
		assoc, err = s.negotiate(ctx, address, cfg)
	}
	if err == nil {
		s.place.opened = time.Now()
	}
	return assoc, err
}

// crowded reports whether err may come of a peer that has more associations than it takes: it was reached, and there was no
// association all the same, without a reason that has nothing to do with their number.
func crowded(err error) bool {
	op, ok := errors.AsType[*dicomnet.OpError](err)
	if !ok || op.Step != dicomnet.StepAssociate {
		return false
	}
	if reject, ok := errors.AsType[*dicomnet.RejectError](err); ok {
		const presentation = 3 // the source of local-limit-exceeded
		return reject.Transient() || reject.Source == presentation
	}
	_, none := errors.AsType[*dicomnet.NoContextError](err)
	return !none
}

// check finds before anything is sent what dicomnet would not call under.
func (s *session) check() error {
	switch {
	case !dicomnet.ValidAETitle(s.peer.CalledAETitle):
		return &dicomnet.ConfigError{Detail: "called AE title is not a valid AE value"}
	case !dicomnet.ValidAETitle(s.peer.CallingAETitle):
		return &dicomnet.ConfigError{Detail: "calling AE title is not a valid AE value"}
	}
	return nil
}

// config is how to dial the peer, and under which address: its own name, which certificates are checked against, though
// what is dialled are the addresses found for it.
func (s *session) config(sopClasses ...string) (cfg dicomnet.Config, address string) {
	o := &s.gateway.options
	cfg = dicomnet.Config{
		CalledAETitle:  s.peer.CalledAETitle,
		CallingAETitle: s.peer.CallingAETitle,
		Timeouts:       o.Timeouts,
		DialContext:    func(ctx context.Context, _, _ string) (net.Conn, error) { return s.connect(ctx) },
		Trace:          o.Trace,
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
		cfg.TLS = o.TLS
	}
	return cfg, net.JoinHostPort(s.peer.Host, strconv.Itoa(s.peer.Port))
}

// need makes sure of an association that takes the SOP class: the one at hand, or one on which nothing else is proposed.
func (s *session) need(ctx context.Context, sopClass string) error {
	if s.usable() && s.assoc.Accepts(sopClass) {
		return nil
	}
	return s.open(ctx, sopClass)
}

func (s *session) usable() bool { return s.assoc != nil && s.assoc.Usable() }

// end keeps the association for others, or releases it behind the caller's back, who has the answer already. Of ctx only
// the values count.
func (s *session) end(ctx context.Context) {
	assoc, place := s.assoc, s.place
	s.assoc, s.place = nil, nil
	if assoc == nil {
		place.free()
		return
	}
	if s.keep(assoc, place) {
		return
	}
	s.gateway.releases.run(func() {
		defer place.free()
		s.release(ctx, assoc)
	})
}

// find is one C-FIND; each is called for every match, with the reason in place of a match that cannot be decoded. Where
// the association was kept and proves stale before anything is answered, all is done again on a new one.
func (s *session) find(ctx context.Context, query *dicom.Dataset, each func(m dicomnet.Match, undecoded error)) error {
	err := s.findOnce(ctx, query, each)
	if err == nil || !s.unproven || ctx.Err() != nil || !gone(err) {
		return err
	}
	s.assoc.Abort() // where that is still needed
	s.assoc = nil   // but its place is ours: what is opened now is new
	if err := s.open(ctx, s.proposed...); err != nil {
		return err
	}
	if err := s.need(ctx, dicomnet.StudyRoot.Find); err != nil {
		return err
	}
	return s.findOnce(ctx, query, each)
}

// gone reports whether err is of an association that the peer ended, or that was aborted for what the peer sent. A peer
// that takes its time is not gone.
func gone(err error) bool {
	_, aborted := errors.AsType[*dicomnet.AbortError](err)
	_, protocol := errors.AsType[*dicomnet.ProtocolError](err)
	_, limit := errors.AsType[*dicomnet.LimitError](err)
	return aborted || protocol || limit || errors.Is(err, dicomnet.ErrConnectionLost) || errors.Is(err, dicomnet.ErrReleased)
}

func (s *session) findOnce(
	ctx context.Context, query *dicom.Dataset, each func(m dicomnet.Match, undecoded error),
) (err error) {
	ctx, end := s.observe(ctx, dicomnet.StepFind)
	defer func() { end(err) }()
	n := 0
	for m, err := range s.assoc.Find(ctx, dicomnet.StudyRoot, query) {
		if _, undecoded := errors.AsType[*dicomnet.DataSetError](err); err != nil && !undecoded {
			return failure(ctx, dicomnet.StepFind, err)
		}
		s.unproven = false
		if n++; n > s.gateway.options.MaxMatches {
			return &dicomnet.OpError{
				Step: dicomnet.StepFind,
				Err:  &TooManyMatchesError{Max: s.gateway.options.MaxMatches},
			}
		}
		each(m, err)
	}
	s.unproven = false
	return nil
}
