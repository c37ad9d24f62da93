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
		s.assoc, err = s.insist(ctx, func() (*dicomnet.Association, error) {
			if err := s.queue(ctx); err != nil {
				return nil, err
			}
			cfg, address := s.config(sopClasses...)
			return s.negotiate(ctx, address, cfg)
		})
	}
	if err != nil {
		return failure(ctx, dicomnet.StepAssociate, err)
	}
	return nil
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

// end releases behind the caller's back, who has the answer already. Of ctx only the values count.
func (s *session) end(ctx context.Context) {
	assoc, place := s.assoc, s.place
	s.assoc, s.place = nil, nil
	if assoc == nil {
		place.free()
		return
	}
	s.gateway.releases.run(func() {
		defer place.free()
		s.release(ctx, assoc)
	})
}

// find is one C-FIND; each is called for every match, with the reason in place of a match that cannot be decoded.
func (s *session) find(
	ctx context.Context, query *dicom.Dataset, each func(m dicomnet.Match, undecoded error),
) (err error) {
	ctx, end := s.observe(ctx, dicomnet.StepFind)
	defer func() { end(err) }()
	n := 0
	for m, err := range s.assoc.Find(ctx, dicomnet.StudyRoot, query) {
		if _, undecoded := errors.AsType[*dicomnet.DataSetError](err); err != nil && !undecoded {
			return failure(ctx, dicomnet.StepFind, err)
		}
		if n++; n > s.gateway.options.MaxMatches {
			return &dicomnet.OpError{
				Step: dicomnet.StepFind,
				Err:  &TooManyMatchesError{Max: s.gateway.options.MaxMatches},
			}
		}
		each(m, err)
	}
	return nil
}
