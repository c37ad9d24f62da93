package qr

import (
	"context"
	"errors"
	"net"
	"strconv"

	"github.com/suyashkumar/dicom"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
)

// session is one operation's way to its peer: at most one association at a time.
type session struct {
	gateway *Gateway
	peer    Peer
	assoc   *dicomnet.Association
}

// open starts an association on which the SOP classes are proposed, in place of the one before. That is ended first: some
// PACS take one association a caller and no more.
func (s *session) open(ctx context.Context, sopClasses ...string) error {
	if s.assoc != nil {
		s.release(ctx, s.assoc)
		s.assoc = nil
	}
	cfg, address := s.config(sopClasses...)
	assoc, err := s.negotiate(ctx, address, cfg)
	if err != nil {
		return failure(ctx, dicomnet.StepAssociate, err)
	}
	s.assoc = assoc
	return nil
}

// config is how to dial the peer, and where.
func (s *session) config(sopClasses ...string) (cfg dicomnet.Config, address string) {
	o := &s.gateway.options
	cfg = dicomnet.Config{
		CalledAETitle:  s.peer.CalledAETitle,
		CallingAETitle: s.peer.CallingAETitle,
		Timeouts:       o.Timeouts,
		DialContext:    o.DialContext,
		Trace:          o.Trace,
	}
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
	if assoc := s.assoc; assoc != nil {
		s.assoc = nil
		s.gateway.releases.run(func() { s.release(ctx, assoc) })
	}
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
