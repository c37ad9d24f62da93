package receive

import (
	"context"
	"errors"
	"slices"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// way retrieves instances by C-GET or by C-MOVE. It is for one goroutine.
type way interface {
	// open opens an association for the proposal. The error is errUnsupported if the PACS does not offer C-GET, or C-MOVE.
	open(ctx context.Context, p proposal) error
	// ready reports whether a request for an instance of the class, "" for any, can be sent without another open.
	ready(class string) bool
	// ask sends a request and reads the responses to it. The report is nil if there was no final response.
	ask(ctx context.Context, t Target) (*dicomnet.RetrieveReport, error)
	// otherSyntaxes reports whether another attempt can offer the PACS other transfer syntaxes.
	otherSyntaxes() bool
	// settle waits until no more instances arrive for the requests.
	settle(ctx context.Context) error
	// close frees what open took.
	close(ctx context.Context)
}

// errUnsupported reports that a PACS does not offer a way.
var errUnsupported = errors.New("not supported by the PACS")

// retrieve asks for the target by one way and then by the other, until it is complete.
func (x *run) retrieve(ctx context.Context) {
	order, refusals := x.receiver.ways.order(&x.request.Peer, x.receiver.scpOff())
	x.refusals = refusals
	for _, kind := range order {
		err := x.by(ctx, kind)
		supported := !errors.Is(err, errUnsupported)
		if err != nil && supported {
			x.note(err)
		}
		// If the PACS cannot be reached, or has no free association, the other way fails too.
		if x.finished(ctx) || supported && len(x.ways) == 0 {
			break
		}
	}
	x.remember()
}

// finished reports whether the retrieval is complete, has failed or is cancelled, so that nothing more is asked for.
func (x *run) finished(ctx context.Context) bool {
	return ctx.Err() != nil || x.failure() != nil || x.complete()
}

// session returns a session of the retrieval with its PACS.
func (x *run) session() *pool.Session {
	c := &x.request.Call
	if c.Observer == nil {
		return x.receiver.options.Pool.Retrieval(x.request.Peer, c.Principal.Identity(), nil)
	}
	return x.receiver.options.Pool.Retrieval(x.request.Peer, c.Principal.Identity(), c.Observer)
}

// otherModel returns the other information model, or the same if the other cannot be used: Patient Root needs the Patient ID.
func (x *run) otherModel(m dicomnet.Model) dicomnet.Model {
	switch {
	case m == dicomnet.PatientRoot:
		return dicomnet.StudyRoot
	case x.inventory.PatientID == "":
		return m
	}
	return dicomnet.PatientRoot
}

// by retrieves one way: the whole target if nothing has arrived yet, then each missing instance.
func (x *run) by(ctx context.Context, kind Way) error {
	var w way = &getWay{x: x}
	if kind == WayMove {
		w = &moveWay{x: x}
	}
	defer w.close(ctx)
	before := x.arrivals.count().received
	if before == 0 || !x.inventory.Proven {
		if err := x.whole(ctx, kind, w); err != nil || x.finished(ctx) {
			return err
		}
	}
	one := singly{run: x, way: w, kind: kind, before: before}
	if err := one.ask(ctx); err != nil || x.finished(ctx) || !one.maySucceed() {
		return err
	}
	one = singly{run: x, way: w, kind: kind, before: before, again: true}
	return one.ask(ctx)
}

// whole asks for the target in one request.
func (x *run) whole(ctx context.Context, kind Way, w way) error {
	if err := w.open(ctx, x.proposal(false)); err != nil {
		return err
	}
	x.ways = append(x.ways, kind)
	before := x.arrivals.count()
	final, err := w.ask(ctx, x.request.Target)
	judge := func() {
		x.status = expectation{}
		if final != nil {
			if !x.inventory.Proven {
				x.arrivals.expectFailed(final.FailedSOPInstanceUIDs, x.onlySeries())
			}
			x.status = expect(final, len(x.arrivals.missing()), before, x.arrivals.count())
		}
	}
	judge()
	if !x.finished(ctx) && x.status.underWay(x.arrivals.count().came()-before.came()) {
		if settled := w.settle(ctx); err == nil {
			err = settled
		}
		judge()
	}
	if x.status.unexplained > 0 && x.inventory.Proven && ctx.Err() == nil {
		x.refresh(ctx)
	}
	if err != nil && !x.complete() {
		x.note(err)
	}
	return nil
}

// refresh asks for the inventory again, because the counters of the final response report more instances than it lists.
func (x *run) refresh(ctx context.Context) {
	now, err := x.receiver.ask(ctx, x.request)
	if err != nil || !now.Proven {
		return
	}
	before := len(x.arrivals.missing())
	x.arrivals.expect(now)
	x.status.unexplained = max(x.status.unexplained-(len(x.arrivals.missing())-before), 0)
}

// onlySeries returns the series of the target, or nil if it has several.
func (x *run) onlySeries() *qr.ListedSeries {
	if len(x.inventory.Series) == 1 {
		return &x.inventory.Series[0]
	}
	return nil
}

// proposal returns what to propose for the missing instances. again is set on the second attempt.
func (x *run) proposal(again bool) proposal {
	p := proposal{onlyUncompressed: x.request.Uncompressed, again: again}
	add := func(classes ...string) {
		for _, class := range classes {
			if !slices.Contains(p.classes, class) && len(p.classes) < maxStorage {
				p.classes = append(p.classes, class)
			}
		}
	}
	var modalities []string // of series with instances of unknown SOP classes
	guess := func(series *qr.ListedSeries) {
		if !slices.Contains(modalities, series.Modality) {
			modalities = append(modalities, series.Modality)
		}
	}
	for _, in := range x.arrivals.missing() {
		switch {
		case in.class != "":
			add(in.class)
		case in.series != nil:
			guess(in.series)
		}
	}
	if !x.inventory.Proven {
		for i := range x.inventory.Series {
			guess(&x.inventory.Series[i])
		}
	}
	if len(modalities) == 0 && len(p.classes) > 0 {
		p.listed = len(p.classes)
		return p
	}
	add(x.inventory.SOPClasses...)
	if p.listed = len(p.classes); p.listed > 0 && !again {
		return p
	}
	for _, modality := range modalities {
		add(x.receiver.ways.learnt(&x.request.Peer, modality)...)
	}
	for _, modality := range modalities {
		add(classesOf(modality)...)
	}
	for i := range storageClasses {
		p.others = append(p.others, storageClasses[i].uid)
	}
	return p
}

// remember records the SOP classes that came in series of each modality, for the next retrieval from the PACS.
func (x *run) remember() {
	a := x.arrivals
	a.mu.Lock()
	defer a.mu.Unlock()
	type seen struct{ modality, class string }
	learnt := map[seen]bool{}
	for _, in := range a.order {
		if in.state != arrived || in.series == nil {
			continue
		}
		s := seen{in.series.Modality, in.class}
		if !learnt[s] {
			learnt[s] = true
			x.receiver.ways.learn(&x.request.Peer, s.modality, s.class)
		}
	}
}
