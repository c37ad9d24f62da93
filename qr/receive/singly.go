package receive

import (
	"context"
	"slices"
)

const (
	// maxLosses is how many associations may be lost in succession while nothing arrives.
	maxLosses = 2
	// maxFruitless is how many requests in succession may bring nothing while no instance has arrived this way.
	maxFruitless = 5
)

// singly asks for what is missing, one instance after the other, by one way.
type singly struct {
	*run
	way    way
	kind   Way
	before int // how many instances had arrived before this way was tried
	// again asks for them in other transfer syntaxes than before.
	again bool

	opened    bool
	losses    int // associations lost in succession
	fruitless int // requests in succession from which nothing came
	claimed   int // instances that the PACS says it has sent, and that have not arrived
}

// ask asks for each instance that is missing.
func (s *singly) ask(ctx context.Context) error {
	for _, in := range s.arrivals.missing() {
		if s.arrivals.has(in) || in.series == nil {
			continue
		}
		if s.hopeless(ctx) {
			break
		}
		if s.again && !s.opened || !s.way.ready(in.class) {
			s.opened = true
			if err := s.way.open(ctx, s.proposal(s.again)); err != nil {
				return err
			}
		}
		s.one(ctx, in)
	}
	if s.claimed == 0 || s.finished(ctx) {
		return nil
	}
	return s.way.settle(ctx)
}

// hopeless reports whether further requests are pointless.
func (s *singly) hopeless(ctx context.Context) bool {
	received := s.arrivals.count().received
	return ctx.Err() != nil || s.failure() != nil || s.losses >= maxLosses || received == s.before && s.fruitless >= maxFruitless
}

// one asks for one instance.
func (s *singly) one(ctx context.Context, in *arrival) {
	if !slices.Contains(s.ways, s.kind) {
		s.ways = append(s.ways, s.kind)
	}
	t := s.request.Target
	t.SeriesInstanceUID, t.SOPInstanceUID = in.series.SeriesInstanceUID, in.uid
	final, err := s.way.ask(ctx, t)
	switch {
	case s.arrivals.has(in):
		s.losses, s.fruitless = 0, 0
	case final == nil:
		s.losses++
		s.fruitless++
	case err == nil && (final.Completed == nil || *final.Completed > 0):
		s.losses = 0
		s.claimed++
	default:
		s.losses = 0
		s.fruitless++
	}
	if err != nil {
		s.note(err)
	}
}

// maySucceed reports whether other transfer syntaxes may make a difference for what is missing: a C-GET proposes them in another order, a
// C-MOVE accepts compressed ones that it declined before.
func (s *singly) maySucceed() bool {
	if s.losses >= maxLosses || !s.way.otherSyntaxes() {
		return false
	}
	return slices.ContainsFunc(s.arrivals.missing(), func(in *arrival) bool {
		known := storageClassByUID[in.class]
		return in.series != nil && (known == nil || known.content != noPixels)
	})
}
