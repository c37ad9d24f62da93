package dicomtest

import (
	"context"
	"strings"
	"time"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
)

// afterFinal leaves the final response time to be sent.
const afterFinal = 20 * time.Millisecond

// move serves C-MOVE (PS3.4 section C.4.2): it sends each instance to the destination by C-STORE.
func (p *PACS) move(ctx context.Context, r *dicomnet.Request, pending func(dicomnet.RetrieveReport) error) dicomnet.RetrieveReport {
	p.begin(dicomnet.StepMove)
	m, status := p.newRetrieve(dicomnet.StepMove, r)
	if m == nil {
		return refused(status)
	}
	address, known := p.destination(r.Command.MoveDestination)
	if !known {
		return refused(dicomnet.StatusMoveDestination)
	}
	m.pending = pending
	late := &sender{retrieve: &retrieve{pacs: p, op: m.op}, request: r, address: address}
	if n := min(p.cfg.Retrieval.AfterFinal, len(m.left)); n > 0 {
		at := len(m.left) - n
		late.left = m.left[at:]
		m.left = m.left[:at]
	}
	(&sender{retrieve: m, request: r, address: address}).run(ctx)
	if len(m.left) == 0 && len(late.left) > 0 {
		m.completed += len(late.left)
		p.background.Go(func() {
			select {
			case <-time.After(afterFinal):
				late.run(p.life)
			case <-p.life.Done():
			}
		})
	}
	return m.final()
}

func (p *PACS) destination(aeTitle string) (address string, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	address, known = p.destinations[strings.TrimSpace(aeTitle)]
	return address, known
}

// sender sends instances to a move destination.
type sender struct {
	*retrieve
	request *dicomnet.Request
	address string
}

// run sends what is left. A C-CANCEL-RQ ends it after the current sub-operation, which is completed.
func (m *sender) run(ctx context.Context) {
	p := m.pacs
	stores, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(p.life, stop)()
	for len(m.left) > 0 && !m.lost && !m.stopped {
		before := len(m.left)
		m.runAssociation(ctx, stores)
		if len(m.left) == before {
			return // cancelled
		}
	}
}

// runAssociation sends what is left, or as many instances as one association carries.
func (m *sender) runAssociation(ctx, stores context.Context) {
	p := m.pacs
	assoc, err := dicomnet.Dial(stores, m.address, dicomnet.Config{
		CalledAETitle: strings.TrimSpace(m.request.Command.MoveDestination), CallingAETitle: p.cfg.AETitle,
		Contexts: StorageContexts(m.left), Timeouts: p.cfg.Timeouts, Limits: limits, DialContext: p.cfg.DialContext,
	})
	if err != nil {
		for _, in := range m.left {
			m.failed = append(m.failed, in.Text(tag.SOPInstanceUID))
		}
		m.left = nil
		return
	}
	defer func() { _ = assoc.Close() }()
	for n := 1; ; n++ {
		in := m.next(ctx)
		if in == nil {
			return
		}
		m.sent(in, m.send(stores, assoc, in))
		if n == p.cfg.Retrieval.PerAssociation {
			return
		}
	}
}

func (m *sender) send(ctx context.Context, assoc *dicomnet.Association, in *Instance) dicomnet.StatusClass {
	request, err := m.retrieve.request(ctx, in, assoc.Contexts())
	if err != nil {
		return dicomnet.ClassFailure
	}
	request.MoveOriginatorAETitle = m.request.CallingAETitle
	if m.pacs.cfg.Retrieval.OwnOriginator {
		request.MoveOriginatorAETitle = m.pacs.cfg.AETitle
	}
	request.MoveOriginatorMessageID = m.request.Command.MessageID
	status, err := assoc.Store(ctx, request)
	if err != nil {
		return dicomnet.ClassFailure
	}
	return status.Class()
}
