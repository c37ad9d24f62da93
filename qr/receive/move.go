package receive

import (
	"context"
	"errors"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/storescp"
)

// moveWay retrieves by C-MOVE to the storage SCP of the gateway.
type moveWay struct {
	x       *run
	session *pool.Session
	model   dicomnet.Model
	lease   *storescp.Lease
	// syntax is what the lease accepts.
	syntax storescp.Preference
	// pending is set while the PACS reports more instances as sent than have arrived.
	pending bool
}

// open takes a lease, and then opens an association for C-MOVE: a retrieval that waits for a lease must not occupy an association.
func (w *moveWay) open(ctx context.Context, p proposal) error {
	syntax := storescp.UncompressedFirst
	switch {
	case p.again:
		syntax = storescp.CompressedFirst
	case p.onlyUncompressed:
		syntax = storescp.UncompressedOnly
	}
	if w.lease != nil && w.syntax != syntax {
		w.lease.Complete() // what still comes is for this retrieval
		w.lease.Release()
		w.lease = nil
	}
	if w.lease == nil {
		if err := w.take(ctx, syntax); err != nil {
			return err
		}
	}
	if w.session == nil {
		w.session = w.x.session()
		w.model = w.x.request.Peer.Model()
	}
	err := w.session.Open(ctx, w.model.Move)
	if other := w.x.otherModel(w.model); noContext(err) && other != w.model {
		if otherErr := w.session.Open(ctx, other.Move); !noContext(otherErr) {
			w.model, err = other, otherErr
		}
	}
	if noContext(err) {
		return errUnsupported
	}
	return err
}

func (w *moveWay) take(ctx context.Context, syntax storescp.Preference) (err error) {
	q := &w.x.request
	w.syntax = syntax
	w.lease, err = w.x.receiver.options.SCP.Lease(ctx, storescp.Expectation{
		Peer: q.Peer, StudyInstanceUID: q.StudyInstanceUID, SeriesInstanceUID: q.SeriesInstanceUID, SOPInstanceUID: q.SOPInstanceUID,
		Syntax: syntax, Receive: w.x.receive,
		Foreign: func(sopInstanceUID string) { w.x.refused(sopInstanceUID, true) },
	})
	if _, none := errors.AsType[*storescp.NoTitleError](err); none {
		w.x.refusals.SCPOff = true
		return errUnsupported
	}
	if err != nil {
		return pool.Failure(ctx, dicomnet.StepMove, err)
	}
	return nil
}

func (w *moveWay) otherSyntaxes() bool {
	return w.x.request.Uncompressed || w.lease != nil && w.lease.DeclinedCompressed()
}

func (w *moveWay) ready(string) bool { return w.session != nil && w.session.Usable() }

func (w *moveWay) ask(ctx context.Context, t Target) (final *dicomnet.RetrieveReport, err error) {
	ctx, end := w.session.Observe(ctx, dicomnet.StepMove)
	defer func() { end(err) }()
	assoc := w.session.Association()
	assoc.SetMessageID(w.lease.MessageID())
	before := w.x.arrivals.count()
	defer func() {
		e := expectation{}
		if final != nil {
			e = expect(final, 0, before, before)
		}
		w.pending = w.pending || e.underWay(w.x.arrivals.count().came()-before.came())
	}()
	for report, err := range assoc.Move(ctx, w.model, w.lease.AETitle(), identifier(w.model, t, w.x.inventory.PatientID)) {
		if report.Final {
			final = &report
		}
		if err != nil {
			return final, pool.Failure(ctx, dicomnet.StepMove, err)
		}
	}
	return final, nil
}

// settle waits until everything expected has arrived, or nothing has come for a while: some PACS send the final response first.
func (w *moveWay) settle(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer w.x.arrivals.whenComplete(w.x.status.before.came()+w.x.status.sent, func() { cancel(errAllArrived) })()
	err := w.lease.Quiet(ctx)
	if err != nil && !errors.Is(err, errAllArrived) {
		return pool.Failure(ctx, dicomnet.StepMove, err)
	}
	w.pending = false
	return nil
}

var errAllArrived = errors.New("everything has arrived")

func (w *moveWay) close(ctx context.Context) {
	if w.lease != nil {
		if !w.pending && w.x.failure() == nil && ctx.Err() == nil {
			w.lease.Complete()
		}
		w.lease.Release()
	}
	if w.session != nil {
		w.session.End(ctx)
	}
}

func noContext(err error) bool {
	_, none := errors.AsType[*dicomnet.NoContextError](err)
	return none
}
