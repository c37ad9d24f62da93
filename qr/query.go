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
	ctx, cancel := g.Bounded(ctx)
	defer cancel()
	o := g.begin(c, p)
	defer o.End(ctx)
	o.plan(plan)
	if err := o.requireFind(ctx); err != nil {
		return nil, err
	}
	matches := &collector{plan: plan}
	studies, err := o.query(ctx, matches)
	if err != nil {
		return nil, err
	}
	return &QueryResult{Studies: studies, Warnings: matches.counts.warnings()}, nil
}

// restart drops every match, before the same studies are asked for in another way.
func (o *operation) restart(c *collector) {
	o.memory.Give(c.taken)
	c.restart()
}

// query is the C-FIND that Query and Retrieve share, on an association that accepts it.
func (o *operation) query(ctx context.Context, c *collector) ([]Study, error) {
	defer c.close()
	remaining, err := o.studies(ctx, c)
	if err != nil {
		return nil, err
	}
	defer o.memory.Settle()
	studies, err := c.pick(remaining, func(uid string) ([]string, error) { return o.seriesModalities(ctx, c, uid) })
	if err != nil {
		return nil, err
	}
	// An answer without studies would be wrong if a match could not be read.
	if len(studies) == 0 && c.unreadable != nil {
		return nil, pool.Failure(ctx, dicomnet.StepFind, c.unreadable)
	}
	return studies, nil
}

// studies asks for the studies with every key and filter, and in a plainer form if the PACS refuses that or finds nothing: a
// key that a PACS handles badly must not look like a patient without studies. Every match is checked here, so that each
// form returns the same studies.
func (o *operation) studies(ctx context.Context, c *collector) ([]*candidate, error) {
	var f form
	err := o.collect(ctx, c, f)
	for _, plainer := range plainerForms {
		if !refused(err) || plainer.patientAlone && (c.plan.anyPatient() || !c.plan.sendsValues()) {
			break
		}
		f = plainer
		o.restart(c)
		c.counts[optionalKeysRefused]++
		err = o.collect(ctx, c, f)
	}
	if err != nil {
		return nil, err
	}
	remaining := c.remaining()
	if len(remaining) == 0 && c.unreadable == nil && !f.patientAlone && c.plan.sendsValues() && !c.plan.anyPatient() {
		return o.studiesInPlainForm(ctx, c, f)
	}
	return remaining, nil
}

// studiesInPlainForm asks for all studies of the patient after a query with filters found none.
func (o *operation) studiesInPlainForm(ctx context.Context, c *collector, f form) ([]*candidate, error) {
	f.patientAlone = true
	plain := &collector{plan: c.plan}
	plain.counts[optionalKeysRefused] = c.counts[optionalKeysRefused]
	err := o.collect(ctx, plain, f)
	if found := plain.remaining(); err == nil && len(found) > 0 {
		o.memory.Give(c.taken)
		c.close()
		*c = *plain
		return found, nil
	}
	o.memory.Give(plain.taken)
	plain.close()
	if ctx.Err() != nil {
		return nil, err
	}
	return nil, nil // the first answer was complete and stands
}

// collect runs the C-FIND of one form. One Study Instance UID is sent as a value. For several, all studies of the patient are
// asked for and filtered here, or one after the other if the patient has too many.
func (o *operation) collect(ctx context.Context, c *collector, f form) error {
	only := ""
	if len(c.plan.uids) == 1 && !f.patientAlone {
		only = c.plan.uids[0]
	}
	err := o.collectOne(ctx, c, f, only)
	if _, tooMany := errors.AsType[*TooManyMatchesError](err); !tooMany || len(c.plan.uids) == 0 || only != "" {
		return err
	}
	o.restart(c)
	for _, uid := range c.plan.uids {
		if err := o.requireFind(ctx); err != nil {
			return err
		}
		if err := o.collectOne(ctx, c, f, uid); err != nil {
			return err
		}
	}
	return nil
}

func (o *operation) collectOne(ctx context.Context, c *collector, f form, studyInstanceUID string) error {
	return o.matches(ctx, LevelStudy, o.gateway.keys.forStudies(c.plan, f, studyInstanceUID), &c.tally, func(m dicomnet.Match) {
		c.addMatch(&m)
		c.taken += o.take(ctx, c.owed)
		c.owed = 0
	})
}

// refused reports whether the PACS ended the C-FIND with a status that says that it cannot process the identifier: A900
// (identifier does not match SOP class), C000 to CFFF (unable to process) or one of PS3.7 annex C about attributes, values or
// processing.
func refused(err error) bool {
	final, ok := errors.AsType[*dicomnet.StatusError](err)
	if !ok {
		return false
	}
	const unable, unableMask = 0xC000, 0xF000
	switch final.Status {
	case 0xA900, 0x0105, 0x0106, 0x0107, 0x0110, 0x0115:
		return true
	}
	return final.Status&unableMask == unable
}

// requireFind makes sure of an association that accepts C-FIND: in the model of the peer, or in the other one if the PACS does
// not accept it.
func (o *operation) requireFind(ctx context.Context) error {
	if o.anyPatient {
		return o.Require(ctx, o.findModel.Find)
	}
	return o.requireEither(ctx, &o.findModel, func(m dicomnet.Model) string { return m.Find })
}

// requireEither makes sure of an association that accepts a SOP class of the current model, or that of the other one, which
// then becomes the current model. The Patient ID, which Patient Root needs, is always known.
func (o *operation) requireEither(ctx context.Context, current *dicomnet.Model, sopClass func(dicomnet.Model) string) error {
	err := o.Require(ctx, sopClass(*current))
	if !noContext(err) || *current != o.preferred {
		return err
	}
	other := otherModel(*current)
	switch otherErr := o.Require(ctx, sopClass(other)); {
	case noContext(otherErr):
		return err
	case otherErr != nil:
		return otherErr
	}
	*current = other
	return nil
}

func otherModel(m dicomnet.Model) dicomnet.Model {
	if m == dicomnet.PatientRoot {
		return dicomnet.StudyRoot
	}
	return dicomnet.PatientRoot
}

func noContext(err error) bool {
	_, ok := errors.AsType[*dicomnet.NoContextError](err)
	return ok
}

// matches runs one C-FIND and calls each for every match that can be read. The tally counts the others.
func (o *operation) matches(
	ctx context.Context, level Level, query *dataset.Dataset, t *tally, each func(m dicomnet.Match),
) error {
	return o.find(ctx, level, query, func(m dicomnet.Match, undecoded error) {
		if m.OptionalKeysUnsupported {
			t.counts[optionalKeys]++
		}
		switch {
		case undecoded != nil:
			t.undecodable(undecoded)
		case m.DataSetMissing:
			t.counts[dataSetMissing]++
		default:
			each(m)
		}
	})
}

// find runs one C-FIND and calls each for every match, with an error in place of a match that cannot be decoded. If the
// association has ended since the operation before, it runs on a new one.
func (o *operation) find(
	ctx context.Context, level Level, query *dataset.Dataset, each func(m dicomnet.Match, undecoded error),
) error {
	if err := o.requireFind(ctx); err != nil {
		return err
	}
	return o.Repeatable(ctx, o.findModel.Find, func() error { return o.findOnce(ctx, level, query, each) })
}

func (o *operation) findOnce(
	ctx context.Context, level Level, query *dataset.Dataset, each func(m dicomnet.Match, undecoded error),
) (err error) {
	ctx, end := o.Observe(ctx, dicomnet.StepFind)
	defer func() { end(err) }()
	o.observer.Sent(Identifier{
		SOPClassUID: o.findModel.Find, Level: level,
		TransferSyntax: o.Association().TransferSyntax(o.findModel.Find), query: query,
	})
	n, most := 0, o.most
	for m, err := range o.Association().Find(ctx, o.findModel, query) {
		if _, undecoded := errors.AsType[*dicomnet.DataSetError](err); err != nil && !undecoded {
			return pool.Failure(ctx, dicomnet.StepFind, err)
		}
		o.Answered()
		if n++; most > 0 && n > most {
			return &dicomnet.OpError{Step: dicomnet.StepFind, Err: &TooManyMatchesError{Max: most}}
		}
		if each(m, err); o.full != nil {
			err, o.full = o.full, nil
			return pool.Failure(ctx, dicomnet.StepFind, err)
		}
	}
	o.Answered()
	return nil
}
