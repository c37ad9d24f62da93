package qr

import (
	"context"

	"dicom-qr-gateway/dicomnet"
)

// Query is C-FIND of the studies that f describes. The result is complete or says in a warning what it lacks; an error is
// a *FilterError, or a *dicomnet.OpError around a cause of dicomnet's, a *TooManyMatchesError, an *OperationTimeoutError
// or the error of ctx.
func (g *Gateway) Query(ctx context.Context, p Peer, f Filter) (*QueryResult, error) {
	plan, err := newPlan(&f, g.options.Now())
	if err != nil {
		return nil, err
	}
	if plan.impossible() {
		return &QueryResult{Studies: []Study{}, Warnings: []Warning{}}, nil
	}
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	s := &session{gateway: g, peer: p}
	defer s.end(ctx)
	if err := s.need(ctx, dicomnet.StudyRoot.Find); err != nil {
		return nil, err
	}
	c := &collector{plan: plan}
	studies, err := s.query(ctx, c)
	if err != nil {
		return nil, err
	}
	return &QueryResult{Studies: studies, Warnings: c.tally.warnings()}, nil
}

// query is what Query and Retrieve have in common, on an association that takes C-FIND.
func (s *session) query(ctx context.Context, c *collector) ([]Study, error) {
	defer c.close()
	err := s.find(ctx, s.gateway.keys.studies(c.plan), func(m dicomnet.Match, undecoded error) {
		if m.OptionalKeysUnsupported {
			c.tally[optionalKeys]++
		}
		if undecoded != nil {
			c.lose(undecoded)
			return
		}
		c.add(m.Set)
	})
	if err != nil {
		return nil, err
	}
	studies, err := c.pick(c.left(), func(uid string) ([]string, error) { return s.seriesModalities(ctx, c, uid) })
	if err != nil {
		return nil, err
	}
	// "No study" would be a statement about matches that nobody could read.
	if len(studies) == 0 && c.lost != nil {
		return nil, failure(ctx, dicomnet.StepFind, c.lost)
	}
	return studies, nil
}
