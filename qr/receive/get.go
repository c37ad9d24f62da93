package receive

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/pool"
)

// getWay retrieves by C-GET.
type getWay struct {
	x        *run
	session  *pool.Session
	model    dicomnet.Model
	proposed map[string]bool // storage SOP classes on the association
	tried    map[string]bool // on all of them
	buf      []byte
}

// open opens an association for C-GET.
func (w *getWay) open(ctx context.Context, p proposal) error {
	if w.session == nil {
		w.session = w.x.session()
		w.model, w.tried, w.buf = w.x.request.Peer.Model(), map[string]bool{}, make([]byte, 0, headBuffer)
	}
	w.reorder(&p)
	contexts := p.contexts()
	err := w.session.OpenToReceive(ctx, contexts, w.model.Get)
	if w.refused(err) {
		// The PACS may have the other model only. Patient Root needs the Patient ID.
		if other := w.x.otherModel(w.model); other != w.model {
			if otherErr := w.session.OpenToReceive(ctx, contexts, other.Get); !w.refused(otherErr) {
				w.model, err = other, otherErr
			}
		}
	}
	w.proposed = map[string]bool{}
	for i := range contexts {
		w.proposed[contexts[i].AbstractSyntax], w.tried[contexts[i].AbstractSyntax] = true, true
	}
	switch {
	case w.refused(err):
		w.unsupported()
		return errUnsupported
	case err != nil:
		if associationRefused(err) && w.x.receiver.ways.method(&w.x.request.Peer) == pool.RetrieveAuto && !w.x.receiver.scpOff() {
			w.x.note(err)
			return errUnsupported // some PACS reject, or drop, an association for services that they do not know
		}
		return err
	}
	return nil
}

// reorder moves the SOP classes that no association has proposed yet to the front, because not all fit in one association.
func (w *getWay) reorder(p *proposal) {
	later := func(classes []string) []string {
		var first, last []string
		for _, class := range classes {
			if w.tried[class] {
				last = append(last, class)
			} else {
				first = append(first, class)
			}
		}
		return append(first, last...)
	}
	if p.again {
		p.others = later(p.others)
	}
}

// refused reports whether an association cannot be used for C-GET: because of err, or because the PACS accepted C-GET but no storage.
func (w *getWay) refused(err error) bool {
	if noContext(err) {
		return true
	}
	if err != nil {
		return false
	}
	get, storage := false, false
	for _, pc := range w.session.Association().Contexts() {
		if pc.Result == dicomnet.ContextAccepted {
			if pc.AbstractSyntax == dicomnet.StudyRoot.Get || pc.AbstractSyntax == dicomnet.PatientRoot.Get {
				get = true
			} else {
				storage = true
			}
		}
	}
	return !get || !storage
}

// unsupported remembers that the PACS does not offer C-GET.
func (w *getWay) unsupported() {
	w.x.refusals.GetRefused = true
	w.x.receiver.ways.refuseGet(&w.x.request.Peer)
}

// associationRefused reports whether the PACS was reached but did not establish the association.
func associationRefused(err error) bool {
	op, ok := errors.AsType[*dicomnet.OpError](err)
	if !ok || op.Step != dicomnet.StepAssociate {
		return false
	}
	reject, rejected := errors.AsType[*dicomnet.RejectError](err)
	_, aborted := errors.AsType[*dicomnet.AbortError](err)
	return rejected && !reject.Transient() || aborted || errors.Is(err, dicomnet.ErrConnectionLost)
}

func (w *getWay) otherSyntaxes() bool { return true }

func (w *getWay) ready(class string) bool {
	return w.session != nil && w.session.Usable() && (class == "" || w.proposed[class])
}

func (w *getWay) ask(ctx context.Context, t Target) (final *dicomnet.RetrieveReport, err error) {
	ctx, end := w.session.Observe(ctx, dicomnet.StepGet)
	defer func() { end(err) }()
	assoc := w.session.Association()
	before := w.x.arrivals.count().received
	for in, err := range assoc.Get(ctx, w.model, w.identifier(t), func(r dicomnet.RetrieveReport) {
		if r.Final {
			final = &r
		}
	}) {
		if err != nil {
			if w.x.arrivals.count().received == before && final != nil && assoc.UnconfirmedSCP() {
				w.unsupported() // it accepted the presentation contexts, but not the role that it needs
			}
			return final, pool.Failure(ctx, dicomnet.StepGet, err)
		}
		in.Respond(w.x.receiveFromGet(ctx, in, w.buf))
		if w.x.failure() != nil {
			break
		}
	}
	return final, nil
}

// identifier returns the data set of the C-GET: the level, and one UID at each level down to it (PS3.4 section C.4.3.1.3).
func (w *getWay) identifier(t Target) *dataset.Dataset {
	return identifier(w.model, t, w.x.inventory.PatientID)
}

func identifier(m dicomnet.Model, t Target, patientID string) *dataset.Dataset {
	elements := []*dataset.Element{dataset.Text(dataset.QueryRetrieveLevel, string(t.Level()))}
	if t.SOPInstanceUID != "" {
		elements = append([]*dataset.Element{dataset.Text(sopInstanceUID, t.SOPInstanceUID)}, elements...)
	}
	if m == dicomnet.PatientRoot {
		elements = append(elements, dataset.Text(dataset.PatientID, patientID))
		if strings.ContainsFunc(patientID, func(r rune) bool { return r >= utf8.RuneSelf }) {
			elements = append([]*dataset.Element{dataset.Text(dataset.SpecificCharacterSet, "ISO_IR 192")}, elements...)
		}
	}
	elements = append(elements, dataset.Text(dataset.StudyInstanceUID, t.StudyInstanceUID))
	if t.SeriesInstanceUID != "" {
		elements = append(elements, dataset.Text(dataset.SeriesInstanceUID, t.SeriesInstanceUID))
	}
	return &dataset.Dataset{Elements: elements}
}

var sopInstanceUID, _ = dataset.LookupKeyword("SOPInstanceUID")

// settle does nothing: nothing comes after the final response.
func (w *getWay) settle(context.Context) error { return nil }

func (w *getWay) close(ctx context.Context) {
	if w.session != nil {
		w.session.End(ctx)
	}
}
