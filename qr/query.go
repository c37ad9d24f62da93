package qr

import (
	"context"
	"errors"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/pool"
)

// Query runs a C-FIND for the studies that f selects. The result is complete or has a warning that says what is missing. The
// error is a *FilterError, or a *dicomnet.OpError around a cause of dicomnet or pool, a *TooManyMatchesError, an
// *OperationTimeoutError or the end of ctx.
func (g *Gateway) Query(ctx context.Context, c Call, p Peer, f Filter) (*QueryResult, error) {
	plan, err := newPlan(&f, g.options.Now())
	if err != nil {
		return nil, err
	}
	if plan.impossible() {
		return &QueryResult{Studies: []Study{}, Warnings: []Warning{}}, nil
	}
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	o := g.begin(c, p)
	defer o.End(ctx)
	if err := o.Require(ctx, dicomnet.StudyRoot.Find); err != nil {
		return nil, err
	}
	matches := &collector{plan: plan}
	studies, err := o.query(ctx, matches)
	if err != nil {
		return nil, err
	}
	return &QueryResult{Studies: studies, Warnings: matches.counts.warnings()}, nil
}

// query is the C-FIND that Query and Retrieve share, on an association that accepts it.
func (o *operation) query(ctx context.Context, c *collector) ([]Study, error) {
	defer c.close()
	err := o.find(ctx, LevelStudy, o.gateway.keys.study(c.plan), func(m dicomnet.Match, undecoded error) {
		if m.OptionalKeysUnsupported {
			c.counts[optionalKeys]++
		}
		if undecoded != nil {
			c.undecodable(undecoded)
			return
		}
		c.add(m.Set)
	})
	if err != nil {
		return nil, err
	}
	studies, err := c.pick(c.remaining(), func(uid string) ([]string, error) { return o.seriesModalities(ctx, c, uid) })
	if err != nil {
		return nil, err
	}
	// An answer without studies would be wrong if a match could not be read.
	if len(studies) == 0 && c.unreadable != nil {
		return nil, pool.Failure(ctx, dicomnet.StepFind, c.unreadable)
	}
	return studies, nil
}

// find runs one C-FIND and calls each for every match, with an error in place of a match that cannot be decoded.
func (o *operation) find(
	ctx context.Context, level Level, query *dataset.Dataset, each func(m dicomnet.Match, undecoded error),
) error {
	return o.Repeatable(ctx, dicomnet.StudyRoot.Find, func() error { return o.findOnce(ctx, level, query, each) })
}

func (o *operation) findOnce(
	ctx context.Context, level Level, query *dataset.Dataset, each func(m dicomnet.Match, undecoded error),
) (err error) {
	ctx, end := o.Observe(ctx, dicomnet.StepFind)
	defer func() { end(err) }()
	o.observer.Sent(Identifier{
		SOPClassUID: dicomnet.StudyRoot.Find, Level: level,
		TransferSyntax: o.Association().TransferSyntax(dicomnet.StudyRoot.Find), query: query,
	})
	n, most := 0, o.gateway.options.MaxMatches
	for m, err := range o.Association().Find(ctx, dicomnet.StudyRoot, query) {
		if _, undecoded := errors.AsType[*dicomnet.DataSetError](err); err != nil && !undecoded {
			return pool.Failure(ctx, dicomnet.StepFind, err)
		}
		o.Answered()
		if n++; most > 0 && n > most {
			return &dicomnet.OpError{Step: dicomnet.StepFind, Err: &TooManyMatchesError{Max: most}}
		}
		each(m, err)
	}
	o.Answered()
	return nil
}
